"""More attacks: limits, clocks, races."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from nutstate import Refused, Store
from nutstate.engine.cashu.port import Ambiguous, is_value
from nutstate.engine.cashu.port import Refused as No
from nutstate.engine.simulated import faults
from nutstate.storage.port import TokenQuery
from tests.engine.test_attacks_fourth import forced
from tests.engine.test_exits import HOUR_S, in_flight, silent
from tests.engine.test_fast_failure import Between, failing, on
from tests.support import invariants
from tests.support.crash import finish
from tests.support.data import data_in
from tests.support.wallet import NPUB, QUICK, funded, invoice, payment_hash


def test_r387_a_limit_that_a_mint_met_once_is_not_for_ever(store: Store) -> None:
    """Two refusals for too many inputs leave a wallet of small coins nothing to pay with: for an hour."""
    engine, mint, clock = funded(store, amount=1023)
    moods = iter([No(11014, "too many inputs", True)] * 2)

    def melt(url: str, body: Any) -> Any:
        return next(moods, None) or mint.melt(url, body)

    moody = on(store, clock, Between(mint, melt=melt))
    for _ in range(2):
        assert moody.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock)).state == "watching"
    with pytest.raises(Refused) as refused:
        moody.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    assert refused.value.code == "TOO_MANY_PROOFS"
    clock.advance(HOUR_S)
    assert moody.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock)).is_paid
    invariants.check(store, mint)


def test_the_clock_jumps_between_the_two_looks(store: Store) -> None:
    """refused, first look under a clock ten years ahead, then another worker."""
    engine, mint, clock, bolt11 = failing(store)
    a = on(store, clock, mint)
    m = a.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=0)
    clock.jump(10 * 365 * 24 * HOUR_S)
    b = on(store, clock, mint)
    b.recover(force=True)
    clock.jump(-10 * 365 * 24 * HOUR_S)
    c = on(store, clock, mint)
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

    a = on(store, clock, Between(mint, melt_quote_state=state))
    m = a.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=0)
    assert m.state == "refused" and data_in(m.record).held_unspent_since is None
    clock.jump(20 * HOUR_S)
    a.recover(force=True)
    clock.jump(-20 * HOUR_S)
    for _ in range(10):
        clock.advance(3)
        on(store, clock, mint).recover(force=True)
    assert m.refresh().state == "attention"
    assert engine.resume(m.id, "the clock was wrong").state == "released"
    invariants.check(store, mint)


def test_r381_paid_at_a_mint_that_calls_everything_unspent(store: Store) -> None:
    """Its NUT-07 is broken: PAID is believed once it refuses the fence because the inputs are gone."""
    engine, mint, clock = funded(store)

    def states(url: str, names: Any) -> Any:
        said = mint.check_states(url, names)
        return tuple(attrs.evolve(s, state="UNSPENT") for s in said) if is_value(said) else said

    def bare(url: str, name: str) -> Any:
        told = mint.melt_quote_state(url, name)
        return attrs.evolve(told, change=()) if is_value(told) else told

    def cut(url: str, body: Any) -> Any:
        mint.melt(url, body)
        return Ambiguous("cut")

    odd = on(store, clock, Between(mint, check_states=states, melt_quote_state=bare, melt=cut))
    melt = odd.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=60)
    assert melt.is_paid and melt.change > 0, melt.state
    invariants.check(store, mint)


@pytest.mark.parametrize(("code", "stranded"), [(11007, 0), (10001, 720)])
def test_coins_retried_while_the_old_request_is_open_are_spent_by_it(
    store: Store, code: int, stranded: int
) -> None:
    """The mint refuses every coin; they are stranded and retried, and then it executes the old request."""
    engine, mint, clock = funded(store)
    sent: list[Any] = []

    def melt(url: str, body: Any) -> Any:
        sent.append(body)
        return No(code, "bad input", True)

    odd = on(store, clock, Between(mint, melt=melt, swap=lambda *_: No(10001, "bad input", True)))
    m = odd.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=60)
    for _ in range(60):
        clock.advance(5)
        odd.recover(force=True)
    invariants.check(store)
    assert m.refresh().state == "watching" and engine.balance(NPUB).stranded == stranded
    if stranded:
        engine.retry_stranded(NPUB, mint.url, reason="the mint is mended")
    assert engine.balance(NPUB).unspent == 2000
    assert is_value(mint.melt(mint.url, sent[0]))
    finish(engine, store, clock)
    assert m.refresh().state == "reconciled" and m.refresh().is_paid
    invariants.check(store, mint)


def test_trust_release_with_parts_fenced(store: Store) -> None:
    """One part is fenced, the rest is refused oddly; an operator releases the rest; nothing is counted
    twice."""
    engine, mint, clock = funded(store)
    n = {"swap": 0}

    def swap(url: str, body: Any) -> Any:
        n["swap"] += 1
        if n["swap"] == 1:
            return No(11014, "too many", True)
        if n["swap"] == 2:
            return mint.swap(url, body)
        return Ambiguous("cut")

    odd = on(store, clock, Between(mint, melt=lambda *_: Ambiguous("cut"), swap=swap))
    m = odd.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=60)
    clock.advance(3 * HOUR_S)
    odd.recover(force=True)
    invariants.check(store)
    assert m.refresh().state == "attention"
    clock.advance(60)
    assert engine.release(m.id, "trust").state == "watching"
    invariants.check(store)
    assert engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(1100, clock)).is_paid
    clock.advance(30 * HOUR_S)
    engine.recover(force=True)
    assert m.refresh().state == "released"
    assert engine.reconcile(m.id).validation_passed
    invariants.check(store, mint)


def test_two_workers_one_parks_the_other_pays(store: Store) -> None:
    """A drive that fails is counted by a worker whose lease was taken over: nothing is hidden."""
    engine, mint, clock, melt, hashed = in_flight(store)
    mint.lightning.settle(hashed)

    class Odd(Exception):
        pass

    state = {"deep": False}

    def quote(url: str, name: str) -> Any:
        if not state["deep"]:
            state["deep"] = True
            clock.advance(1000)  # the lease runs out, another worker drives it to its end
            finish(on(store, clock, mint), store, clock)
            raise Odd("x")
        return mint.melt_quote_state(url, name)

    broken = on(store, clock, Between(mint, melt_quote_state=quote), drive_failures_max=1)
    clock.advance(10)
    broken.recover(force=True)
    assert melt.refresh().state == "reconciled"
    invariants.check(store, mint)


def test_over_paid_change_in_a_watch(store: Store) -> None:
    """A lying mint executes what it refused, and gives back more than is owed."""
    engine, mint, clock = funded(store)
    sent: list[Any] = []

    def refuse(url: str, body: Any) -> Any:
        sent.append(body)
        return No(20004, "Lightning payment failed", False)

    melt = on(store, clock, Between(mint, melt=refuse)).melt(
        npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock)
    )
    assert melt.state == "watching"
    mint.faults.next("melt", faults.change_over(5))
    assert is_value(mint.melt(mint.url, sent[0]))
    for _ in range(10):
        clock.advance(20)
        engine.recover(force=True, wait_s=5)
    assert melt.refresh().state == "reconciled" and data_in(melt.refresh().record).surplus > 0
    invariants.check(store, mint)


def test_r381_the_first_is_executed_while_the_second_attempt_holds_other_coins(store: Store) -> None:
    """Same quote id twice; the mint executes the first request; the second one's coins must not be burnt."""
    engine, mint, clock = funded(store, amount=0)
    for _ in range(2):
        engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=1000)
    bolt11 = invoice(700, clock)
    quotes: dict[str, Any] = {}
    sent: list[Any] = []

    def quote(url: str, request: Any, unit: str) -> Any:
        return quotes.setdefault(request.reveal(), mint.melt_quote(url, request, unit))

    def refuse(url: str, body: Any) -> Any:
        sent.append(body)
        if len(sent) == 1:
            return No(20004, "Lightning payment failed", False)
        mint.melt(mint.url, sent[0])
        return mint.melt(url, body)

    odd = on(store, clock, Between(mint, melt=refuse, melt_quote=quote))
    first = odd.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    assert first.state == "watching"
    used = {p.token_id for p in first.record.inputs}
    free = store.tokens(TokenQuery(npub=NPUB, states=("unspent",)))
    other = [t.transaction_id for t in free if t.transaction_id not in used and t.total_amount == 1000]
    second = odd.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, sources=other)
    for _ in range(10):
        clock.advance(20)
        engine.recover(force=True, wait_s=5)
    assert (first.refresh().state, second.refresh().state) == ("reconciled", "released")
    assert engine.preflight(npub=NPUB, mint_url=mint.url).recommendation == "PROCEED"
    invariants.check(store, mint)


def test_two_refused_attempts_of_which_the_first_is_executed(store: Store) -> None:
    """Both are watched; the one whose inputs were taken is paid, the other one ends unpaid."""
    engine, mint, clock = funded(store)
    bolt11 = invoice(50, clock)
    sent: list[Any] = []

    def refuse(url: str, body: Any) -> Any:
        sent.append(body)
        return No(20004, "x", False)

    odd = on(store, clock, Between(mint, melt=refuse))
    first = odd.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    assert first.state == "watching"
    second = odd.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    assert second.id != first.id and second.state == "watching"
    assert is_value(mint.melt(mint.url, sent[0]))
    engine.recover(force=True, wait_s=30)
    clock.advance(25 * HOUR_S)
    engine.recover(force=True, wait_s=30)
    assert first.refresh().is_paid and second.refresh().state == "released"
    invariants.check(store, mint)


def test_r384_a_loss_that_was_told_and_the_change_that_came_after_it(store: Store) -> None:
    """The mint is silent, everything is written off as lost; then it is back, and the payment is PAID."""
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.lightning.script(payment_hash(bolt11), "PENDING")
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=0)
    dead = on(store, clock, Between(mint, melt_quote_state=silent, check_states=silent, restore=silent))
    clock.advance(2 * HOUR_S)
    dead.recover(force=True)
    assert data_in(dead.write_off(melt.id, "gone", force=True).record).loss == 0
    (lost,) = dead.write_off_stranded(NPUB, mint.url, reason="gone")
    assert data_in(lost.record).loss == melt.inputs
    mint.lightning.settle(payment_hash(bolt11))
    (found,) = engine.retry_stranded(NPUB, mint.url, reason="again")
    assert engine.reconcile(melt.id).validation_passed and engine.reconcile(found.id).validation_passed
    invariants.check(store, mint)


def test_r382_two_operators_at_once(store: Store) -> None:
    """The change is stored by one of them."""
    engine, mint, clock, _melt, hashed = forced(store)
    mint.lightning.settle(hashed)
    other = on(store, clock, mint)
    done = {"n": 0}

    def states(url: str, names: Any) -> Any:
        said = mint.check_states(url, names)
        if not done["n"]:
            done["n"] = 1
            other.retry_stranded(NPUB, mint.url, reason="b")
        return said

    racing = on(store, clock, Between(mint, check_states=states))
    with pytest.raises(Refused) as refused:
        racing.retry_stranded(NPUB, mint.url, reason="a")
    assert refused.value.code == "NOTHING_STRANDED"
    assert engine.balance(NPUB).stranded == 0
    invariants.check(store, mint)
