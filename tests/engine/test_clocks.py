"""Time that decides about money is counted, not read off a clock that can be set: the wall clock is set
during a drive, before a takeover and before a reload, forward and back."""

from __future__ import annotations

from typing import Any

import pytest

from nutstate import Engine, SimulatedMint, Store
from nutstate.engine.ports import Worker
from nutstate.engine.simulated import faults
from nutstate.storage.port import OperationQuery
from tests.support import invariants
from tests.support.clock import FakeClock
from tests.support.crash import Crash, finish
from tests.support.data import data_in
from tests.support.ports import Between, engine_on, on, silent
from tests.support.stories import HOUR_S, failing
from tests.support.wallet import NPUB, QUICK, funded, invoice, payment_hash


class Dead(Worker):
    """Every other process is gone."""

    def certainly_dead(self, other: str) -> bool:
        return True


def set_at_every_question(mint: SimulatedMint, clock: FakeClock, seconds: float) -> Any:
    """A mint during whose answers about the quote the wall clock is set."""

    def answer(*args: Any) -> Any:
        clock.jump(seconds)
        return mint.melt_quote_state(*args)

    return Between(mint, melt_quote_state=answer)


def left_unknown(store: Store) -> tuple[Engine, SimulatedMint, FakeClock, str]:
    """A payment whose request may still arrive; no worker drives it."""
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.LATE)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=0)
    assert melt.state == "unknown"
    return engine, mint, clock, melt.id


def test_a_clock_set_forward_during_a_drive_ends_no_window(store: Store) -> None:
    """The late request would find its inputs swapped away, or worse: freed."""
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.LATE)
    racing = on(engine, store, set_at_every_question(mint, clock, HOUR_S))
    melt = racing.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=2)
    assert melt.state == "unknown"
    mint.deliver_late()
    finish(engine, store, clock)
    assert melt.refresh().state == "reconciled"
    invariants.check(store, mint)


def test_a_clock_set_back_during_a_drive_lengthens_no_window(store: Store) -> None:
    """A clock that is put back again and again would keep the inputs locked for ever."""
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.REQUEST_LOST)
    racing = on(engine, store, set_at_every_question(mint, clock, -HOUR_S))
    melt = racing.melt(
        npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=QUICK.settle_window_s + 5
    )
    assert melt.state == "released"
    invariants.check(store, mint)


@pytest.mark.parametrize("seconds", [HOUR_S, -HOUR_S])
def test_a_clock_set_while_another_takes_over_ends_no_window(store: Store, seconds: float) -> None:
    """The drive of the one who took over counts from its loading, whatever the wall clock does meanwhile."""
    engine, mint, clock, melt_id = left_unknown(store)
    racing = on(engine, store, set_at_every_question(mint, clock, seconds))
    racing.recover(force=True, wait_s=2)
    assert engine.operation(melt_id).state == "unknown"
    mint.deliver_late()
    finish(engine, store, clock)
    assert engine.operation(melt_id).state == "reconciled"
    invariants.check(store, mint)


def test_a_clock_set_back_before_a_takeover_keeps_nothing_locked(store: Store) -> None:
    """It was sent in the future, as it seems: then the window counts from the loading."""
    engine, mint, clock, melt_id = left_unknown(store)
    clock.jump(-HOUR_S / 2)
    other = on(engine, store, mint)
    other.recover(force=True, wait_s=QUICK.settle_window_s - 1)
    assert other.operation(melt_id).state == "unknown"
    other.recover(force=True, wait_s=QUICK.settle_window_s + 5)
    assert other.operation(melt_id).state == "released"
    mint.deliver_late()
    invariants.check(store, mint)


def test_a_clock_set_back_by_more_than_our_patience_is_told_and_heals(store: Store) -> None:
    """How old the request is cannot be known any more: a person is told, and the mint's answer ends it."""
    engine, mint, clock, melt_id = left_unknown(store)
    clock.jump(-HOUR_S * QUICK.unknown_age_max_h)
    other = on(engine, store, mint)
    other.recover(force=True, wait_s=QUICK.settle_window_s - 1)
    assert other.operation(melt_id).state == "attention"
    mint.deliver_late()
    other.recover(force=True, wait_s=1)
    assert other.operation(melt_id).state == "reconciled"
    invariants.check(store, mint)


def test_a_request_whose_sender_is_gone_needs_no_longer_wait(store: Store) -> None:
    """No worker can still be sending it: the settle window alone is waited for. A living sender gets more."""
    engine, mint, clock = funded(store)
    dying = on(engine, store, Between(mint, melt=_dies))
    with pytest.raises(Crash):
        dying.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    (op,) = store.operations(OperationQuery(kind="melt"))
    assert op.state == "paying"
    clock.advance(QUICK.lease_s + 1)
    alive = on(engine, store, mint)
    alive.recover(force=True, wait_s=QUICK.settle_window_s + 5)
    assert engine.operation(op.id).state == "unknown"
    heir = on(engine, store, mint)
    heir._driver.worker = Dead()
    heir.recover(force=True, wait_s=QUICK.settle_window_s + 5)
    assert engine.operation(op.id).state == "released"
    invariants.check(store, mint)


def _dies(*args: object) -> Any:
    raise Crash("while the request is open")


def test_what_another_stored_meanwhile_is_not_older_than_its_reading(store: Store) -> None:
    """A's drive is overtaken by B, who sends again; the wall clock is set forward between. A goes on from
    what B stored, and no time that the clock was set counts as waited."""
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.lightning.script(payment_hash(bolt11), "FAILED")
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, on_unpaid="retry_then_fence", wait_s=0)
    seen: list[str] = []

    def overtaken(*args: Any) -> Any:
        answer = mint.check_states(*args)
        if not seen:
            clock.advance(QUICK.lease_s + 1)
            with pytest.raises(Crash):
                on(engine, store, Between(mint, melt=_dies)).recover(force=True)
            seen.append(melt.refresh().state)
            clock.jump(HOUR_S / 2)
        return answer

    clock.advance(QUICK.settle_window_s + 1)
    first = on(engine, store, Between(mint, check_states=overtaken))
    first.recover(force=True, wait_s=10)
    assert seen == ["paying"]
    assert melt.refresh().state == "unknown", "B's request may still be open"
    finish(engine, store, clock)
    assert melt.refresh().state == "released"
    invariants.check(store, mint)


def test_the_clock_jumps_between_the_two_looks(store: Store) -> None:
    """refused, first look under a clock ten years ahead, then another worker."""
    engine, mint, clock, bolt11 = failing(store)
    a = engine_on(store, clock, mint)
    m = a.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=0)
    clock.jump(10 * 365 * 24 * HOUR_S)
    b = engine_on(store, clock, mint)
    b.recover(force=True)
    clock.jump(-10 * 365 * 24 * HOUR_S)
    c = engine_on(store, clock, mint)
    for _ in range(10):
        clock.advance(3)
        c.recover(force=True)
    assert (
        m.refresh().state == "stuck" and m.refresh().outcome == "parked" and c.balance(NPUB).unspent == 2000
    )
    assert c.resume(m.id, "the clock was wrong", wait_s=0).state == "watching"
    clock.advance(QUICK.watch_window_h * HOUR_S)
    c.recover(force=True)
    assert m.refresh().state == "released"
    invariants.check(store, mint)


def test_a_first_look_under_a_clock_that_is_ahead(store: Store) -> None:
    """It is parked, keeps its coins, and an operator sends it on."""
    engine, mint, clock, bolt11 = failing(store)
    ahead = {"n": 0}

    def state(url: str, name: str) -> Any:
        ahead["n"] += 1
        return silent() if ahead["n"] == 1 else mint.melt_quote_state(url, name)

    a = engine_on(store, clock, Between(mint, melt_quote_state=state))
    m = a.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=0)
    assert m.state == "refused" and data_in(m.record).held_unspent_since is None
    clock.jump(20 * HOUR_S)
    a.recover(force=True)
    clock.jump(-20 * HOUR_S)
    for _ in range(10):
        clock.advance(3)
        engine_on(store, clock, mint).recover(force=True)
    assert m.refresh().state == "attention"
    assert engine.resume(m.id, "the clock was wrong").state == "released"
    invariants.check(store, mint)
