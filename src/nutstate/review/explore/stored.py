"""Stored documents as the model keeps them: the engine's records, without what grows or is never asked.

Equal documents are one object, which knows what the rest of the model asks of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from typing import Any

import attrs

from ...engine.loop.account import Account
from ...engine.loop.own_data import changed
from ...engine.operations.built_in import BUILT_IN
from ...machines.spec import State
from ...storage.records import Fence, Operation, Reason, Token
from ...storage.secret import Secret
from .labels import name_of

NOW = 1_800_000_000_000
SHORT, LONG = 1_000, 3_600_000
"""Milliseconds of the windows of seconds, and of those of hours: what is over lies so far back."""
FAR = 24 * LONG

REASONS_ASKED = frozenset({"MINT_STATE_UNKNOWN", "FENCE_REFUSED"})
"""Codes of stored reasons that decide something; words are no part of the model."""


class Stored:
    """The document of an operation."""

    def __init__(self, record: Operation, declared: State) -> None:
        self.record, self.declared = record, declared
        self.later: dict[str, Stored] = {}  # by the stretch of time that is over
        self.id, self.kind, self.state = record.id, record.kind, record.state
        self.ended = declared.kind in ("final", "pseudo")
        self.live = declared.kind == "live"
        self.data: Any = data_in(record)
        self.account: Account = BUILT_IN.account_of(record)
        self.paid = self.account.payment is not None
        self.input_ids = tuple(part.token_id for part in record.inputs)
        self.total = sum(part.amount for part in record.inputs)

    def __repr__(self) -> str:
        return f"<{self.id} {self.state}>"

    def _own(self, name: str, otherwise: Any = None) -> Any:
        """A field of the kind's own data; of a kind without that field the other value."""
        return getattr(self.data, name, otherwise)

    @cached_property
    def request(self) -> tuple[str, ...]:
        """The coins in the stored request, in its order."""
        body = self._own("request_body")
        sent = () if body is None else json.loads(body.reveal()).get("inputs", ())
        return tuple(name_of(item["secret"]) for item in sent)

    @cached_property
    def blanks(self) -> tuple[str, ...]:
        """The outputs that are stored beside the request."""
        return tuple(name_of(output.B_) for output in self._own("blanks", ()))

    @cached_property
    def later_outputs(self) -> tuple[str, ...]:
        """Those of all its fences, or of earlier generations."""
        return tuple(name_of(output.B_) for fence in self._own("fences", ()) for output in fence.outputs)

    @cached_property
    def outputs(self) -> frozenset[str]:
        """Every output that is stored."""
        return frozenset((*self.blanks, *self.later_outputs))

    @cached_property
    def fenced(self) -> frozenset[str]:
        """The coins that fences or a swap of ours have spent, as far as it is stored."""
        done = [fence for fence in self._own("fences", ()) if fence.end == "done"]
        swapped = self.request if self._own("swapped") else ()
        fenced = (
            name for fence in done for name in (map(name_of, fence.inputs) if fence.inputs else self.request)
        )
        return frozenset((*fenced, *swapped))

    @cached_property
    def has_fenced(self) -> bool:
        """Whether a fence was signed and what it brought is stored."""
        return any(fence.end == "done" for fence in self._own("fences", ()))

    @property
    def watched(self) -> bool:
        """Whether the watch for a late payment has lasted as long as it must."""
        return _watch_is_over(self.data)

    @property
    def believed(self) -> bool:
        """Whether its inputs were freed on the mint's word."""
        return self._own("watch_since") is not None


class StoredToken:
    """The document of a token. ``touched`` are the operations that changed it, or one it was split off."""

    def __init__(self, record: Token, touched: frozenset[str]) -> None:
        self.record, self.touched = record, touched
        self.id, self.state = record.transaction_id, record.state
        self.holder = record.reserved_by or ""
        self.total = sum(proof.amount for proof in record.proofs)
        self.coins = tuple((name_of(proof.secret.reveal()), proof.amount) for proof in record.proofs)
        self.names = frozenset(name for name, _ in self.coins)

    def __repr__(self) -> str:
        return f"<{self.id} {self.state}>"


class Documents:
    """Every document that was ever stored, once."""

    def __init__(self, attempts_max: int, refusals_max: int) -> None:
        self._attempts_max, self._refusals_max = attempts_max, refusals_max
        self._keys = _Keys()
        self._operations: dict[Any, Stored] = {}
        self._tokens: dict[Any, StoredToken] = {}

    def operation(self, record: Operation, declared: State) -> Stored:
        """The document of this operation."""
        record = self._kept(record, declared)
        key = self._keys.of(record)
        found = self._operations.get(key)
        if found is None:
            found = self._operations[key] = Stored(record, declared)
        return found

    def token(self, record: Token, touched: frozenset[str]) -> StoredToken:
        """The document of this token."""
        spent = None if record.spent_at is None else NOW
        record = attrs.evolve(
            record, version=0, prev_state=None, spent_at=spent, created_at=NOW, updated_at=NOW
        )
        key = (self._keys.of(record), touched)
        found = self._tokens.get(key)
        if found is None:
            found = self._tokens[key] = StoredToken(record, touched)
        return found

    def _kept(self, op: Operation, declared: State) -> Operation:
        reason = (
            None if op.reason is None or op.reason.code not in REASONS_ASKED else Reason(op.reason.code, "")
        )
        changes: dict[str, Any] = {
            "version": 0, "updated_at": NOW, "prev_state": None, "audit_seq": 0, "audit_hash": "",
            "timings": {}, "lease": None, "next_check_at": None, "sent_by": None, "reason": reason,
            "attempts": min(op.attempts, self._attempts_max), "finished_at": None,
        }  # fmt: skip
        if op.kind == "melt":
            changes |= _times_of_melt(op, declared)
        elif op.kind == "swap":
            changes |= _times_of_swap(op, declared)
        elif op.kind == "mint":
            changes |= {"refusals": min(data_in(op).refusals, self._refusals_max)}
            changes |= _times_of_issue(op, declared)
        if declared.kind == "final":
            # what an operation that has ended does not ask any more
            changes |= {
                "attempts": 0, "reason": None, "created_at": NOW, "resumed_at": None, "finished_at": NOW,
                "sent_at": op.sent_at and NOW, **_forgotten_data(data_in(op)),
            }  # fmt: skip
        return with_fields(op, changes)


def data_in(op: Operation) -> Any:
    """The data of the operation, as its kind's class."""
    return BUILT_IN.of(op).data_of(op)


def with_fields(op: Operation, changes: Mapping[str, Any]) -> Operation:
    """The operation with these values of its fields and of its data."""
    return changed(op, BUILT_IN.of(op).data, **changes)


def outputs_in(op: Operation) -> int:
    """How many outputs are stored with the operation."""
    data = data_in(op)
    fences: tuple[Fence, ...] = getattr(data, "fences", ())
    return len(getattr(data, "blanks", ())) + sum(len(fence.outputs) for fence in fences)


def _forgotten_data(data: Any) -> dict[str, Any]:
    """The data of an operation that has ended, without what it does not ask any more."""
    there = {field.name for field in attrs.fields(type(data))}
    forgotten: dict[str, Any] = {
        "change_empty_since": None, "held_unspent_since": None, "paid_seen_at": None,
        "refusals": 0, "watched_ms": 0,
    }  # fmt: skip
    changes = {name: value for name, value in forgotten.items() if name in there}
    if "hold_until" in there:
        changes["hold_until"] = data.hold_until and NOW
    if "watch_since" in there:
        changes["watch_since"] = data.watch_since and (NOW - LONG if _watch_is_over(data) else NOW)
    if "payment" in there:
        changes["payment"] = data.payment and attrs.evolve(data.payment, paid_at=NOW)
    return changes


def _times_of_melt(op: Operation, declared: State) -> dict[str, Any]:
    """The times of a melt, less what can decide nothing any more (see ``melt_facts``): the older
    of two from which the same patience counts; once it is paid, or its inputs are free, when it was sent."""
    data, resumed = data_in(op), op.resumed_at or 0
    if data.payment is not None:
        paid = attrs.evolve(data.payment, paid_at=max(data.payment.paid_at, resumed))
        watched = None if data.watch_since is None else NOW
        empty = data.change_empty_since if declared.name in ("paid", "attention") else None
        return {"payment": paid, "resumed_at": None, "created_at": NOW, "sent_at": op.sent_at and NOW - SHORT,
                "watch_since": watched, "held_unspent_since": None, "change_empty_since": empty}  # fmt: skip
    if data.watch_since is not None:
        newer = None if resumed <= data.watch_since else op.resumed_at
        return {"resumed_at": newer, "created_at": NOW, "sent_at": op.sent_at and NOW - SHORT}
    if op.sent_at is None:
        return {}
    settled = max(op.sent_at, NOW - SHORT)  # the settle window counts from it, patience does not
    if declared.kind == "parked":
        # who goes on from there begins a new wait
        return {"resumed_at": None, "created_at": NOW, "sent_at": settled}
    begun = max(op.created_at, resumed)
    sent = settled if data.fences or resumed > op.sent_at else op.sent_at
    return {"resumed_at": None, "created_at": begun, "sent_at": sent}


def _times_of_swap(op: Operation, declared: State) -> dict[str, Any]:
    """The times of a swap, in the same way (see ``swap_facts``)."""
    data, resumed = data_in(op), op.resumed_at or 0
    settled = op.sent_at and max(op.sent_at, NOW - SHORT)
    if data.swapped:
        watched = data.watch_since and NOW
        return {"resumed_at": None, "created_at": NOW, "sent_at": settled and NOW - SHORT,
                "refused_for": None, "watch_since": watched, "held_unspent_since": None}  # fmt: skip
    if data.watch_since is not None:
        newer = None if resumed <= data.watch_since else op.resumed_at
        return {"resumed_at": newer, "created_at": NOW, "sent_at": settled and NOW - SHORT,
                "held_unspent_since": None, "refused_for": None}  # fmt: skip
    if declared.kind == "parked":
        return {"resumed_at": None, "created_at": NOW, "sent_at": settled}
    return {"resumed_at": None, "created_at": max(op.created_at, resumed), "sent_at": settled}


def _times_of_issue(op: Operation, declared: State) -> dict[str, Any]:
    """The times of an issue, in the same way (see ``mint_facts``)."""
    data = data_in(op)
    resumed, expiry = op.resumed_at or 0, op.quote.expires_at if op.quote else 0
    if data.paid_seen_at is not None:
        forgotten = {"watch_since": None, "watched_ms": 0, "quote": _expiring(op, NOW), "resumed_at": None}
        forgotten["sent_at"] = op.sent_at and max(op.sent_at, NOW - SHORT)
        if not data.blanks:
            return {**forgotten, "resumed_at": op.resumed_at if resumed > data.paid_seen_at else None}
        return {
            **forgotten,
            "paid_seen_at": NOW if declared.kind == "parked" else max(data.paid_seen_at, resumed),
        }
    watched = {"watched_ms": min(data.watched_ms, 2 * LONG)}
    if declared.name == "quoted" and op.sent_at is None:
        later = expiry if expiry > NOW else max(expiry, resumed)
        return {**watched, "watch_since": None, "quote": _expiring(op, later), "resumed_at": None}
    if declared.name == "lapsed":
        return {**watched, "quote": _expiring(op, NOW), "resumed_at": NOW if resumed == NOW else None}
    return {**watched, "resumed_at": None} if declared.kind == "parked" else watched


def _watch_is_over(data: Any) -> bool:
    if data.watch_since is None:
        return False
    return bool(getattr(data, "watched_ms", 0) + NOW - data.watch_since >= LONG)


def _expiring(op: Operation, at: int) -> Any:
    return op.quote and attrs.evolve(op.quote, expires_at=at)


class _Keys:
    """Keys that are equal for equal records. Those of their parts are made once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, Any]] = {}  # the part is kept, so that its id stays its own

    def of(self, record: Any) -> tuple[Any, ...]:
        """The key of a record."""
        if record.__class__ is Operation:
            return (*map(self._part, _common(record)), self._part(data_in(record)))
        return tuple(self._part(getattr(record, name)) for name in _names(record.__class__))

    def _part(self, value: Any) -> Any:
        if value is None or isinstance(value, str | int):
            return value
        known = self._known.get(id(value))
        if known is None:
            known = self._known[id(value)] = (value, self._key(value))
        return known[1]

    def _key(self, value: Any) -> Any:
        if isinstance(value, Secret):
            return value.reveal()
        if isinstance(value, tuple):
            return tuple(map(self._part, value))
        if isinstance(value, Mapping):
            return tuple(sorted((key, self._part(inner)) for key, inner in value.items()))
        return self.of(value) if attrs.has(type(value)) else value


def _common(op: Operation) -> Iterator[Any]:
    return (getattr(op, name) for name in _names(Operation) if name != "data")


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in attrs.fields(kind))
