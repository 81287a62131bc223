"""Operations as schema 1 had them: the fields of melt, mint and the others stood beside the common ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from attrs import fields, frozen

from .records import Fence, InputRef, Output, Payment
from .secret import Secret


@frozen(kw_only=True)
class MovedFields:
    """The fields that schema 2 keeps in the data of an operation, with their types and defaults in
    schema 1."""

    fee_reserve: int = 0
    input_fee: int = 0
    sources_total: int = 0
    keep_total: int = 0
    loss: int = 0
    keep_token_id: str | None = None
    blanks: tuple[Output, ...] = ()
    request_body: Secret | None = None
    fences: tuple[Fence, ...] = ()
    payment: Payment | None = None
    change_token_id: str | None = None
    change_amount: int = 0
    fenced_token_id: str | None = None
    change_empty_since: int | None = None
    watch_since: int | None = None
    contested: tuple[InputRef, ...] = ()
    hold_until: int | None = None
    held_unspent_since: int | None = None
    recorded_hash: str | None = None
    stranded: tuple[InputRef, ...] = ()
    fence_fee: int = 0
    evidence: str | None = None
    paid_seen_at: int | None = None
    watched_ms: int = 0
    refusals: int = 0
    refused_for: str | None = None
    surplus: int = 0


RENAMED: Final = {"evidence": "proven_by"}
"""Field of schema 1 to its name in the data."""
EMPTY: Final[Mapping[str, Any]] = {
    field.name: [] if field.default == () else field.default for field in fields(MovedFields)
}


def moved(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document of schema 1 with those of these fields in its data that say something, and with what its
    refusal and its claim say about its quote."""
    found = {name: value for name, value in document.items() if name not in EMPTY}
    told = {name: document[name] for name in EMPTY if name in document and document[name] != EMPTY[name]}
    let_go = document.get("refused_for") is not None and document.get("claim") is None
    data = {RENAMED.get(name, name): value for name, value in told.items()}
    return found | {"data": {**document.get("data", {}), **data}, "quote_let_go": let_go}


def fields_of_schema_1(data: Mapping[str, Any]) -> dict[str, Any]:
    """The data of an operation by the names of schema 1."""
    names = {new: old for old, new in RENAMED.items()}
    return {names.get(name, name): value for name, value in data.items()}
