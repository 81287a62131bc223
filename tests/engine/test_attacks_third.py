"""The third hostile review: attacks on the answers to the second one."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from nutstate import Engine, MintError, Refused, SimulatedMint, Store
from nutstate.engine.cashu.port import Refused as No
from nutstate.engine.cashu.port import is_value
from nutstate.engine.simulated import faults
from nutstate.engine.tokens.proofs import name_of
from nutstate.storage.port import TokenQuery
from tests.engine.test_attacks_again import Between, on, silent
from tests.support import invariants
from tests.support.clock import FakeClock
from tests.support.crash import Crash, finish
from tests.support.data import data_in
from tests.support.wallet import NPUB, QUICK, funded, invoice, payment_hash


class Ticking(FakeClock):
    """A clock on which every look takes a little while."""

    def monotonic(self) -> float:
        self.advance(0.002)
        return self.mono


def released_before_its_fence(store: Store) -> tuple[Engine, SimulatedMint, FakeClock, str]:
    """An operator released the inputs while a fence of ours was still on its way to the mint."""
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.REQUEST_LOST)
    mint.faults.next("swap", faults.LATE)
    sent: list[Any] = []

    def once(*args: Any) -> Any:
        sent.append(args)
        return mint.swap(*args) if len(sent) == 1 else No(11000, "no", False)

    strict = on(engine, store, Between(mint, swap=once))
    melt = strict.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=30)
    finish(strict, store, clock, rounds=100)
    assert melt.refresh().state == "attention"
    clock.advance(QUICK.settle_window_s)
    assert strict.release(melt.id, "trust it").state == "watching"
    return engine, mint, clock, melt.id


def agrees(store: Store, mint: SimulatedMint) -> None:
    """What the store calls unspent the mint calls UNSPENT; the trail is whole."""
    for token in store.tokens(TokenQuery(states=("unspent",), limit=1000)):
        said = mint.check_states(token.mint_url, [name_of(proof) for proof in token.proofs])
        assert is_value(said) and {state.state for state in said} == {"UNSPENT"}, token.transaction_id
    report = Engine(store, mint).verify_audit()
    assert not (report.changed or report.missing or report.added)


@pytest.mark.parametrize("used", ["not", "whole", "part", "mixed"])
def test_a_fence_after_the_release_is_corrected_wherever_the_proofs_are(store: Store, used: str) -> None:
    engine, mint, clock, melt_id = released_before_its_fence(store)
    other = None
    if used != "not":
        amount = {"whole": 700, "part": 3, "mixed": 770}[used]
        other = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(amount, clock))
        # mixed: what stays behind of the freed token and of another one becomes one token
        assert len(other.record.inputs) == (2 if used == "mixed" else 1)
        assert used == "whole" or data_in(other.record).keep_total > 0
    mint.deliver_late()
    engine.recover(force=True)
    assert engine.operation(melt_id).state == "released"
    if other is not None:
        with pytest.raises(Refused):
            engine.confirm(other.id)
        assert other.refresh().state == "rejected"
    assert engine.balance(NPUB).unspent == 1999 and engine.balance(NPUB).reserved == 0
    agrees(store, mint)
    assert engine.reconcile(melt_id).validation_passed


def test_a_fence_after_the_release_overtakes_the_next_payment(store: Store) -> None:
    engine, mint, clock, melt_id = released_before_its_fence(store)

    def overtaken(*args: Any) -> Any:
        mint.deliver_late()
        return mint.melt(*args)

    racing = on(engine, store, Between(mint, melt=overtaken))
    other = racing.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=0)
    finish(engine, store, clock)
    assert engine.operation(melt_id).state == "released" and other.refresh().state == "attention"
    assert engine.write_off(other.id, "the fence of the other has it").state == "written_off"
    assert engine.balance(NPUB).unspent == 1999 and engine.balance(NPUB).reserved == 0
    agrees(store, mint)


def test_what_was_freed_may_change_hands_while_it_is_watched(store: Store) -> None:
    """Another operation held the freed proofs when this drive began, and freed them before the fence came."""
    engine, mint, clock, melt_id = released_before_its_fence(store)
    other = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    looks: list[int] = []

    def given_back(*args: Any) -> Any:
        looks.append(len(looks))
        if len(looks) == 1:
            engine.cancel(other.id)
            mint.deliver_late()
        return mint.melt_quote_state(*args)

    on(engine, store, Between(mint, melt_quote_state=given_back)).recover(force=True, wait_s=30)
    assert engine.operation(melt_id).state == "released" and other.refresh().state == "cancelled"
    assert engine.balance(NPUB).unspent == 1999
    agrees(store, mint)


def test_the_watch_ends_though_restore_is_gone(store: Store) -> None:
    """While every input is UNSPENT no fence can have been signed, whether or not the mint can restore."""
    engine, mint, clock, melt_id = released_before_its_fence(store)

    def gone(*args: object) -> No:
        return No(None, "404", False)

    without = on(engine, store, Between(mint, restore=gone))
    clock.advance(QUICK.watch_window_h * 3600)
    finish(without, store, clock)
    assert engine.operation(melt_id).state == "released"
    invariants.check(store, mint)


def test_a_look_from_before_another_send_proves_nothing(store: Store) -> None:
    """A asks; B sends again meanwhile and is still waiting; A's answer is older than B's request."""
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.lightning.script(payment_hash(bolt11), "FAILED")
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, on_unpaid="retry_then_fence", wait_s=0)
    began = clock.monotonic()
    seen: list[str] = []

    def never_answers(*args: object) -> Any:
        raise Crash("B is still waiting")

    def slow(*args: Any) -> Any:
        answer = mint.check_states(*args)
        if not seen:
            clock.advance(QUICK.lease_s + 1)
            with pytest.raises(Crash):
                on(engine, store, Between(mint, melt=never_answers)).recover(force=True)
            seen.append(melt.refresh().state)
        return answer

    def at_last(*args: Any) -> Any:
        up = clock.monotonic() - began > QUICK.settle_window_s + 1
        return mint.melt_quote_state(*args) if up else silent()

    first = on(engine, store, Between(mint, check_states=slow, melt_quote_state=at_last))
    first.recover(force=True, wait_s=60)
    assert seen == ["paying"] and melt.refresh().state == "unknown"
    edges = [record.transition for record in melt.audit()]
    assert "12.mint_unpaid.paying" not in edges and edges.count("12.mint_unpaid.unknown") == 1
    clock.advance(QUICK.post_open_max_s)
    finish(engine, store, clock)
    assert melt.refresh().state == "released"
    invariants.check(store, mint)


def test_a_quote_that_runs_out_between_the_steps_is_not_started(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    assert plan.record.quote is not None
    left = (plan.record.quote.expires_at - clock.now()) / 1000

    def slow(*args: Any) -> Any:
        answer = mint.check_states(*args)
        clock.advance(left)
        return answer

    with pytest.raises(Refused) as refused:
        on(engine, store, Between(mint, check_states=slow)).confirm(plan.id, wait_s=left + 60)
    assert refused.value.code == "QUOTE_EXPIRED" and plan.refresh().state == "expired"
    assert mint.lightning.attempts(payment_hash(bolt11)) == 0
    assert engine.balance(NPUB).unspent == 2000
    invariants.check(store, mint)


def test_the_longest_hold_is_not_refused(store: Store) -> None:
    engine, mint, _ = funded(store)
    ticking = Engine(store, mint, settings=QUICK, clock=Ticking())
    (token,) = store.tokens(TokenQuery(states=("unspent",), limit=10))
    held = ticking.hold(
        npub=NPUB, mint_url=mint.url, sources=[token.transaction_id], ttl_s=QUICK.hold_max_h * 3600
    )
    assert held.state == "held"


@pytest.mark.parametrize("amount", [690, 717])
def test_one_signature_that_never_opens_does_not_keep_the_others(store: Store, amount: int) -> None:
    """The last look opens what it can; it must not send the operation back to a collection that wants all."""
    engine, mint, clock = funded(store)

    def spoilt(answer: Any, field: str) -> Any:
        found = list(getattr(answer, field, ()))
        if len(found) < 2:
            return answer
        last = min(range(len(found)), key=lambda n: found[n].amount)
        found[last] = attrs.evolve(found[last], C_=found[last - 1].C_)
        return attrs.evolve(answer, **{field: tuple(found)})

    lame = Between(
        mint,
        melt=lambda *args: spoilt(mint.melt(*args), "change"),
        melt_quote_state=lambda *args: spoilt(mint.melt_quote_state(*args), "change"),
        restore=lambda *args: spoilt(mint.restore(*args), "signatures"),
    )
    limp = on(engine, store, lame)
    melt = limp.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(amount, clock), wait_s=5)
    clock.advance(QUICK.change_window_s)
    finish(limp, store, clock)
    assert melt.refresh().state == "attention"
    ended = limp.write_off(melt.id, "the mint cannot sign it")
    assert ended.state == "reconciled" and ended.change > 0
    invariants.check(store)


def test_an_input_that_is_pending_for_ever_keeps_nobody(store: Store) -> None:
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.REQUEST_LOST)

    def pending(url: str, names: Any) -> Any:
        said = mint.check_states(url, names)
        return (attrs.evolve(said[0], state="PENDING"), *said[1:]) if is_value(said) else said

    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=0)
    stuck = on(engine, store, Between(mint, check_states=pending, swap=silent))
    clock.advance(QUICK.unknown_age_max_h * 3600)
    finish(stuck, store, clock)
    assert melt.refresh().state == "attention"
    with pytest.raises(Refused) as refused:
        stuck.write_off(melt.id, "stuck")
    assert refused.value.code == "PAYMENT_IN_FLIGHT"
    assert stuck.write_off(melt.id, "stuck", force=True).state == "written_off"
    assert engine.balance(NPUB).unspent == 2000 - melt.inputs, "nothing is freed"


def test_a_watch_that_nobody_can_answer_has_an_end(store: Store) -> None:
    """Restore never answers and we spent the freed inputs ourselves: nothing ends it but an operator."""
    engine, mint, clock, name = released_before_its_fence(store)
    mute = on(engine, store, Between(mint, restore=silent))
    with pytest.raises(Refused) as refused:
        mute.write_off(name, "too early")
    assert refused.value.code == "WATCH_NOT_OVER"
    source = engine.operation(name).record.inputs[0].token_id
    engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock), sources=[source])
    clock.advance((QUICK.watch_window_h + QUICK.unknown_age_max_h) * 3600)
    mute.recover(force=True, wait_s=5)
    assert mute.operation(name).state == "stuck", "the clock alone parks it"
    with pytest.raises(MintError):
        mute.write_off(name, "restore is gone for good")
    ended = mute.write_off(name, "restore is gone for good", force=True)
    assert ended.state == "released" and ended.record.claim is None
    agrees(store, mint)
