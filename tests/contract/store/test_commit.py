"""One batch: all or nothing, once, and only on the state it was decided on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve

from nutstate.storage.batch import Batch, DedupTake, IndexInsert, IndexMove, proof_key
from nutstate.storage.errors import CommitUnknown, Conflict, Duplicate, StorageError, StoreUnavailable
from nutstate.storage.port import AuditQuery, Store, TokenQuery
from nutstate.storage.records import DedupRecord, Idempotency, Quote, Token
from nutstate.storage.testing.records import (
    NPUB,
    FaultyStore,
    batch_for,
    make_operation,
    make_proofs,
    make_token,
)
from tests.contract.store.conftest import Place
from tests.contract.store.steps import after, put, rechained, reserved, spent
from tests.support.data import with_fields


def test_an_inserted_batch_reads_back_exactly(store: Store) -> None:
    batch = batch_for(make_operation(state="reconciled"), tokens=[make_token("a"), make_token("b", 8)])
    store.commit(batch)
    operation, tokens = after(batch)
    assert store.operation(operation.id) == operation
    assert [store.token(token.transaction_id) for token in tokens] == tokens
    assert tuple(store.audit(AuditQuery(operation_id=operation.id))) == batch.audit


def test_what_is_not_there_reads_as_none(store: Store) -> None:
    assert store.operation("x") is None and store.token("x") is None and store.dedup("x") is None
    assert store.operation_by_key("n", "k") is None and store.operation_by_claim("c") is None
    assert store.proof_owners(["00"]) == {} and list(store.tokens(TokenQuery())) == []


def test_an_advance_changes_what_it_says_and_nothing_else(store: Store) -> None:
    operation, (a, b) = put(store, make_token("a"), make_token("b", 8), operation=make_operation())
    batch = batch_for(
        with_fields(operation, state="prepared", fee_reserve=3), operation, tokens=[reserved(a)]
    )
    store.commit(batch)
    stored, (stored_a,) = after(batch)
    assert store.operation("tx-1") == stored and store.token("a") == stored_a and store.token("b") == b


@pytest.mark.parametrize("field", ["state", "version"])
@pytest.mark.parametrize("entity", ["operation", "token"])
def test_a_stale_before_image_is_a_conflict(place: Place, entity: str, field: str) -> None:
    store = place.open()
    operation, (token,) = put(store, make_token("a"), operation=make_operation())
    stale = {"state": "reserved", "reserved_by": "tx-1"} if field == "state" else {"version": 2}
    if entity == "operation":
        old = evolve(operation, **({"state": "quoted"} if field == "state" else {"version": 2}))
        batch = batch_for(evolve(old, state="prepared"), old, tokens=[reserved(token)])
    else:
        before = evolve(token, **stale)
        batch = batch_for(evolve(operation, state="quoted"), operation, tokens=[reserved(before)])
    held = place.dump()
    with pytest.raises(Conflict) as caught:
        store.commit(batch)
    assert caught.value.entity == ("operation:tx-1" if entity == "operation" else "token:a")
    assert place.dump() == held
    store.close()


def test_an_advance_of_what_does_not_exist_is_a_conflict(store: Store) -> None:
    ghost = make_operation("ghost")
    with pytest.raises(Conflict):
        store.commit(batch_for(evolve(ghost, state="quoted"), ghost))


def _put(operation_id: str, **fields: Any) -> Batch:
    return batch_for(make_operation(operation_id, **fields))


UNIQUE: dict[str, Callable[[str], Batch]] = {
    "operation_id": lambda name: batch_for(make_operation("same"), batch_id=name),
    "idempotency_key": lambda name: _put(name, idempotency=Idempotency("k", "h")),
    "claim": lambda name: _put(name, claim="payment-hash"),
    "quote": lambda name: _put(name, quote=Quote("q", 1, 0, 9)),
    "token_id": lambda name: batch_for(
        make_operation(name), tokens=[make_token("t", proofs=make_proofs(name, 1))]
    ),
    "proof": lambda name: batch_for(
        make_operation(name), tokens=[make_token(f"token-{name}", proofs=make_proofs("p", 1))]
    ),
    "dedup": lambda name: batch_for(make_operation(name), dedup=DedupRecord("k", name, 9)),
    "audit": lambda name: _same_audit_id(batch_for(make_operation(name))),
}


def _same_audit_id(batch: Batch) -> Batch:
    return rechained(batch, evolve(batch.audit[0], id="same"))


@pytest.mark.parametrize("key", UNIQUE)
def test_every_unique_key_refuses_the_second(place: Place, key: str) -> None:
    store = place.open()
    store.commit(UNIQUE[key]("one"))
    held = place.dump()
    with pytest.raises(Duplicate) as caught:
        store.commit(UNIQUE[key]("two"))
    assert caught.value.key == key and place.dump() == held
    store.close()


@pytest.mark.parametrize("field", ["claim", "quote"])
def test_a_unique_key_also_holds_on_an_advance(place: Place, field: str) -> None:
    store = place.open()
    value: Any = "hash" if field == "claim" else Quote("q", 1, 0, 9)
    put(store, operation=make_operation("one", **{field: value}))
    two, _ = put(store, operation=make_operation("two"))
    held = place.dump()
    with pytest.raises(Duplicate) as caught:
        store.commit(batch_for(evolve(two, state="quoted", **{field: value}), two))
    assert caught.value.key == field and place.dump() == held
    store.close()


@pytest.mark.parametrize("ended", ["rejected", "cancelled", "expired", "released"])
def test_a_quote_nobody_paid_may_be_used_again(store: Store, ended: str) -> None:
    """Some mints answer the same quote when the same invoice is asked about again."""
    put(store, operation=make_operation("one", state=ended, quote=Quote("q", 1, 0, 9)))
    put(store, operation=make_operation("two", quote=Quote("q", 1, 0, 9)))
    with pytest.raises(Duplicate):
        put(store, operation=make_operation("three", quote=Quote("q", 1, 0, 9)))


def test_keys_are_unique_per_owner_and_mint_only(store: Store) -> None:
    put(store, operation=make_operation("one", idempotency=Idempotency("k", "h"), quote=Quote("q", 1, 0, 9)))
    other = make_operation(
        "two", npub="npub1other", mint_url="https://b", idempotency=Idempotency("k", "h"),
        quote=Quote("q", 1, 0, 9),
    )  # fmt: skip
    put(store, operation=other)
    found = store.operation_by_key("npub1other", "k")
    assert found is not None and found.id == "two"


def test_many_operations_without_key_claim_or_quote(store: Store) -> None:
    for n in range(3):
        put(store, operation=make_operation(f"tx-{n}"))
    assert len(store.live_operations(0, 10)) == 0 and store.operation("tx-2") is not None


def test_a_dropped_claim_can_be_taken_again(store: Store) -> None:
    one, _ = put(store, operation=make_operation("one", claim="hash"))
    store.commit(batch_for(evolve(one, state="released", claim=None), one))
    put(store, operation=make_operation("two", claim="hash"))
    holder = store.operation_by_claim("hash")
    assert holder is not None and holder.id == "two"


def _failing_batches(store: Store) -> dict[str, Batch]:
    """Batches whose every part but one would succeed."""
    _, (a, b) = put(store, make_token("a"), make_token("b", 8, 16))
    put(store, operation=make_operation("taken", claim="c", idempotency=Idempotency("k", "h")))
    put(store, make_token("c"), operation=make_operation("holder", quote=Quote("q", 1, 0, 9)))
    store.commit(batch_for(make_operation("deduped"), dedup=DedupRecord("d", "deduped", 9)))
    keep = make_token("keep", transaction_type="change", proofs=b.proofs[:1])
    rest = evolve(b, proofs=b.proofs[1:], total_amount=16, state="reserved", reserved_by="tx-1")
    changes: list[Token | tuple[Token, Token]] = [reserved(a), (b, rest), keep]

    def batch(operation_id: str = "tx-1", *more: Any, dedup: Any = None, **fields: Any) -> Batch:
        operation = make_operation(operation_id, **fields)
        return batch_for(operation, tokens=[*changes, *more], dedup=dedup, batch_id="failing")

    stale = evolve(a, version=7)
    good = batch()
    return {
        "operation id": batch("taken"),
        "idempotency key": batch(idempotency=Idempotency("k", "h")),
        "claim": batch(claim="c"),
        "quote": batch(quote=Quote("q", 1, 0, 9)),
        "dedup": batch(dedup=DedupRecord("d", "tx-1", 9)),
        "dedup taken over": batch(
            dedup=DedupTake(DedupRecord("d", "tx-1", 9), DedupRecord("d", "somebody", 9))
        ),
        "stale token": batch_for(
            make_operation(), tokens=[(b, rest), keep, reserved(stale)], batch_id="failing"
        ),
        "token id": batch("tx-1", make_token("c", proofs=make_proofs("fresh", 1))),
        "proof": batch("tx-1", make_token("z", proofs=make_proofs("c", 1))),
        "audit": rechained(good, *good.audit[:-1], evolve(good.audit[-1], id="batch-taken-1-1")),
    }


@pytest.mark.parametrize(
    "part",
    ["operation id", "idempotency key", "claim", "quote", "dedup", "dedup taken over", "stale token",
     "token id", "proof", "audit"],
)  # fmt: skip
def test_a_batch_that_fails_anywhere_leaves_nothing_behind(place: Place, part: str) -> None:
    with place.open() as store:
        batch = _failing_batches(store)[part]
        held = place.dump()
        with pytest.raises((Conflict, Duplicate)):
            store.commit(batch)
        assert place.dump() == held
        put(store, make_token("after"))  # the store is not left in a broken transaction


def test_a_move_of_a_proof_that_is_not_there_leaves_nothing_behind(place: Place) -> None:
    with place.open() as store:
        _, (b,) = put(store, make_token("b", 8, 16))
        place.forget_proof(proof_key(b.proofs[0].secret))
        keep = make_token("keep", transaction_type="change", proofs=b.proofs[:1])
        rest = evolve(b, proofs=b.proofs[1:], total_amount=16)
        held = place.dump()
        with pytest.raises(Conflict) as caught:
            store.commit(batch_for(make_operation(), tokens=[(b, rest), keep]))
        assert caught.value.entity == "token:b" and place.dump() == held


def test_sending_a_batch_again_changes_nothing(place: Place) -> None:
    with place.open() as store:
        operation, (a,) = put(store, make_token("a"), operation=make_operation())
        batch = batch_for(evolve(operation, state="prepared"), operation, tokens=[reserved(a)])
        store.commit(batch)
        held = place.dump()
        store.commit(batch)
        assert place.dump() == held


def test_sending_an_inserting_batch_again_changes_nothing(place: Place) -> None:
    with place.open() as store:
        batch = batch_for(
            make_operation(claim="c", idempotency=Idempotency("k", "h")),
            tokens=[make_token("a")],
            dedup=DedupRecord("d", "tx-1", 9),
        )
        store.commit(batch)
        held = place.dump()
        store.commit(batch)
        assert place.dump() == held


def test_a_batch_sent_again_after_later_ones_is_still_recognised(place: Place) -> None:
    with place.open() as store:
        first = batch_for(make_operation(), tokens=[make_token("a")])
        store.commit(first)
        operation, (a,) = after(first)
        store.commit(batch_for(evolve(operation, state="quoted"), operation, tokens=[reserved(a)]))
        held = place.dump()
        store.commit(first)
        assert place.dump() == held


def test_another_batch_with_the_same_content_is_refused(store: Store) -> None:
    store.commit(batch_for(make_operation(), batch_id="one"))
    with pytest.raises(Duplicate):
        store.commit(batch_for(make_operation(), batch_id="two"))


def test_a_lost_answer_is_resolved_by_sending_again(place: Place) -> None:
    with place.open() as inner:
        store = FaultyStore(inner, ["lost"])
        batch = batch_for(make_operation(), tokens=[make_token("a")])
        with pytest.raises(CommitUnknown):
            store.commit(batch)
        held = place.dump()
        store.commit(batch)
        assert place.dump() == held and inner.operation("tx-1") is not None


@pytest.mark.parametrize(
    "word, error", [("unknown", CommitUnknown), ("unavailable", StoreUnavailable), ("conflict", Conflict)]
)
def test_a_fault_before_the_commit_is_resolved_by_sending_again(
    store: Store, word: Any, error: type[StorageError]
) -> None:
    faulty = FaultyStore(store, [word])
    batch = batch_for(make_operation())
    with pytest.raises(error):
        faulty.commit(batch)
    assert store.operation("tx-1") is None
    faulty.commit(batch)
    assert store.operation("tx-1") is not None
    assert faulty.commits == [(batch.id, word), (batch.id, "ok")]


def test_several_transitions_of_one_entity_write_the_last_state_and_every_record(store: Store) -> None:
    batch = batch_for(
        make_operation(state="paying"),
        tokens=[make_token("a", state="spent")],
        path={"tx-1": ["requested", "quoted", "prepared"], "a": ["unspent", "reserved"]},
    )
    store.commit(batch)
    operation, (token,) = after(batch)
    assert (operation.version, token.version, token.prev_state) == (4, 3, "reserved")
    assert store.operation("tx-1") == operation and store.token("a") == token
    states = [(r.from_state, r.to_state) for r in store.audit(AuditQuery(entity="token:a"))]
    assert states == [("none", "unspent"), ("unspent", "reserved"), ("reserved", "spent")]


def test_proofs_move_from_token_to_token_and_never_copy(store: Store) -> None:
    operation, (source,) = put(store, make_token("s", 1, 2, 4), operation=make_operation())
    keep = make_token("tx-1_keep", transaction_type="change", proofs=source.proofs[:2])
    rest = evolve(source, proofs=source.proofs[2:], total_amount=4, state="reserved", reserved_by="tx-1")
    batch = batch_for(evolve(operation, state="prepared"), operation, tokens=[(source, rest), keep])
    assert any(isinstance(change, IndexMove) for change in batch.index)
    store.commit(batch)
    keys = [proof_key(proof.secret) for proof in source.proofs]
    assert store.proof_owners(keys) == {keys[0]: "tx-1_keep", keys[1]: "tx-1_keep", keys[2]: "s"}
    kept, left = store.token("tx-1_keep"), store.token("s")
    assert kept is not None and left is not None and kept.total_amount + left.total_amount == 7


def test_proofs_of_an_awaited_token_enter_the_index_when_issued(store: Store) -> None:
    operation, (token,) = put(
        store, make_token("m", state="awaiting", transaction_type="minted"), operation=make_operation()
    )
    assert token.total_amount == 0
    issued = evolve(token, state="unspent", proofs=make_proofs("m", 4, 8), total_amount=12)
    batch = batch_for(evolve(operation, state="quoted"), operation, tokens=[(token, issued)])
    assert isinstance(batch.index[0], IndexInsert)
    store.commit(batch)
    keys = [proof_key(proof.secret) for proof in issued.proofs]
    assert store.proof_owners(keys) == dict.fromkeys(keys, "m")


def test_two_awaited_tokens_do_not_collide(store: Store) -> None:
    put(store, make_token("m1", state="awaiting", transaction_type="minted"))
    put(store, make_token("m2", state="awaiting", transaction_type="minted"))
    assert len(store.tokens(TokenQuery(states=("awaiting",)))) == 2


def test_a_spent_proof_never_enters_again(store: Store) -> None:
    operation, (token,) = put(store, make_token("a", state="reserved"), operation=make_operation())
    store.commit(batch_for(evolve(operation, state="paid"), operation, tokens=[spent(token)]))
    with pytest.raises(Duplicate) as caught:
        put(store, make_token("again", proofs=token.proofs))
    assert caught.value.key == "proof"


def test_the_same_secret_under_another_mint_address_is_the_same_proof(place: Place) -> None:
    """One mint has many spellings; a proof is money once."""
    store = place.open()
    put(store, make_token("a", proofs=make_proofs("x", 1)))
    held = place.dump()
    with pytest.raises(Duplicate) as caught:
        put(store, make_token("b", proofs=make_proofs("x", 1), mint_url="https://other"))
    assert caught.value.key == "proof" and place.dump() == held
    store.close()


def test_tokens_that_change_alike_and_differently_in_one_batch(store: Store) -> None:
    tokens = [make_token(f"t{n}", 1, 2, state="reserved") for n in range(5)]
    operation, stored = put(store, *tokens, operation=make_operation())
    released = (stored[4], evolve(stored[4], state="unspent", reserved_by=None, updated_at=7))
    batch = batch_for(
        evolve(operation, state="paid"), operation, tokens=[*(spent(t) for t in stored[:4]), released]
    )
    store.commit(batch)
    assert [store.token(f"t{n}") for n in range(5)] == after(batch)[1]


def test_one_stale_token_among_many_is_named(place: Place) -> None:
    with place.open() as store:
        operation, stored = put(store, *(make_token(f"t{n}") for n in range(5)), operation=make_operation())
        other, _ = put(store, operation=make_operation("other"))
        store.commit(batch_for(evolve(other, state="quoted"), other, tokens=[reserved(stored[3], "other")]))
        held = place.dump()
        with pytest.raises(Conflict) as caught:
            batch = batch_for(
                evolve(operation, state="prepared"), operation, tokens=[reserved(t) for t in stored]
            )
            store.commit(batch)
        assert caught.value.entity == "token:t3" and place.dump() == held


def test_dedup_is_taken_read_and_taken_over(store: Store) -> None:
    first = DedupRecord("npub|hash", "tx-1", 100)
    store.commit(batch_for(make_operation("tx-1"), dedup=first))
    assert store.dedup("npub|hash") == first
    second = DedupRecord("npub|hash", "tx-2", 200)
    store.commit(batch_for(make_operation("tx-2"), dedup=DedupTake(second, previous=first)))
    assert store.dedup("npub|hash") == second


def test_r618_one_operation_holds_a_duplicate_window(place: Place) -> None:
    """R618: a new operation takes a key over. The one that held it holds it no more, and is otherwise as it
    was. A takeover that fails for another reason leaves it where it was."""
    with place.open() as store:
        first = batch_for(make_operation("tx-1", claim="c"), dedup=DedupRecord("k", "tx-1", 100))
        store.commit(first)
        taken = DedupTake(DedupRecord("k", "tx-2", 200), DedupRecord("k", "tx-1", 100))
        held = place.dump()
        with pytest.raises(Duplicate) as caught:
            store.commit(batch_for(make_operation("tx-2", claim="c"), dedup=taken))
        assert caught.value.key == "claim" and place.dump() == held
        store.commit(batch_for(make_operation("tx-2"), dedup=taken))
        assert store.dedup("k", NPUB) == taken.record
        assert store.operation("tx-1") == first.operation.after
        for stale in (taken, DedupTake(DedupRecord("k", "tx-3", 300))):
            third = evolve(stale, record=DedupRecord("k", "tx-3", 300))
            with pytest.raises((Conflict, Duplicate)):
                store.commit(batch_for(make_operation("tx-3"), dedup=third))
        again = DedupTake(DedupRecord("k", "tx-3", 300), taken.record)
        held_by, _ = put(store, operation=make_operation("tx-3"))
        store.commit(batch_for(evolve(held_by, state="quoted"), held_by, dedup=again))
        assert store.dedup("k") == again.record, "a stored operation may take it too, as a hold does"
        assert store.dedup("k", NPUB) == again.record


@pytest.mark.parametrize(
    "previous", [DedupRecord("k", "other", 100), DedupRecord("k", "tx-1", 99)], ids=["holder", "expiry"]
)
def test_dedup_is_taken_over_only_from_what_was_seen(store: Store, previous: DedupRecord) -> None:
    store.commit(batch_for(make_operation("tx-1"), dedup=DedupRecord("k", "tx-1", 100)))
    with pytest.raises(Conflict) as caught:
        store.commit(
            batch_for(make_operation("tx-2"), dedup=DedupTake(DedupRecord("k", "tx-2", 200), previous))
        )
    assert caught.value.entity == "dedup:k" and store.operation("tx-2") is None


def test_reopening_finds_everything(place: Place) -> None:
    batch = batch_for(
        make_operation(idempotency=Idempotency("k", "h")), tokens=[make_token("a")],
        dedup=DedupRecord("d", "tx-1", 9),
    )  # fmt: skip
    with place.open() as store:
        store.commit(batch)
    with place.open() as store:
        assert store.operation("tx-1") == batch.operation.after and store.token("a") == after(batch)[1][0]
        assert tuple(store.audit(AuditQuery(batch_id=batch.id))) == batch.audit
        assert store.dedup("d") is not None


def test_a_closed_store_says_so(place: Place) -> None:
    store = place.open()
    store.close()
    store.close()
    for use in (
        lambda: store.commit(batch_for(make_operation())),
        lambda: store.operation("x"),
        lambda: store.tokens(TokenQuery()),
        lambda: store.balance("n"),
        lambda: store.snapshot().__enter__(),
    ):
        with pytest.raises(StoreUnavailable):
            use()
