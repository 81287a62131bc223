"""No operation stays live for ever, and every parked one has an exit (R327 to R338)."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from nutstate import Engine, MintError, Refused, Store
from nutstate.engine.cashu.port import is_value
from nutstate.engine.simulated import faults
from nutstate.storage.port import TokenQuery
from nutstate.testing import FaultyStore
from tests.support import invariants
from tests.support.crash import finish
from tests.support.data import data_in
from tests.support.ports import Between, engine_on, silent
from tests.support.stories import HOUR_S, in_flight
from tests.support.wallet import NPUB, QUICK, funded, invoice, payment_hash


def test_r327_answers_that_alternate_do_not_keep_it_live(store: Store) -> None:
    """PENDING and UNPAID in turns are accepted transitions each, and no end: age is judged before them."""
    engine, mint, clock, melt, _ = in_flight(store)
    turn = {"n": 0}

    def flapping(url: str, name: str) -> Any:
        turn["n"] += 1
        told = mint.melt_quote_state(url, name)
        return attrs.evolve(told, state=("PENDING", "UNPAID")[turn["n"] % 2])

    two_minds = engine_on(store, clock, Between(mint, melt_quote_state=flapping))
    for _ in range(80):
        clock.advance(60)
        two_minds.recover(force=True)
    parked = melt.refresh()
    assert parked.state == "attention" and parked.alarm is not None
    assert parked.reason is not None and parked.reason.code == "UNRESOLVED_TOO_LONG"
    assert engine.balance(NPUB).reserved == melt.inputs
    invariants.check(store)


def test_r328_paid_with_a_mint_that_died_is_parked(store: Store) -> None:
    """Change was seen empty once, then the mint is gone: only another clear answer would decide."""
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.change_short(10_000))
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=0)
    assert melt.is_paid
    dead = engine_on(store, clock, Between(mint, melt_quote_state=silent, restore=silent))
    for _ in range(4):
        clock.advance(HOUR_S)
        dead.recover(force=True)
    assert melt.refresh().is_parked and melt.refresh().alarm == "CRITICAL_MELT_FAILURE"


def test_r329_a_watch_without_answers_is_parked_and_ends(store: Store) -> None:
    """``stuck`` is polled on: an answer ends it, an operator watches on or ends it."""
    engine, mint, clock = funded(store)
    bolt11 = invoice(50, clock)
    mint.lightning.script(payment_hash(bolt11), "FAILED")
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    assert melt.state == "watching"
    dead = engine_on(store, clock, Between(mint, melt_quote_state=silent))
    clock.advance((QUICK.watch_window_h + QUICK.unknown_age_max_h) * HOUR_S + 1)
    dead.recover(force=True)
    assert melt.refresh().state == "stuck" and melt.refresh().outcome == "parked"
    with pytest.raises(MintError):
        dead.write_off(melt.id, "it never answers")
    watched = dead.resume(melt.id, "watch on", wait_s=0)
    assert watched.state == "watching"
    clock.advance((QUICK.watch_window_h + QUICK.unknown_age_max_h) * HOUR_S + 1)
    dead.recover(force=True)
    assert melt.refresh().state == "stuck"
    engine.recover(force=True)
    assert melt.refresh().state == "released", "an answer ends it"
    invariants.check(store, mint)


def test_r329_force_ends_a_stuck_watch(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(50, clock)
    mint.lightning.script(payment_hash(bolt11), "FAILED")
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    dead = engine_on(store, clock, Between(mint, melt_quote_state=silent))
    clock.advance((QUICK.watch_window_h + QUICK.unknown_age_max_h) * HOUR_S + 1)
    ended = dead.write_off(melt.id, "gone for good", force=True)
    assert ended.is_final and ended.record.claim is not None, "a live one that is too old takes it too"
    assert engine.balance(NPUB).unspent == 2000
    invariants.check(store, mint)


def test_r330_drives_that_fail_are_counted_and_parked(store: Store) -> None:
    """Whatever makes every drive of one operation fail, it ends parked, CRITICAL, by a commit of its own."""
    engine, mint, clock, melt, _ = in_flight(store)

    class Odd(Exception):
        pass

    def raising(*_: Any) -> Any:
        raise Odd("secret words")

    broken = engine_on(store, clock, mint, drive_failures_max=3)
    broken._recovery.open_run = raising
    for n in range(3):
        assert melt.refresh().state == "pending" and melt.refresh().record.failures == n
        clock.advance(100)
        broken.recover(force=True)
    parked = melt.refresh()
    assert parked.state == "attention" and parked.alarm is not None
    assert parked.reason is not None and parked.reason.code == "DRIVE_FAILED"
    assert "Odd" in parked.reason.message and "secret" not in str(parked.as_dict())
    mint.lightning.settle(payment_hash_of(melt))
    finish(engine, store, clock)
    assert melt.refresh().state == "reconciled", "it is polled on, and heals"
    invariants.check(store, mint)


def payment_hash_of(melt: Any) -> str:
    return str(melt.record.payment_hash)


def test_r330_an_outage_of_the_store_is_no_failing_drive(store: Store) -> None:

    engine, mint, clock, melt, _ = in_flight(store)
    mint.lightning.settle(payment_hash_of(melt))
    down = Engine(FaultyStore(store, ["unavailable"] * 50), mint, clock=clock, settings=QUICK)
    for _ in range(15):
        clock.advance(100)
        down.recover(force=True)
    assert melt.refresh().record.failures == 0 and melt.refresh().state == "pending"
    finish(engine, store, clock)
    assert melt.refresh().state == "reconciled"


def test_r331_resume_starts_patience_anew(store: Store) -> None:
    """What an operator sends back to work is not too old at its next look."""
    engine, mint, clock, melt, _ = in_flight(store)
    clock.advance(2 * HOUR_S)
    engine.recover(force=True)
    assert melt.refresh().state == "attention"
    engine.resume(melt.id, "wait on", wait_s=0)
    clock.advance(0.5 * HOUR_S)
    engine.recover(force=True)
    assert melt.refresh().state == "pending"
    clock.advance(0.6 * HOUR_S)
    engine.recover(force=True)
    assert melt.refresh().state == "attention"


def forced(store: Store) -> Any:
    """A payment that the mint calls PENDING for ever, given up by force."""
    engine, mint, clock, melt, hashed = in_flight(store)
    clock.advance(2 * HOUR_S)
    engine.recover(force=True)
    with pytest.raises(Refused) as refused:
        engine.write_off(melt.id, "weeks in flight")
    assert refused.value.code == "PAYMENT_IN_FLIGHT"
    ended = engine.write_off(melt.id, "weeks in flight", force=True)
    assert ended.state == "written_off" and ended.is_final
    held = engine.balance(NPUB)
    assert (held.stranded, held.reserved, held.unspent) == (melt.inputs, 0, 2000 - melt.inputs)
    with pytest.raises(Refused) as still:
        engine.retry_stranded(NPUB, mint.url, reason="look again")
    assert still.value.code == "PAYMENT_IN_FLIGHT"
    return engine, mint, clock, melt, hashed


def test_r332_what_is_pending_for_ever_is_given_up_by_force_and_comes_back_unspent(store: Store) -> None:
    engine, mint, _clock, melt, hashed = forced(store)
    mint.lightning.fail(hashed)
    engine.retry_stranded(NPUB, mint.url, reason="it failed at last")
    held = engine.balance(NPUB)
    assert (held.stranded, held.unspent) == (0, 2000) and melt.refresh().state == "written_off"
    invariants.check(store, mint)


def test_r332_or_is_paid_and_its_change_is_ours(store: Store) -> None:
    engine, mint, _clock, melt, hashed = forced(store)
    mint.lightning.settle(hashed)
    (found,) = engine.retry_stranded(NPUB, mint.url, reason="it was paid at last")
    assert found.state == "collected" and found.record.parent_id == melt.id
    assert data_in(found.record).change_amount > 0 and engine.balance(NPUB).stranded == 0
    assert engine.balance(NPUB).unspent == 2000 - melt.inputs + data_in(found.record).change_amount
    assert found.reason is not None and found.reason.message == "it was paid at last"
    assert all(r.compliance_level != "STANDARD" for r in found.audit())
    with pytest.raises(Refused) as nothing:
        engine.retry_stranded(NPUB, mint.url, reason="again")
    assert nothing.value.code == "NOTHING_STRANDED"
    invariants.check(store, mint)


def test_r332_what_is_given_up_at_a_silent_mint_is_not_burnt(store: Store) -> None:
    """The mint is gone, the operator ends it by force; weeks later the mint is back, and nothing was paid."""
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.REQUEST_LOST)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(50, clock), wait_s=0)
    gone = engine_on(
        store, clock, Between(mint, melt_quote_state=silent, check_states=silent, restore=silent)
    )
    clock.advance((QUICK.unknown_age_max_h + 1) * HOUR_S)
    gone.recover(force=True)
    assert melt.refresh().state == "attention"
    ended = gone.write_off(melt.id, "the mint is gone", force=True)
    held = engine.balance(NPUB)
    assert (ended.state, data_in(ended.record).loss) == ("written_off", 0)
    assert held.stranded == melt.inputs and held.stranded + held.unspent == 2000
    clock.advance(500 * HOUR_S)
    engine.retry_stranded(NPUB, mint.url, reason="it is back")
    assert (engine.balance(NPUB).unspent, engine.balance(NPUB).stranded) == (2000, 0)
    invariants.check(store, mint)


def test_r333_a_hold_that_is_pending_for_ever_is_given_up_by_force(store: Store) -> None:
    engine, mint, clock = funded(store)
    token = store.tokens(TokenQuery(npub=NPUB, states=("unspent",)))[0]
    held = engine.hold([token.transaction_id], 10, npub=NPUB, mint_url=mint.url)

    def pending(url: str, names: Any) -> Any:
        said = mint.check_states(url, names)
        return tuple(attrs.evolve(s, state="PENDING") for s in said) if is_value(said) else said

    stuck = engine_on(store, clock, Between(mint, check_states=pending))
    clock.advance((QUICK.unknown_age_max_h + 1) * HOUR_S)
    stuck.recover(force=True)
    assert held.refresh().state == "contested"
    with pytest.raises(Refused):
        stuck.write_off(held.id, "for ever")
    ended = stuck.write_off(held.id, "for ever", force=True)
    assert ended.state == "written_off" and engine.balance(NPUB).stranded == 2000
    engine.retry_stranded(NPUB, mint.url, reason="they are UNSPENT")
    assert engine.balance(NPUB).unspent == 2000
    invariants.check(store, mint)


def test_r334_an_operator_need_not_wait_for_the_next_drive(store: Store) -> None:
    """A live operation that is older than the limit takes the operator's events."""
    engine, _mint, clock, melt, _ = in_flight(store)
    with pytest.raises(Refused) as refused:
        engine.resume(melt.id, "too early")
    assert refused.value.code == "UNDEFINED_TRANSITION"
    clock.advance(2 * HOUR_S)
    assert engine.resume(melt.id, "go on", wait_s=0).state in ("pending", "unknown")
    assert "attention" in [r.to_state for r in melt.audit()]


def test_r335_a_stamp_far_ahead_counts_as_old(store: Store) -> None:
    """A clock that was a year ahead when it was sent must not keep it live for a year."""
    engine, mint, clock, melt, _ = in_flight(store)
    clock.jump(-365 * 24 * HOUR_S)
    later = engine_on(store, clock, mint)
    later.recover(force=True)
    assert melt.refresh().state == "attention"
    invariants.check(store)
