"""Notes: leases and rescheduling. Bound to a term, never state, never money."""

from __future__ import annotations

import pytest
from attrs import evolve

from nutstate.storage.errors import StoreUnavailable
from nutstate.storage.port import DropLease, KeepLease, Note, Reschedule, Store, TakeLease
from nutstate.storage.records import Lease
from nutstate.storage.testing.records import FaultyStore, batch_for, make_operation
from tests.contract.store.conftest import Place
from tests.contract.store.steps import put


def take(worker: str, until: int, now: int, breaking: tuple[str, int] | None = None) -> TakeLease:
    return TakeLease("tx-1", worker, until, now, breaking)


@pytest.fixture
def held(store: Store) -> Store:
    """A store in which worker ``a`` holds tx-1 until 100 in term 1."""
    put(store, operation=make_operation())
    taken = store.note(take("a", 100, 0))
    assert taken is not None and taken.lease == Lease("a", 100, 1)
    return store


def lease_of(store: Store) -> Lease | None:
    operation = store.operation("tx-1")
    assert operation is not None
    return operation.lease


def test_taking_returns_the_operation_as_stored(held: Store) -> None:
    assert lease_of(held) == Lease("a", 100, 1)


@pytest.mark.parametrize("worker", ["a", "b"])
def test_a_running_lease_is_not_taken(held: Store, worker: str) -> None:
    assert held.note(take(worker, 200, 99)) is None
    assert lease_of(held) == Lease("a", 100, 1)


def test_r516_a_lease_that_has_run_out_is_taken_and_the_term_grows(held: Store) -> None:
    """R516: a note of the earlier term changes nothing any more."""
    assert held.note(take("b", 200, 100)) is not None
    assert held.note(KeepLease("tx-1", "b", 1, 300)) is None
    assert lease_of(held) == Lease("b", 200, 2)


def test_a_lease_is_broken_only_exactly(held: Store) -> None:
    assert held.note(take("b", 200, 10, ("a", 2))) is None
    assert held.note(take("b", 200, 10, ("x", 1))) is None
    assert held.note(take("b", 200, 10, ("a", 1))) is not None
    assert lease_of(held) == Lease("b", 200, 2)


def test_keeping_extends_what_we_hold(held: Store) -> None:
    kept = held.note(KeepLease("tx-1", "a", 1, 300))
    assert kept is not None and kept.lease == Lease("a", 300, 1)


def test_keeping_after_it_ran_out_works_while_nobody_took_it(held: Store) -> None:
    assert held.note(KeepLease("tx-1", "a", 1, 50)) is not None
    assert held.note(KeepLease("tx-1", "a", 1, 400)) is not None


@pytest.mark.parametrize(
    "note",
    [KeepLease("tx-1", "a", 1, 300), DropLease("tx-1", "a", 1), Reschedule("tx-1", "a", 1, 5)],
    ids=["keep", "drop", "reschedule"],
)
def test_a_fenced_off_worker_changes_nothing(held: Store, note: Note) -> None:
    held.note(take("b", 200, 100))
    before = held.operation("tx-1")
    assert held.note(note) is None
    assert held.operation("tx-1") == before


def test_the_same_worker_with_an_old_fence_changes_nothing(held: Store) -> None:
    held.note(take("a", 200, 100))
    assert held.note(KeepLease("tx-1", "a", 1, 300)) is None
    assert lease_of(held) == Lease("a", 200, 2)


def test_dropping_frees_it_and_the_fence_still_grows(held: Store) -> None:
    dropped = held.note(DropLease("tx-1", "a", 1))
    assert dropped is not None and dropped.lease is None
    assert held.note(DropLease("tx-1", "a", 1)) is None
    assert held.note(take("b", 200, 0)) is not None
    assert lease_of(held) == Lease("b", 200, 2)


@pytest.mark.parametrize(
    "note",
    [take("a", 1, 0), KeepLease("tx-1", "a", 1, 2), DropLease("tx-1", "a", 1), Reschedule("tx-1", "a", 1, 5)],
    ids=["take", "keep", "drop", "reschedule"],
)
def test_notes_about_nothing_are_refused(store: Store, note: Note) -> None:
    assert store.note(note) is None and store.operation("tx-1") is None


def test_rescheduling_moves_the_next_look_only(held: Store) -> None:
    before = held.operation("tx-1")
    after = held.note(Reschedule("tx-1", "a", 1, 777))
    assert before is not None and after == evolve(before, next_check_at=777)


def test_notes_write_no_audit_and_no_version(held: Store) -> None:
    held.note(Reschedule("tx-1", "a", 1, 777))
    operation = held.operation("tx-1")
    assert operation is not None and operation.version == 1 and operation.audit_seq == 1


def test_a_lease_survives_an_advance_decided_before_it_was_taken(store: Store) -> None:
    operation, _ = put(store, operation=make_operation())
    store.note(take("a", 100, 0))
    store.note(Reschedule("tx-1", "a", 1, 55))
    store.commit(batch_for(evolve(operation, state="quoted"), operation))
    stored = store.operation("tx-1")
    assert stored is not None and stored.state == "quoted"
    assert stored.lease == Lease("a", 100, 1) and stored.next_check_at == 55


def test_an_advance_can_drop_the_lease_and_the_term_lives_on(held: Store) -> None:
    operation = held.operation("tx-1")
    assert operation is not None
    held.commit(batch_for(evolve(operation, state="reconciled", lease=None, next_check_at=None), operation))
    assert lease_of(held) is None
    again = held.note(take("b", 9, 0))
    assert again is not None and again.lease == Lease("b", 9, 2)


def test_the_first_batch_can_set_the_lease(store: Store) -> None:
    put(store, operation=make_operation(lease=Lease("a", 100, 1), next_check_at=5))
    assert lease_of(store) == Lease("a", 100, 1)
    assert store.note(KeepLease("tx-1", "a", 1, 200)) is not None


def test_leases_of_other_operations_are_left_alone(held: Store) -> None:
    put(held, operation=make_operation("tx-2"))
    held.note(TakeLease("tx-2", "b", 100, 0))
    assert lease_of(held) == Lease("a", 100, 1)


def test_notes_survive_reopening(place: Place) -> None:
    with place.open() as store:
        put(store, operation=make_operation())
        store.note(take("a", 100, 0))
    with place.open() as store:
        assert lease_of(store) == Lease("a", 100, 1)


def test_notes_pass_through_a_faulty_store(held: Store) -> None:
    assert FaultyStore(held).note(KeepLease("tx-1", "a", 1, 300)) is not None


def test_a_closed_store_takes_no_notes(place: Place) -> None:
    store = place.open()
    store.close()
    with pytest.raises(StoreUnavailable):
        store.note(take("a", 100, 0))


def test_r213_a_lease_far_in_the_future_counts_as_run_out(held: Store) -> None:
    """R213: the wall clock was wrong when it was taken. What lasts up to ``beyond`` is left alone."""
    assert held.note(TakeLease("tx-1", "b", 150, 90, beyond=100)) is None
    taken = held.note(TakeLease("tx-1", "b", 150, 90, beyond=99))
    assert taken is not None and taken.lease is not None and taken.lease.worker == "b"
