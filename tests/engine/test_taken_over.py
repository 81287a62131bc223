"""Who goes on with an operation and when: leases, schedules, dead workers, and what is told when a commit is
overtaken or not answered."""

from __future__ import annotations

import itertools
from typing import Any

import attrs
import pytest

from nutstate import NutstateError, Store
from nutstate.engine.cashu.port import Ambiguous, ProofState
from nutstate.engine.ports import Worker
from nutstate.engine.simulated import faults
from nutstate.engine.tokens.proofs import name_of
from nutstate.storage.catalogue import DB_FAILURE_AFTER_SUCCESS
from nutstate.storage.port import OperationQuery, TokenQuery
from nutstate.storage.records import Operation
from nutstate.storage.testing.records import FaultyStore
from tests.support import invariants
from tests.support.crash import Crash, finish
from tests.support.data import data_in
from tests.support.ports import Between, on
from tests.support.recording import Wallet, proofs
from tests.support.wallet import NPUB, QUICK, funded, invoice, payment_hash

pytestmark = pytest.mark.every_store


class OnlyOurs(Worker):
    """Every other worker's process is gone."""

    def certainly_dead(self, other: str) -> bool:
        return True


class Notes:
    """A logger that keeps the names of what is noted."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def info(self, name: str, **fields: Any) -> None:
        self.names.append(name)

    warning = critical = info


def died_sending(store: Store) -> tuple[Any, Any, Any, Operation]:
    """A process died while its request was open: its lease runs, its operation is not due yet."""
    engine, mint, clock = funded(store)

    def dies(*args: object) -> Any:
        raise Crash("gone")

    with pytest.raises(Crash):
        on(engine, store, Between(mint, melt=dies)).melt(
            npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock)
        )
    (op,) = store.operations(OperationQuery(kind="melt"))
    assert op.state == "paying" and op.lease is not None
    return engine, mint, clock, op


# -- when ----------------------------------------------------------------------------------------------


def test_the_operation_of_a_dead_worker_is_taken_at_once(store: Store) -> None:
    """``recover()`` after a restart does not wait for the lease of the process that is gone."""
    engine, mint, clock, op = died_sending(store)
    heir = on(engine, store, mint)
    assert heir.recover() == (), "the worker may be alive and the operation is not due"
    heir._driver.worker = OnlyOurs()
    (found,) = heir.recover()
    assert found.id == op.id and found.state == "unknown"
    finish(heir, store, clock)
    assert heir.operation(op.id).state == "released"


def test_an_operation_is_due_at_its_very_moment(store: Store) -> None:
    engine, mint, clock, op = died_sending(store)
    assert op.next_check_at is not None
    clock.advance((op.next_check_at - clock.now() - 1) / 1000)
    assert on(engine, store, mint).recover() == ()
    clock.wall = op.next_check_at
    (found,) = on(engine, store, mint).recover()
    assert found.id == op.id


def test_nothing_final_is_due(store: Store) -> None:
    """An ended operation has no lease and no schedule, and keeps the time at which it ended."""
    engine, mint, clock = funded(store)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    (first,) = store.operations(OperationQuery(kind="melt"))
    assert (first.lease, first.next_check_at) == (None, None) and first.finished_at is not None
    clock.advance(100_000)
    assert engine.recover(force=True) == ()
    assert melt.refresh().record.finished_at == first.finished_at


@pytest.mark.parametrize("wait_s", [0, 3])
def test_a_drive_that_ends_gives_its_lease_up_and_says_when_to_look(store: Store, wait_s: float) -> None:
    """The next call goes on at once; a sweep without force comes back when the pause is over, not before."""
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.lightning.script(payment_hash(bolt11), "PENDING")
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=wait_s)
    assert melt.state == "pending" and melt.record.lease is None
    due = melt.record.next_check_at
    assert due is not None and clock.now() < due <= clock.now() + QUICK.poll_max_s * 1000 * 1.5
    assert engine.recover() == ()
    clock.wall = due
    assert [op.id for op in engine.recover()] == [melt.id]


def test_a_long_drive_keeps_its_lease(store: Store) -> None:
    """No other worker takes over while we poll, however long that is."""
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.lightning.script(payment_hash(bolt11), "PENDING")
    taken: list[Any] = []

    def look(*args: Any) -> Any:
        taken.extend(on(engine, store, mint).recover(force=True))
        (op,) = store.operations(OperationQuery(kind="melt"))
        assert op.lease is not None and op.lease.until > clock.now()
        return mint.melt_quote_state(*args)

    long = on(engine, store, Between(mint, melt_quote_state=look))
    melt = long.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=10 * QUICK.lease_s)
    assert melt.state == "pending" and {handle.state for handle in taken} == {"pending"}
    assert all(handle.record.lease is not None for handle in taken), "each time it was left to us"


def test_a_parked_operation_is_looked_at_again(store: Store) -> None:
    """Parked is not forgotten: a sweep without force finds it when its time has come."""
    engine, mint, clock = funded(store, mint_options={"without": [9]})
    mint.faults.next("melt", faults.REQUEST_LOST)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    assert melt.state == "attention" and melt.record.next_check_at is not None
    clock.wall = melt.record.next_check_at
    assert [op.id for op in engine.recover()] == [melt.id]


def test_a_prepared_melt_is_looked_at_when_its_quote_ends(store: Store) -> None:
    """Else its inputs stay reserved until a caller confirms it."""
    engine, mint, clock = funded(store)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    assert plan.record.quote is not None and plan.record.next_check_at is not None
    assert clock.now() < plan.record.next_check_at <= plan.record.quote.expires_at + 1000
    clock.advance((plan.record.quote.expires_at - clock.now()) / 1000)
    engine.recover()
    assert plan.refresh().state == "expired" and engine.balance(NPUB).unspent == 2000


# -- overtaken -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["lost", "refused"])
def test_a_window_counts_from_the_answer_also_when_its_commit_was_overtaken(
    store: Store, answer: str
) -> None:
    """The request was open for 20 s. Were the window counted from the sending, it would be over already."""
    engine, mint, clock = funded(store)
    faulty = FaultyStore(store, ["ok", "conflict"])

    def slow(*args: Any) -> Any:
        mint.faults.next("melt", faults.LATE)
        mint.melt(*args)
        clock.advance(20)
        return Ambiguous("cut", None)

    strict = on(engine, faulty, Between(mint, melt=slow))
    melt = strict.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=1)
    op = melt.record
    assert [word for _, word in faulty.commits[:3]] == ["ok", "conflict", "ok"]
    assert op.state == "unknown" and op.sent_by is None
    assert op.sent_at is not None and op.sent_at >= op.created_at + 20_000
    mint.deliver_late()
    finish(engine, store, clock)
    assert melt.refresh().state == "reconciled"
    invariants.check(store, mint)


def test_an_unanswered_commit_of_the_sending_is_told_as_perhaps_sent(store: Store) -> None:
    """The caller must not pay elsewhere: the store may hold the operation as sent."""
    engine, mint, clock = funded(store)
    broken = on(engine, FaultyStore(store, ["unknown"] * 20), mint)
    with pytest.raises(NutstateError) as caught:
        broken.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    error = caught.value
    assert error.code == DB_FAILURE_AFTER_SUCCESS and error.severity == "CRITICAL"
    assert (error.details["sent"], error.details["cause"]) == (True, "COMMIT_UNKNOWN")


def test_a_correction_that_was_overtaken_is_tried_again(store: Store) -> None:
    """The mint calls 512 sat SPENT twice; another write came between. Left out, they would be paid with."""
    engine, mint, _ = funded(store)
    (token,) = store.tokens(TokenQuery(npub=NPUB))
    spent = token.proofs[0]
    for _ in range(2):
        mint.faults.next("check_states", faults.lie_about({name_of(spent): "SPENT"}))
    report = on(engine, FaultyStore(store, ["conflict"]), mint).preflight(NPUB, mint.url, correct=True)
    assert report.corrected == spent.amount == engine.balance(NPUB).of("spent")


def test_what_was_reserved_meanwhile_is_not_called_corrected(store: Store) -> None:
    """Between the look and the correction another operation holds the token: the token belongs to it."""
    engine, mint, _ = funded(store)
    (token,) = store.tokens(TokenQuery(npub=NPUB))
    looks: list[int] = []

    def spent_and_held(mint_url: str, ys: Any) -> Any:
        looks.append(len(ys))
        if len(looks) == 2:
            engine.hold(npub=NPUB, mint_url=mint.url, sources=[token.transaction_id], ttl_s=60)
        return tuple(ProofState(y, "SPENT") for y in ys)

    looking = on(engine, store, Between(mint, check_states=spent_and_held))
    report = looking.preflight(NPUB, mint.url, correct=True)
    assert (report.corrected, report.operations) == (0, ()) and len(looks) == 2
    assert engine.balance(NPUB).reserved == 2000


def test_a_claim_that_another_still_has_is_waited_for_in_silence(store: Store) -> None:
    """Its sources are free, the payment is not: nothing is tried that the store must refuse."""
    notes = Notes()
    wallet = Wallet(store, 100, 200, logger=notes)
    hold = wallet.hold(100)
    bolt11 = invoice(90, wallet.clock)
    other = wallet.hold(200, payment_request=bolt11)
    with pytest.raises(NutstateError):
        wallet.record([], proofs(10), [], 90, hold=hold, payment_request=bolt11)
    for _ in range(3):
        wallet.clock.advance(10)
        wallet.engine.recover(force=True, wait_s=5)
    assert wallet.engine.operation(hold).state == "contested" and "recover_failed" not in notes.names
    wallet.engine.unhold(other)
    wallet.engine.recover(force=True)
    assert wallet.engine.operation(hold).state == "reconciled"


def test_an_operator_who_was_overtaken_decides_about_what_is_there_now(store: Store) -> None:
    """The first decision does not hold for the version that is stored meanwhile; the second look does."""
    engine, mint, clock = funded(store, mint_options={"without": [9]})
    mint.faults.next("melt", faults.REQUEST_LOST)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    assert melt.state == "attention"
    looks: list[int] = []

    def counted(*args: Any) -> Any:
        looks.append(1)
        return mint.check_states(*args)

    overtaken = on(engine, FaultyStore(store, ["conflict"]), Between(mint, check_states=counted))
    once = on(engine, store, Between(mint, check_states=counted))
    assert overtaken.write_off(melt.id, "give it up", force=True).state == "written_off"
    asked = len(looks)
    assert asked >= 2 and data_in(once.operation(melt.id).record).loss == 0
    assert once.balance(NPUB).stranded == melt.inputs


# -- waiting -------------------------------------------------------------------------------------------


def test_a_call_never_waits_longer_than_it_was_told(store: Store) -> None:
    """Its caller has a time-out of its own; the pause before the next look is cut."""
    engine, mint, clock = funded(store, settings=attrs.evolve(QUICK, poll_min_s=30, poll_max_s=30))
    bolt11 = invoice(700, clock)
    mint.lightning.script(payment_hash(bolt11), "PENDING")
    began = clock.monotonic()
    engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=7)
    assert clock.monotonic() - began == pytest.approx(7, abs=0.1)


def test_looks_become_rarer_up_to_a_bound(store: Store) -> None:
    """An unanswered payment is not asked about without end, and never less often than is configured."""
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.lightning.script(payment_hash(bolt11), "PENDING")
    at: list[float] = []

    def look(*args: Any) -> Any:
        at.append(clock.monotonic())
        return mint.melt_quote_state(*args)

    on(engine, store, Between(mint, melt_quote_state=look)).melt(
        npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=200
    )
    gaps = [b - a for a, b in itertools.pairwise(at)]
    assert all(0 < gap <= QUICK.poll_max_s * 1.5 for gap in gaps)
    assert min(gaps[-10:-1]) >= QUICK.poll_max_s / 2 and max(gaps[:2]) < QUICK.poll_max_s / 2


def test_the_end_of_the_settle_window_is_not_slept_through(store: Store) -> None:
    """With long pauses a failed payment is told when the window ends, not a pause later."""
    engine, mint, clock = funded(store, settings=attrs.evolve(QUICK, poll_min_s=60, poll_max_s=60))
    mint.faults.next("melt", faults.REQUEST_LOST)
    began = clock.monotonic()
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=100)
    assert melt.state == "released" and clock.monotonic() - began < QUICK.settle_window_s + 2


def test_a_broken_adapter_leaves_the_operation_to_the_next_call(store: Store) -> None:
    """A mint port that raises keeps no lease: the same caller may go on at once."""
    engine, mint, clock = funded(store)

    def broken(*args: Any) -> Any:
        raise ZeroDivisionError

    mint.faults.next("melt", faults.ANSWER_LOST)
    melt = on(engine, store, Between(mint, melt_quote_state=broken)).melt(
        npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=0
    )
    assert melt.state == "unknown" and melt.record.lease is None
    assert [found.state for found in engine.recover(force=True)] == ["reconciled"]
