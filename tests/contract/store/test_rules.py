"""Batches that no store accepts from any caller: InvalidBatch, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve

from nutstate.storage.batch import Advance, Batch, DedupTake, IndexInsert, IndexMove, Insert
from nutstate.storage.errors import InvalidBatch
from nutstate.storage.port import Store
from nutstate.storage.records import DedupRecord, TokenMetadata
from nutstate.storage.secret import Secret
from nutstate.storage.testing.records import NOW, batch_for, make_operation, make_proofs, make_token
from tests.contract.store.conftest import Place
from tests.contract.store.steps import put, rechained, shown

TOO_MUCH = 2**53
MARK = "MARKER-never-to-be-shown"


def _inserting(**fields: Any) -> Batch:
    return batch_for(make_operation(), tokens=[make_token("a", **fields)])


def _amounts(*amounts: Any, total: Any = None) -> Batch:
    proofs = tuple(
        evolve(proof, amount=amount)
        for proof, amount in zip(make_proofs("a", *[1] * len(amounts)), amounts, strict=True)
    )
    return _inserting(proofs=proofs, total_amount=sum(amounts) if total is None else total)


INSERTS: dict[str, Callable[[], Batch]] = {
    "type melted": lambda: _inserting(transaction_type="melted"),
    "unknown type": lambda: _inserting(transaction_type="gift"),
    "unknown state": lambda: _inserting(state="melted"),
    "change without parent": lambda: _inserting(
        transaction_type="change", metadata=TokenMetadata("change")
    ),
    "change with an empty parent": lambda: _inserting(
        transaction_type="change", metadata=TokenMetadata("change", parent_transaction_id="")
    ),
    "change born spent": lambda: _inserting(transaction_type="change", state="spent"),
    "total too high": lambda: _inserting(total_amount=8),
    "total too low": lambda: _inserting(total_amount=6),
    "zero amount": lambda: _amounts(0, 1),
    "negative amount": lambda: _amounts(-1, 2),
    "bool amount": lambda: _amounts(True),
    "float amount": lambda: _amounts(1.0),
    "float total": lambda: _amounts(1, total=1.0),
    "huge amount": lambda: _amounts(TOO_MUCH),
    "huge total": lambda: _amounts(TOO_MUCH - 1, 1),
    "amount that is text": lambda: _amounts("1", total=1),
    "bool operation amount": lambda: batch_for(make_operation(amount=True)),
    "float operation amount": lambda: batch_for(make_operation(amount=1.5)),
    "negative count": lambda: batch_for(make_operation(attempts=-1)),
    "huge operation amount": lambda: batch_for(make_operation(amount=TOO_MUCH)),
    "secret twice in a token": lambda: _inserting(proofs=make_proofs("x", 1) * 2),
    "secret in two tokens": lambda: batch_for(
        make_operation(),
        tokens=[make_token(t, proofs=make_proofs("x", 1)) for t in ("a", "b")],
    ),
    "spent without spent_at": lambda: _inserting(state="spent", spent_at=None),
    "spent_at without spent": lambda: _inserting(spent_at=NOW),
    "reserved by nobody": lambda: _inserting(state="reserved", reserved_by=None),
    "unspent but reserved": lambda: _inserting(reserved_by="tx-1"),
    "same token twice": lambda: batch_for(
        make_operation(), tokens=[make_token("a", 1), make_token("a", proofs=make_proofs("y", 1))]
    ),
    "dedup of another operation": lambda: batch_for(
        make_operation(), dedup=DedupRecord("k", "tx-2", 9)
    ),
    "dedup taken over under another key": lambda: batch_for(
        make_operation(), dedup=DedupTake(DedupRecord("k", "tx-1", 9), DedupRecord("j", "tx-0", 1))
    ),
    "data that is not JSON": lambda: _with_data({"x": object()}),
    "data that is not a number": lambda: _with_data({"x": float("nan")}),
    "half a character": lambda: batch_for(make_operation(npub="\ud800")),
    "half a character in a secret": lambda: _inserting(
        proofs=(evolve(make_proofs("a", 7)[0], witness=Secret(MARK + "\ud800")),)
    ),
    "metadata that is not JSON": lambda: _inserting(
        metadata=TokenMetadata("p2p", extra={"x": {1, 2}})
    ),
    "metadata that hides a known field": lambda: _inserting(
        metadata=TokenMetadata("p2p", extra={"source": "mint"})
    ),
    "a secret that is not one": lambda: batch_for(make_operation(request=MARK)),
}  # fmt: skip


def _with_data(data: dict[str, Any]) -> Batch:
    batch = batch_for(make_operation())
    return evolve(batch, audit=(evolve(batch.audit[0], data=data),))


@pytest.mark.parametrize("rule", INSERTS)
def test_an_insert_that_breaks_a_rule_is_refused(place: Place, rule: str) -> None:
    with place.open() as store:
        batch, held = INSERTS[rule](), place.dump()
        with pytest.raises(InvalidBatch) as caught:
            store.commit(batch)
        assert place.dump() == held
        assert MARK not in shown(caught.value)


def _operation(batch: Batch, **fields: Any) -> Batch:
    return evolve(batch, operation=evolve(batch.operation, after=evolve(batch.operation.after, **fields)))


def _token(batch: Batch, **fields: Any) -> Batch:
    first, *others = batch.tokens
    return evolve(batch, tokens=(evolve(first, after=evolve(first.after, **fields)), *others))


def _record(batch: Batch, position: int, **fields: Any) -> Batch:
    records = list(batch.audit)
    records[position] = evolve(records[position], **fields)
    return rechained(batch, *records)


def _unchained(batch: Batch, **fields: Any) -> Batch:
    return evolve(batch, audit=(*batch.audit[:-1], evolve(batch.audit[-1], **fields)))


AUDIT: dict[str, Callable[[Batch], Batch]] = {
    "version of an insert": lambda b: _token(b, version=2),
    "version of an advance": lambda b: _operation(b, version=5),
    "no record for the token": lambda b: rechained(b, b.audit[0]),
    "no record at all": lambda b: evolve(b, audit=()),
    "one record too many": lambda b: rechained(
        b, *b.audit, evolve(b.audit[-1], id="more", seq=b.audit[-1].seq + 1)
    ),
    "a record about something else": lambda b: _record(b, 1, entity="token:other"),
    "versions with a gap": lambda b: _record(b, 0, version=3),
    "does not start where the record was": lambda b: _record(b, 0, from_state="quoted"),
    "does not end where the record is": lambda b: _record(b, 0, to_state="paid"),
    "prev_state": lambda b: _operation(b, prev_state="paying"),
    "seq": lambda b: _record(b, 1, seq=9),
    "prev_hash": lambda b: _unchained(b, prev_hash="0" * 64),
    "hash": lambda b: _unchained(b, hash="0" * 64),
    "content under a hash": lambda b: _unchained(b, actor="somebody"),
    "audit_hash of the operation": lambda b: _operation(b, audit_hash="0" * 64),
    "audit_seq of the operation": lambda b: _operation(b, audit_seq=7),
    "batch id of a record": lambda b: _record(b, 0, batch_id="other"),
    "operation id of a record": lambda b: _record(b, 0, operation_id="other"),
    "records out of order": lambda b: rechained(b, *reversed(b.audit)),
}


@pytest.mark.parametrize("rule", AUDIT)
def test_audit_that_does_not_fit_is_refused(place: Place, rule: str) -> None:
    with place.open() as store:
        operation, _ = put(store, operation=make_operation())
        good = batch_for(evolve(operation, state="prepared"), operation, tokens=[make_token("a")])
        held = place.dump()
        with pytest.raises(InvalidBatch):
            store.commit(AUDIT[rule](good))
        assert place.dump() == held
        store.commit(good)


def _elsewhere(batch: Batch, token_id: str, **fields: Any) -> Batch:
    """The batch with a token that is in another place."""
    return evolve(
        batch,
        tokens=tuple(
            evolve(change, after=evolve(change.after, **fields))
            if change.after.transaction_id == token_id
            else change
            for change in batch.tokens
        ),
    )


INDEX: dict[str, Callable[[Batch], Batch]] = {
    "a proof is moved to another mint": lambda b: _elsewhere(b, "keep", mint_url="https://b"),
    "a proof is moved to another unit": lambda b: _elsewhere(b, "keep", unit="usd"),
    "a proof is moved to another owner": lambda b: _elsewhere(b, "keep", npub="npub1other"),
    "money of another owner": lambda b: _elsewhere(b, "fresh", npub="npub1other"),
    "a proof is not indexed": lambda b: evolve(b, index=b.index[:1]),
    "a moved proof is not moved": lambda b: evolve(b, index=b.index[1:]),
    "a moved proof is inserted": lambda b: evolve(
        b, index=(IndexInsert(b.index[0].keys, "keep"), *b.index[1:])
    ),
    "a fresh proof is moved": lambda b: evolve(
        b, index=(b.index[0], IndexMove(b.index[1].keys, "s", "fresh"))
    ),
    "indexed for another token": lambda b: evolve(
        b, index=(b.index[0], IndexInsert(b.index[1].keys, "s"))
    ),
    "moved from another token": lambda b: evolve(
        b, index=(IndexMove(b.index[0].keys, "t", "keep"), *b.index[1:])
    ),
    "moved to another token": lambda b: evolve(
        b, index=(IndexMove(b.index[0].keys, "s", "fresh"), *b.index[1:])
    ),
    "a key of no proof": lambda b: evolve(b, index=(*b.index, IndexInsert(("0" * 64,), "fresh"))),
    "a key twice": lambda b: evolve(b, index=(*b.index, b.index[1])),
}  # fmt: skip


@pytest.mark.parametrize("rule", INDEX)
def test_index_changes_that_do_not_fit_the_proofs_are_refused(place: Place, rule: str) -> None:
    with place.open() as store:
        operation, (source,) = put(store, make_token("s", 1, 2, 4), operation=make_operation())
        keep = make_token("keep", transaction_type="change", proofs=source.proofs[:1])
        rest = evolve(source, proofs=source.proofs[1:], total_amount=6)
        good = batch_for(
            evolve(operation, state="quoted"),
            operation,
            tokens=[(source, rest), keep, make_token("fresh", 8)],
        )
        held = place.dump()
        with pytest.raises(InvalidBatch):
            store.commit(INDEX[rule](good))
        assert place.dump() == held
        store.commit(good)


def test_a_proof_never_disappears(place: Place) -> None:
    with place.open() as store:
        operation, (source,) = put(store, make_token("s", 1, 2), operation=make_operation())
        rest = evolve(source, proofs=source.proofs[1:], total_amount=2)
        batch = batch_for(evolve(operation, state="quoted"), operation, tokens=[(source, rest)])
        held = place.dump()
        with pytest.raises(InvalidBatch):
            store.commit(batch)
        assert place.dump() == held


@pytest.mark.parametrize(
    "field, value",
    [("npub", "other"), ("wallet_id", "w"), ("mint_url", "https://b"), ("unit", "usd"),
     ("transaction_type", "sent"), ("created_at", 1), ("transaction_id", "b")],
)  # fmt: skip
def test_what_a_token_is_never_changes(store: Store, field: str, value: Any) -> None:
    operation, (token,) = put(store, make_token("a"), operation=make_operation())
    batch = batch_for(evolve(operation, state="quoted"), operation, tokens=[(token, evolve(token))])
    with pytest.raises(InvalidBatch):
        store.commit(_token(batch, **{field: value}))


@pytest.mark.parametrize("field, value", [("npub", "x"), ("kind", "send"), ("id", "y"), ("created_at", 1)])
def test_what_an_operation_is_never_changes(store: Store, field: str, value: Any) -> None:
    operation, _ = put(store, operation=make_operation())
    batch = batch_for(evolve(operation, state="quoted"), operation)
    with pytest.raises(InvalidBatch):
        store.commit(_operation(batch, **{field: value}))


@pytest.mark.parametrize("state", ["unspent", "spent"])
def test_spent_is_final_and_stamped_once(place: Place, state: str) -> None:
    with place.open() as store:
        operation, (token,) = put(store, make_token("a", state="spent"), operation=make_operation())
        changed = evolve(token, state=state, spent_at=None if state == "unspent" else NOW + 1)
        held = place.dump()
        with pytest.raises(InvalidBatch):
            store.commit(batch_for(evolve(operation, state="quoted"), operation, tokens=[(token, changed)]))
        assert place.dump() == held


def test_history_of_spent_change_is_deposit_and_spend_in_one_batch(store: Store) -> None:
    token = make_token("a", transaction_type="change", state="spent")
    store.commit(batch_for(make_operation(), tokens=[token], path={"a": ["unspent"]}))
    stored = store.token("a")
    assert stored is not None and stored.state == "spent" and stored.version == 2


def test_a_batch_for_nothing_new_is_refused(store: Store) -> None:
    operation, _ = put(store, operation=make_operation())
    assert isinstance(Advance(operation, operation), Advance) and isinstance(Insert(operation), Insert)
    with pytest.raises(InvalidBatch):
        store.commit(Batch("empty", Advance(operation, evolve(operation, attempts=3))))
