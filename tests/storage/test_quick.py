"""Tokens and audit records that are decoded by hand are those of the general converter."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from bson import Int64

from nutstate.storage.errors import CorruptRecord
from nutstate.storage.records import AuditRecord, Token
from nutstate.storage.rules import quick
from nutstate.storage.rules.codec import from_plain, to_plain
from nutstate.storage.rules.quick import audit_from_plain, token_from_plain
from nutstate.storage.testing.records import batch_for, make_operation, make_token

ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**53, -(2**53), 1.0, 1.5, "", "x", "\0", [], {}, [1], {"x": 1}, (),
    Int64(7), b"x", ["x"], {"id": "x"}, {1: 2},
)  # fmt: skip

TOKEN = to_plain(make_token("token-a", 1, 2))
AUDIT = to_plain(batch_for(make_operation()).audit[0]) | {
    "data": {"amount": 1, "deep": {"list": [1, None, "x"]}},
    "verdicts": {"1.pay:yes": True},
}
TOKEN["proofs"][0] |= {"dleq": {"e": "1", "s": "2", "r": "3"}, "witness": "w", "Y": "02"}
TOKEN["proofs"][1]["dleq"] = {"e": "1", "s": "2"}
TOKEN["metadata"] |= {"operation_hash": "ab", "atomic_operation": True, "operation_timestamp": 5}


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to every item at every depth."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from _places(item, (*path, key))


def _changed(document: Any) -> Iterator[Any]:
    """The document with one item changed, missing or too many."""
    for path in _places(document):
        for odd in ODD:
            yield _with(document, path, odd)
        yield _without(document, path)
    for path in ((), *_places(document)):
        inner = document
        for key in path:
            inner = inner[key]
        if isinstance(inner, dict):
            yield _with(document, (*path, "more"), 1)
    yield from ODD


def _inner(document: Any, path: tuple[Any, ...]) -> tuple[Any, Any]:
    made = inner = copy.deepcopy(document)
    for key in path[:-1]:
        inner = inner[key]
    return made, inner


def _with(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    made, inner = _inner(document, path)
    inner[path[-1]] = value
    return made


def _without(document: Any, path: tuple[Any, ...]) -> Any:
    made, inner = _inner(document, path)
    del inner[path[-1]]
    return made


def _outcome(decode: Any, document: Any) -> Any:
    try:
        return decode(document)
    except CorruptRecord as error:
        return error.message, error.details


@pytest.mark.parametrize(
    "kind, by_hand, document",
    [(Token, token_from_plain, TOKEN), (AuditRecord, audit_from_plain, AUDIT)],
    ids=["token", "audit"],
)
def test_it_decodes_what_the_converter_decodes(kind: Any, by_hand: Any, document: Any) -> None:
    """R564: with any item changed, missing or too many, the record is equal, or the same field is named."""
    seen = 0
    for one in (document, *_changed(document)):
        ours = _outcome(lambda d: by_hand(d, "name"), copy.deepcopy(one))
        theirs = _outcome(lambda d: from_plain(kind, d, "name"), copy.deepcopy(one))
        assert ours == theirs and type(ours) is type(theirs), one
        assert repr(ours) == repr(theirs)
        seen += isinstance(ours, kind)
    assert seen > 50  # the changes are not all refused


def test_the_usual_form_needs_no_converter(monkeypatch: pytest.MonkeyPatch) -> None:
    """R564: of what the product writes nothing is left to the converter."""
    monkeypatch.setattr(quick, "from_plain", None)
    assert token_from_plain(copy.deepcopy(TOKEN), "token") == from_plain(Token, TOKEN, "token")
    assert audit_from_plain(copy.deepcopy(AUDIT), "audit") == from_plain(AuditRecord, AUDIT, "audit")


def test_what_was_decoded_is_no_part_of_the_document() -> None:
    """R564: a program that changes the document later does not change the record."""
    document = copy.deepcopy(AUDIT)
    record = audit_from_plain(document, "audit")
    document["data"]["deep"]["list"].append("more")
    document["verdicts"]["more"] = True
    assert record == from_plain(AuditRecord, AUDIT, "audit")
