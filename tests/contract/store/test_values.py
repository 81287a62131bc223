"""Hostile and large values come back as they went in, and secrets never come out in an error."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from nutstate.storage.errors import InvalidBatch, NutstateError
from nutstate.storage.port import AuditQuery, Store, TokenQuery
from nutstate.storage.records import (
    Dleq,
    Fence,
    Idempotency,
    InputRef,
    Lease,
    Output,
    Payment,
    Policy,
    Quote,
    Reason,
    TokenMetadata,
)
from nutstate.storage.secret import Secret
from nutstate.storage.testing.records import NPUB, batch_for, make_operation, make_proofs, make_token
from tests.contract.store.conftest import Place
from tests.contract.store.steps import after, put, rechained, reserved, shown

HOSTILE = [
    "$s", "$$ROOT", "$set", "a.b", ".", "", " ", "'", '"', "'; DROP TABLE tokens; --", "\\", "%", "{}",
    "null", "\n\t\r", "ä€𝄞", "\u202e", "e\u0301", "x" * 5000, "0", "1e9", "NaN", "{'$ne': 1}", "\u007f\u0001",
]  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_any_text_survives_in_every_place(store: Store, value: str) -> None:
    extra = {"note": value, "nested": {"deep": [value, {"k": value}], "$or": value, "a.b": value}}
    token = make_token(
        f"t{value}",
        metadata=TokenMetadata("p2p", parent_transaction_id=value, extra=extra),
        proofs=(evolve(make_proofs("x", 1)[0], secret=Secret(value), witness=Secret(value)),),
        unit=value,
        wallet_id=value,
    )
    operation = make_operation(
        f"o{value}",
        request=Secret(value),
        claim=value,
        idempotency=Idempotency(value, value),
        reason=Reason("CODE", value, details={"d": [value]}),
        quote=Quote(value, 1, 0, 9),
    )
    batch = batch_for(operation, tokens=[token])
    batch = rechained(batch, evolve(batch.audit[0], data={"x": {"$y": value}}, actor=value), *batch.audit[1:])
    store.commit(batch)
    assert store.operation(f"o{value}") == batch.operation.after
    assert list(store.tokens(TokenQuery(ids=(f"t{value}",)))) == after(batch)[1]
    assert tuple(store.audit(AuditQuery(operation_id=f"o{value}"))) == batch.audit
    assert store.operation_by_key(NPUB, value) == batch.operation.after
    assert store.operation_by_claim(value) == batch.operation.after
    assert list(store.tokens(TokenQuery(parent=value, unit=value))) == after(batch)[1]


def test_hostile_text_survives_an_advance(store: Store) -> None:
    operation, (token,) = put(store, make_token("a"), operation=make_operation())
    extra = {"$set": {"$where": "1"}, "x": ["$a", {"b.c": "$d"}]}
    changed = evolve(token, state="reserved", reserved_by="$x", metadata=TokenMetadata("p2p", extra=extra))
    advanced = evolve(operation, state="quoted", reason=Reason("C", "$m", details=extra))
    batch = batch_for(advanced, operation, tokens=[(token, changed)])
    store.commit(batch)
    assert store.operation("tx-1") == batch.operation.after and store.token("a") == after(batch)[1][0]


def test_metadata_of_other_programs_is_kept_when_ours_changes(store: Store) -> None:
    metadata = TokenMetadata("lightning", extra={"lightning_invoice": "lnbc", "mine": {"a": [1, None]}})
    operation, (token,) = put(store, make_token("a", metadata=metadata), operation=make_operation())
    stamped = evolve(token.metadata, operation_hash="ab" * 8, atomic_operation=True, operation_timestamp=5)
    batch = batch_for(
        evolve(operation, state="quoted"),
        operation,
        tokens=[(token, evolve(token, state="reserved", reserved_by="tx-1", metadata=stamped))],
    )
    store.commit(batch)
    stored = store.token("a")
    assert stored is not None and stored.metadata == stamped and stored.metadata.extra == metadata.extra


def test_every_field_of_an_operation_survives(store: Store) -> None:
    output = Output("k", 8, "02aa", Secret("s"), Secret("r"))
    operation = make_operation(
        method="bolt11", request=Secret("lnbc1"), payment_hash="aa", policy=Policy(True, "trust", ("a", "b")),
        fee_reserve=2, input_fee=1, sources_total=110, keep_total=5, loss=1,
        quote=Quote("q", 100, 2, 9, Secret("lnbc1")), inputs=(InputRef("a", 64, 2), InputRef("b", 46, 4)),
        keep_token_id="tx-1_keep", blanks=(output, output), request_body=Secret("{}"),
        fences=(Fence(1, (output,), 1, ("aa",), "refused", 3, 4, 5), Fence(2, (), 0)),
        payment=Payment(7, Secret("pre"), True, 1), change_token_id="c", change_amount=3, fenced_token_id="f",
        idempotency=Idempotency("k", "h"), claim="c", reason=Reason("A", "b", True, {"n": 1.5, "m": None}),
        attempts=3, sent_at=4, watch_since=5, parent_id="p",
        contested=(InputRef("x", 9, 1),), hold_until=21, held_unspent_since=22, recorded_hash="ab" * 32,
        evidence="caller", timings={"quote_ms": 12}, finished_at=9,
        next_check_at=11, lease=Lease("w", 12, 1),
    )  # fmt: skip
    batch = batch_for(operation)
    store.commit(batch)
    assert store.operation("tx-1") == batch.operation.after
    cleared = make_operation(state="reconciled", version=1)
    cleared = evolve(cleared, audit_seq=0)
    second = batch_for(cleared, batch.operation.after)
    store.commit(second)
    assert store.operation("tx-1") == second.operation.after


def test_every_field_of_a_token_survives(store: Store) -> None:
    proof = evolve(
        make_proofs("x", 8)[0], witness=Secret("w"), dleq=Dleq("e", "s", Secret("r")), Y="02bb"
    )  # fmt: skip
    token = make_token(
        "a", transaction_type="change", proofs=(proof, *make_proofs("y", 1, 2)), created_at=1,
        updated_at=2**40,
        metadata=TokenMetadata("change", "tx-0", "ab" * 8, True, 1_760_000_000_123, {"encoded_token": "x"}),
    )  # fmt: skip
    _, (stored,) = put(store, token)
    assert store.token("a") == stored


@pytest.mark.parametrize("at", [0, 1, 999, 1_000, 1_760_000_000_123, 253_402_300_799_999])
def test_times_survive_to_the_millisecond(store: Store, at: int) -> None:
    _, (token,) = put(store, make_token("a", state="spent", created_at=at, updated_at=at, spent_at=at))
    assert store.token("a") == token


@pytest.mark.parametrize("field", ["created_at", "updated_at"])
def test_a_time_beyond_the_calendar_is_refused(place: Place, field: str) -> None:
    with place.open() as store:
        held = place.dump()
        late: dict[str, Any] = {field: 253_402_300_800_000}
        with pytest.raises(InvalidBatch):
            put(store, make_token("a", **late))
        assert place.dump() == held


def test_a_thousand_proofs_in_one_batch(store: Store) -> None:
    amounts = [2 ** (n % 20) for n in range(1000)]
    operation, (token,) = put(store, make_token("big", *amounts), operation=make_operation())
    assert token.total_amount == sum(amounts) and store.token("big") == token
    keep = make_token("keep", transaction_type="change", proofs=token.proofs[:500])
    rest = evolve(token, proofs=token.proofs[500:], total_amount=token.total_amount - keep.total_amount)
    batch = batch_for(evolve(operation, state="quoted"), operation, tokens=[(token, rest), keep])
    store.commit(batch)
    owners = store.proof_owners([key for change in batch.index for key in change.keys])
    assert list(owners.values()) == ["keep"] * 500
    assert [held.amount for held in store.balance(NPUB)] == [sum(amounts)]


def test_two_hundred_tokens_in_one_batch(store: Store) -> None:
    operation, tokens = put(
        store, *(make_token(f"t{n:03}", 1) for n in range(200)), operation=make_operation()
    )
    batch = batch_for(evolve(operation, state="prepared"), operation, tokens=[reserved(t) for t in tokens])
    store.commit(batch)
    assert len(store.tokens(TokenQuery(reserved_by="tx-1"))) == 200


MARK = "MARKER-never-to-be-shown"


def _marked(token_id: str, **fields: Any) -> Any:
    proof = evolve(
        make_proofs("x", 1)[0], secret=Secret(MARK), C=Secret(MARK), witness=Secret(MARK),
        dleq=Dleq(MARK, MARK, Secret(MARK)),
    )  # fmt: skip
    return make_token(token_id, proofs=(proof,), **fields)


@pytest.mark.parametrize(
    "token",
    [
        _marked("b"),
        _marked("c", total_amount=5),
        _marked("d", transaction_type="melted"),
        _marked("e", metadata=TokenMetadata("p2p", extra={MARK: {1, 2}})),
        _marked("f", metadata=TokenMetadata("p2p", extra={"x": MARK + "\ud800"})),
        _marked("g", state="spent", spent_at=None),
        _marked("h", metadata=TokenMetadata("p2p", extra={"source": MARK})),
    ],
    ids=lambda token: token.transaction_id,
)
def test_no_refusal_shows_a_secret(store: Store, token: Any) -> None:
    put(store, _marked("a"))
    request: dict[str, Any] = {
        "request": Secret(MARK),
        "request_body": Secret(MARK),
        "quote": Quote("q", 1, 0, 9, Secret(MARK)),
    }
    with pytest.raises(NutstateError) as caught:
        store.commit(batch_for(make_operation(**request), tokens=[token]))
    assert MARK not in shown(caught.value) + repr(caught.value.as_dict())


def test_no_repr_of_what_is_read_shows_a_secret(store: Store) -> None:
    put(store, _marked("a"), operation=make_operation(request=Secret(MARK)))
    assert MARK not in repr(store.tokens(TokenQuery())) + repr(store.operation("tx-1")) + repr(store)
