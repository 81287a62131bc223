"""The watch of a payment whose inputs are free again: what ends it, and whose a late payment is."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from nutstate import MintError, Refused, Store
from nutstate.engine.cashu.port import Ambiguous, is_value
from nutstate.engine.cashu.port import Refused as No
from nutstate.engine.simulated import faults
from nutstate.storage.port import TokenQuery
from tests.support import invariants
from tests.support.crash import finish
from tests.support.ports import Between, engine_on, on, silent
from tests.support.stories import HOUR_S, agrees, failing, released_before_its_fence
from tests.support.wallet import NPUB, QUICK, funded, invoice, payment_hash


def test_the_watch_ends_only_on_the_mints_word(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.faults.next("melt", faults.LATE)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, on_unpaid="trust")
    assert melt.state == "watching"
    mint.deliver_late()
    clock.advance(QUICK.watch_window_h * 3600 + 60)
    engine.recover(force=True)
    assert melt.refresh().state == "reconciled" and melt.refresh().record.claim is not None
    invariants.check(store, mint)


def test_a_cached_pending_while_watching_is_no_news(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.lightning.script(payment_hash(bolt11), "FAILED")
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, on_unpaid="trust")
    mint.faults.next("melt_quote_state", faults.quote_state("PENDING"))
    engine.recover(force=True)
    assert melt.refresh().state == "watching"
    clock.advance(QUICK.watch_window_h * 3600)
    finish(engine, store, clock)
    assert melt.refresh().state == "released"


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


@pytest.mark.parametrize("same_quote", [True, False], ids=["same quote", "both PAID"])
@pytest.mark.parametrize("dleq", [True, False], ids=["dleq", "no dleq"])
def test_r380_a_second_attempt_in_flight_with_the_same_coins_is_not_the_first_ones_payment(
    store: Store, same_quote: bool, dleq: bool
) -> None:
    """The first attempt is watched; the second uses the same coins and its answer is lost. Its quote is PAID:
    that is the second one's payment, in any order of their questions."""
    engine, mint, clock, bolt11 = failing(store)
    quotes: dict[str, Any] = {}

    def quote(url: str, request: Any, unit: str) -> Any:
        if same_quote:
            return quotes.setdefault(request.reveal(), mint.melt_quote(url, request, unit))
        return mint.melt_quote(url, request, unit)

    def melt(url: str, body: Any) -> Any:
        answer = mint.melt(url, body)
        return Ambiguous("cut") if is_value(answer) else answer

    last: list[str] = []

    def state(url: str, name: str) -> Any:
        # a mint that calls every quote of a paid invoice PAID
        told = mint.melt_quote_state(url, name)
        if is_value(told) and not same_quote and last:
            paid = mint.melt_quote_state(url, last[-1])
            if is_value(paid) and paid.state == "PAID":
                told = attrs.evolve(told, state="PAID", change=paid.change, preimage=paid.preimage)
        if is_value(told) and not dleq:
            told = attrs.evolve(
                told, change=tuple(s if s is None else attrs.evolve(s, dleq=None) for s in told.change)
            )
        return told

    stubborn = engine_on(store, clock, Between(mint, melt_quote=quote, melt=melt, melt_quote_state=state))
    first = stubborn.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    assert first.state == "watching"
    deaf = engine_on(store, clock, Between(mint, melt_quote=quote, melt=melt, melt_quote_state=silent))
    second = deaf.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=0)
    assert second.id != first.id and second.state == "unknown"
    assert {p.token_id for p in second.record.inputs} == {p.token_id for p in first.record.inputs}
    assert second.record.quote is not None
    last.append(second.record.quote.id)
    # the watch is asked before the second one is driven on
    stubborn._driver.drive(stubborn._recovery.open_run(first.record, "worker"), 0)
    finish(stubborn, store, clock)
    clock.advance(QUICK.watch_window_h * 3600 + 1)
    finish(stubborn, store, clock)
    assert second.refresh().state == "reconciled"
    assert first.refresh().state == "released"
    assert not first.refresh().is_paid
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

    odd = engine_on(store, clock, Between(mint, check_states=states, melt_quote_state=bare, melt=cut))
    melt = odd.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=60)
    assert melt.is_paid and melt.change > 0, melt.state
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

    odd = engine_on(store, clock, Between(mint, melt=refuse, melt_quote=quote))
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

    odd = engine_on(store, clock, Between(mint, melt=refuse))
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
