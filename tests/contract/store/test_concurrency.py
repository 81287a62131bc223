"""Several threads on one store, and two handles on one place."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from attrs import evolve

from nutstate.storage.batch import DedupTake
from nutstate.storage.errors import Conflict, Duplicate
from nutstate.storage.port import AuditQuery, Store, TakeLease
from nutstate.storage.records import DedupRecord, Idempotency
from nutstate.storage.testing.records import NPUB, batch_for, make_operation, make_proofs, make_token
from tests.contract.store.conftest import Place
from tests.contract.store.steps import after, put, reserved
from tests.support.together import together

ROUNDS = 200


def race(*attempts: Callable[[], Any]) -> list[Any]:
    """Run all at the same moment; each result or the error it ended with."""
    return together(attempts, (Conflict, Duplicate))


def winners(results: list[Any], loss: type[Exception]) -> int:
    assert all(result is None or isinstance(result, loss) for result in results)
    return results.count(None)


def turn(n: int) -> str:
    """Two states between which a melt can go to and fro."""
    return ("pending", "unknown")[n % 2]


@pytest.mark.slow
def test_one_of_two_melts_of_a_token_wins_200_times(store: Store) -> None:
    for n in range(ROUNDS):
        _, (token,) = put(store, make_token(f"t{n}", 1, proofs=make_proofs(f"t{n}", 1)))
        batches = [
            batch_for(make_operation(f"tx-{n}-{w}"), tokens=[reserved(token, f"tx-{n}-{w}")]) for w in "ab"
        ]
        results = race(*(partial(store.commit, b) for b in batches))
        assert winners(results, Conflict) == 1
        stored = store.token(f"t{n}")
        won = batches[results.index(None)].operation.after.id
        assert stored is not None and stored.reserved_by == won
        assert [store.operation(b.operation.after.id) is not None for b in batches] == [
            result is None for result in results
        ]


def test_one_of_two_advances_of_an_operation_wins(store: Store) -> None:
    operation, _ = put(store, operation=make_operation(state="unknown"))
    for n in range(50):
        batches = [batch_for(evolve(operation, state=turn(n)), operation, batch_id=f"{w}{n}") for w in "ab"]
        results = race(*(partial(store.commit, b) for b in batches))
        assert winners(results, Conflict) == 1
        operation, _ = after(batches[results.index(None)])
        assert store.operation("tx-1") == operation


def test_one_idempotency_key_one_operation(store: Store) -> None:
    for n in range(25):
        key = Idempotency(f"key-{n}", "h")
        batches = [batch_for(make_operation(f"tx-{n}-{w}", idempotency=key)) for w in "abcd"]
        results = race(*(partial(store.commit, b) for b in batches))
        assert winners(results, Duplicate) == 1
        holder = store.operation_by_key(NPUB, f"key-{n}")
        assert holder is not None and holder.id == batches[results.index(None)].operation.after.id


def test_the_same_batch_from_two_threads_is_applied_once(place: Place) -> None:
    with place.open() as store:
        for n in range(25):
            batch = batch_for(make_operation(f"tx-{n}"), tokens=[make_token(f"t{n}")])
            assert race(partial(store.commit, batch), partial(store.commit, batch)) == [None, None]
            assert tuple(store.audit(AuditQuery(batch_id=batch.id))) == batch.audit


def test_one_of_many_takes_over_an_expired_dedup_record(store: Store) -> None:
    held = DedupRecord("k", "tx-0", 0)
    store.commit(batch_for(make_operation("tx-0"), dedup=held))
    for n in range(1, 25):
        batches = [
            batch_for(
                make_operation(f"tx-{n}-{w}"), dedup=DedupTake(DedupRecord("k", f"tx-{n}-{w}", n), held)
            )
            for w in "abc"
        ]
        results = race(*(partial(store.commit, b) for b in batches))
        assert winners(results, Conflict) == 1
        stored = store.dedup("k")
        assert stored is not None
        assert stored.operation_id == batches[results.index(None)].operation.after.id
        held = stored


def test_one_of_many_inserts_a_dedup_record(store: Store) -> None:
    for n in range(25):
        batches = [
            batch_for(make_operation(f"tx-{n}-{w}"), dedup=DedupRecord(f"k{n}", f"tx-{n}-{w}", n))
            for w in "abc"
        ]
        results = race(*(partial(store.commit, b) for b in batches))
        assert winners(results, Duplicate) == 1


def test_one_of_many_gets_a_lease(store: Store) -> None:
    put(store, operation=make_operation())
    for n in range(1, 25):
        now = n * 100
        results = race(*(partial(store.note, TakeLease("tx-1", w, now + 100, now)) for w in "abcd"))
        assert sum(result is not None for result in results) == 1
        operation = store.operation("tx-1")
        assert operation is not None and operation.lease is not None and operation.lease.term == n


def test_a_lease_and_a_commit_at_once_both_count(store: Store) -> None:
    operation, _ = put(store, operation=make_operation(state="unknown"))
    for n in range(25):
        batch = batch_for(evolve(operation, state=turn(n)), operation, batch_id=f"b{n}")
        now = n * 100
        results = race(
            partial(store.commit, batch), partial(store.note, TakeLease("tx-1", "w", now + 1, now))
        )
        assert results[0] is None and results[1] is not None
        stored = store.operation("tx-1")
        assert stored is not None and stored.state == turn(n) and stored.lease is not None
        operation = stored


def test_readers_never_see_half_a_batch(store: Store) -> None:
    """Value moves between two states while a reader sums it up (I1)."""
    operation, tokens = put(
        store, make_token("a", 8), make_token("b", 8), operation=make_operation(state="unknown")
    )
    done = threading.Event()
    sums: list[int] = []

    def read() -> None:
        while not done.is_set():
            with store.snapshot() as reads:
                held = reads.balance(NPUB)
                sums.append(sum(h.amount for h in held))
                states = {t.state for t in map(reads.token, ("a", "b")) if t is not None}
                assert len(states) == 1 and {h.state for h in held} == states

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read)
        try:
            for n in range(60):
                to = {"unspent": "reserved", "reserved": "unspent"}[tokens[0].state]
                by = "tx-1" if to == "reserved" else None
                pairs = [(token, evolve(token, state=to, reserved_by=by)) for token in tokens]
                batch = batch_for(evolve(operation, state=turn(n)), operation, tokens=pairs, batch_id=f"b{n}")
                store.commit(batch)
                operation, tokens = after(batch)
        finally:
            done.set()
        reader.result()
    assert sums and set(sums) == {16}


def test_two_handles_on_one_place_see_each_other(place: Place) -> None:
    with place.open() as one, place.open() as two:
        operation, (token,) = put(one, make_token("a"), operation=make_operation())
        assert two.token("a") == token
        two.commit(batch_for(evolve(operation, state="quoted"), operation, batch_id="two"))
        results = race(
            partial(one.commit, batch_for(evolve(operation, state="quoted"), operation, batch_id="one"))
        )
        assert isinstance(results[0], Conflict)


def test_threads_come_and_go(store: Store) -> None:
    for n in range(20):
        thread = threading.Thread(target=put, args=(store, make_token(f"t{n}")))
        thread.start()
        thread.join()
    assert sum(held.tokens for held in store.balance(NPUB)) == 20
