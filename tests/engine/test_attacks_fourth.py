"""Attacks on fast failure, on what was given up in flight, and on coins that a mint will not take."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from nutstate import Refused, Store
from nutstate.engine.cashu.port import Ambiguous, is_value
from nutstate.engine.cashu.port import Refused as No
from nutstate.engine.simulated import faults
from tests.engine.test_exits import HOUR_S, silent
from tests.engine.test_fast_failure import Between, failing, on
from tests.support import invariants
from tests.support.crash import finish
from tests.support.data import data_in
from tests.support.wallet import NPUB, QUICK, funded, invoice, payment_hash


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

    stubborn = on(store, clock, Between(mint, melt_quote=quote, melt=melt, melt_quote_state=state))
    first = stubborn.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    assert first.state == "watching"
    deaf = on(store, clock, Between(mint, melt_quote=quote, melt=melt, melt_quote_state=silent))
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


def forced(store: Store, **more: Any) -> Any:
    """A payment with many coins that the mint calls PENDING for ever, given up by force."""
    engine, mint, clock = funded(store, amount=0, **more)
    for _ in range(3):
        engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=256)
    bolt11 = invoice(700, clock)
    mint.lightning.script(payment_hash(bolt11), "PENDING")
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=0)
    assert melt.state == "pending" and len(melt.record.inputs) == 3
    clock.advance(2 * HOUR_S)
    engine.recover(force=True)
    ended = engine.write_off(melt.id, "weeks in flight", force=True)
    assert ended.state == "written_off" and engine.balance(NPUB).stranded == 768
    return engine, mint, clock, melt, payment_hash(bolt11)


def test_r382_what_was_paid_after_all_is_collected_once_in_pages(store: Store) -> None:
    """The coins of one payment do not fit into one check: its change is stored once, every coin is spent."""
    engine, mint, clock, melt, hashed = forced(store)
    mint.lightning.settle(hashed)
    paged = on(store, clock, mint, page_size=2)
    found = paged.retry_stranded(NPUB, mint.url, reason="it was paid at last")
    assert paged.balance(NPUB).stranded == 0
    assert sum(data_in(f.record).change_amount for f in found) == paged.balance(NPUB).unspent > 0
    invariants.check(store, mint)


def test_r382_what_was_paid_after_all_is_collected_once_by_name(store: Store) -> None:
    """An operator names one coin after the other."""
    engine, mint, clock, melt, hashed = forced(store)
    mint.lightning.settle(hashed)
    for part in melt.record.inputs:
        try:
            engine.retry_stranded(NPUB, mint.url, reason="paid", tokens=[part.token_id])
        except Refused as error:
            assert error.code == "NOTHING_STRANDED"
    assert engine.balance(NPUB).stranded == 0 and engine.balance(NPUB).unspent > 0
    invariants.check(store, mint)


def test_r382_paid_but_the_coins_are_not_called_spent(store: Store) -> None:
    """A mint that says PAID and UNSPENT: the call ends, and the change is ours."""
    engine, mint, clock, melt, hashed = forced(store)
    mint.lightning.settle(hashed)

    def unspent(url: str, names: Any) -> Any:
        said = mint.check_states(url, names)
        return tuple(attrs.evolve(s, state="UNSPENT") for s in said) if is_value(said) else said

    lying = on(store, clock, Between(mint, check_states=unspent))
    with pytest.raises(Refused) as refused:
        lying.retry_stranded(NPUB, mint.url, reason="paid")
    assert refused.value.code == "PAYMENT_IN_FLIGHT"
    held = engine.balance(NPUB)
    assert held.stranded == 768 and held.unspent > 0, "its change is ours, and nothing is burnt"
    engine.retry_stranded(NPUB, mint.url, reason="paid")
    assert engine.balance(NPUB).stranded == 0
    invariants.check(store, mint)


def test_r383_a_mint_that_has_forgotten_the_quote_does_not_freeze_its_coins(store: Store) -> None:
    """Its own error for the quote is no PENDING: then the coins decide."""
    engine, mint, clock, _melt, hashed = forced(store)
    forgot = on(store, clock, Between(mint, melt_quote_state=lambda *_: No(0, "quote not found", False)))
    with pytest.raises(Refused) as refused:
        forgot.retry_stranded(NPUB, mint.url, reason="still PENDING")
    assert refused.value.code == "PROOFS_NOT_UNSPENT"
    mint.lightning.fail(hashed)
    assert is_value(mint.melt_quote_state(mint.url, _melt.record.quote.id))
    forgot.retry_stranded(NPUB, mint.url, reason="it failed")
    assert engine.balance(NPUB).unspent == 768
    invariants.check(store, mint)


def test_r384_the_change_of_a_request_executed_after_the_retry_is_not_lost(store: Store) -> None:
    """Given up by force, retried at UNPAID and UNSPENT, then the old request is executed after all."""
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.LATE)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=0)

    def pending(url: str, name: str) -> Any:
        told = mint.melt_quote_state(url, name)
        return attrs.evolve(told, state="PENDING") if is_value(told) else told

    stuck = on(store, clock, Between(mint, melt_quote_state=pending))
    clock.advance(2 * HOUR_S)
    stuck.recover(force=True)
    assert melt.refresh().state == "attention"
    stuck.write_off(melt.id, "weeks", force=True)
    engine.retry_stranded(NPUB, mint.url, reason="UNPAID now")
    assert engine.balance(NPUB).unspent == 2000
    mint.deliver_late()
    engine.preflight(npub=NPUB, mint_url=mint.url, correct=True)
    assert engine.balance(NPUB).unspent == 2000 - melt.inputs, (
        "the coins are gone, and the change is not there"
    )
    engine.retry_stranded(NPUB, mint.url, reason="look again")
    assert engine.balance(NPUB).unspent == 2000 - 700 - 4


def test_r386_a_released_coin_is_in_another_payment_when_the_first_is_executed(store: Store) -> None:
    """Fast failure, then the freed coins are sent by another payment; the mint executes the first one."""
    engine, mint, clock = funded(store)
    sent: list[Any] = []

    def refuse(url: str, body: Any) -> Any:
        sent.append(body)
        return No(20004, "Lightning payment failed", False)

    first = on(store, clock, Between(mint, melt=refuse)).melt(
        npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock)
    )
    assert first.state == "watching"
    cut = on(store, clock, Between(mint, melt=lambda *_: Ambiguous("cut")))
    second = cut.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(701, clock), wait_s=0)
    assert second.state == "unknown"
    assert {p.token_id for p in second.record.inputs} == {p.token_id for p in first.record.inputs}
    assert is_value(mint.melt(mint.url, sent[0]))
    finish(engine, store, clock)
    clock.advance(2 * HOUR_S)
    finish(engine, store, clock)
    ended = engine.write_off(second.id, "spent by the first")
    finish(engine, store, clock)
    invariants.check(store, mint)
    paid = first.refresh()
    assert (paid.state, paid.is_paid, data_in(ended.record).loss) == ("discrepant", True, 0)
    assert engine.balance(NPUB).unspent == 2000 - paid.amount - (paid.fee_paid or 0)
    assert engine.resolve(first.id, "the other one let go").state == "reconciled"
    assert engine.reconcile(second.id).validation_passed and engine.reconcile(first.id).validation_passed


def test_r385_a_fence_that_was_signed_before_a_forced_end_comes_back(store: Store) -> None:
    """Its answer was lost, the mint gone, and it was given up by force. Then the mint is back: the fence took
    the coins, and its outputs are ours."""
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.REQUEST_LOST)
    mint.faults.next("swap", faults.ANSWER_LOST)
    dead = {"now": False}

    def restore(url: str, outputs: Any) -> Any:
        return silent() if dead["now"] else mint.restore(url, outputs)

    def swap(url: str, body: Any) -> Any:
        dead["now"] = True
        return mint.swap(url, body)

    def state(url: str, name: str) -> Any:
        return silent() if dead["now"] else mint.melt_quote_state(url, name)

    def states(url: str, names: Any) -> Any:
        return silent() if dead["now"] else mint.check_states(url, names)

    dying = on(
        store, clock, Between(mint, restore=restore, swap=swap, melt_quote_state=state, check_states=states)
    )
    melt = dying.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=30)
    assert melt.state == "fencing", melt.state
    clock.advance(2 * HOUR_S)
    dying.recover(force=True)
    assert melt.refresh().state == "attention"
    dying.write_off(melt.id, "the mint is gone", force=True)
    invariants.check(store)
    (found,) = engine.retry_stranded(NPUB, mint.url, reason="the mint is back")
    assert found.state == "collected" and engine.balance(NPUB).unspent == 1999
    invariants.check(store, mint)


def test_r385_a_fence_that_is_signed_after_a_forced_end_comes_back(store: Store) -> None:
    """Given up while the mint says PENDING: the coins are stranded, the fence arrives after that."""
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.REQUEST_LOST)
    sent: list[Any] = []

    def swap(url: str, body: Any) -> Any:
        sent.append(body)
        return Ambiguous("cut")

    slow = on(store, clock, Between(mint, swap=swap))
    melt = slow.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=8)
    assert sent and melt.state == "fencing"

    def pending(url: str, name: str) -> Any:
        told = mint.melt_quote_state(url, name)
        return attrs.evolve(told, state="PENDING") if is_value(told) else told

    lying = on(store, clock, Between(mint, melt_quote_state=pending, swap=swap))
    clock.advance(2 * HOUR_S)
    lying.recover(force=True)
    assert melt.refresh().state == "attention"
    assert lying.write_off(melt.id, "weeks", force=True).state == "written_off"
    assert engine.balance(NPUB).stranded == melt.inputs
    assert is_value(mint.swap(mint.url, sent[0]))
    (found,) = engine.retry_stranded(NPUB, mint.url, reason="UNPAID now")
    held = engine.balance(NPUB)
    assert (found.state, held.stranded, held.unspent) == ("collected", 0, 1999)
    with pytest.raises(Refused) as nothing:
        engine.retry_stranded(NPUB, mint.url, reason="again")
    assert nothing.value.code == "NOTHING_STRANDED"
    assert engine.reconcile(found.id).validation_passed and engine.reconcile(melt.id).validation_passed
    invariants.check(store, mint)


def test_r385_the_fence_of_a_stranded_coin_that_is_signed_late_comes_back(store: Store) -> None:
    """The mint refuses one coin, and the payment ends without it; then it signs the refused fence."""
    engine, mint, clock = funded(store)
    refused: list[Any] = []
    bad: list[str] = []

    def melt(url: str, body: Any) -> Any:
        bad.append(json.loads(body.reveal())["inputs"][0]["secret"])
        return No(10001, "bad input", True)

    def swap(url: str, body: Any) -> Any:
        if bad[0] not in body.reveal():
            return mint.swap(url, body)
        refused.append(body)
        return No(10001, "bad input", True)

    odd = on(store, clock, Between(mint, melt=melt, swap=swap))
    melted = odd.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=60)
    for _ in range(20):
        clock.advance(5)
        odd.recover(force=True)
    held = engine.balance(NPUB)
    assert melted.refresh().state == "released" and held.stranded > 0
    assert is_value(mint.swap(mint.url, refused[-1]))
    (found,) = engine.retry_stranded(NPUB, mint.url, reason="look again")
    after = engine.balance(NPUB)
    assert found.state == "collected" and after.stranded == 0
    assert after.unspent == held.unspent + data_in(found.record).change_amount > held.unspent
    assert engine.reconcile(melted.id).validation_passed and engine.reconcile(found.id).validation_passed
    invariants.check(store, mint)
