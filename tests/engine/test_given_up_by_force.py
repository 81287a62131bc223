"""Payments that were given up by force in flight, and what becomes of their coins afterwards."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from nutstate import Refused, Store
from nutstate.engine.cashu.port import Ambiguous, is_value
from nutstate.engine.cashu.port import Refused as No
from nutstate.engine.simulated import faults
from tests.support import invariants
from tests.support.crash import finish
from tests.support.data import data_in
from tests.support.ports import Between, engine_on, silent
from tests.support.stories import HOUR_S
from tests.support.wallet import NPUB, funded, invoice, payment_hash


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
    paged = engine_on(store, clock, mint, page_size=2)
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

    lying = engine_on(store, clock, Between(mint, check_states=unspent))
    with pytest.raises(Refused) as refused:
        lying.retry_stranded(NPUB, mint.url, reason="paid")
    assert refused.value.code == "PAYMENT_IN_FLIGHT"
    held = engine.balance(NPUB)
    assert held.stranded == 768 and held.unspent > 0, "its change is ours, and nothing is burnt"
    engine.retry_stranded(NPUB, mint.url, reason="paid")
    assert engine.balance(NPUB).stranded == 0
    invariants.check(store, mint)


def test_r382_two_operators_at_once(store: Store) -> None:
    """The change is stored by one of them."""
    engine, mint, clock, _melt, hashed = forced(store)
    mint.lightning.settle(hashed)
    other = engine_on(store, clock, mint)
    done = {"n": 0}

    def states(url: str, names: Any) -> Any:
        said = mint.check_states(url, names)
        if not done["n"]:
            done["n"] = 1
            other.retry_stranded(NPUB, mint.url, reason="b")
        return said

    racing = engine_on(store, clock, Between(mint, check_states=states))
    with pytest.raises(Refused) as refused:
        racing.retry_stranded(NPUB, mint.url, reason="a")
    assert refused.value.code == "NOTHING_STRANDED"
    assert engine.balance(NPUB).stranded == 0
    invariants.check(store, mint)


def test_r383_a_mint_that_has_forgotten_the_quote_does_not_freeze_its_coins(store: Store) -> None:
    """Its own error for the quote is no PENDING: then the coins decide."""
    engine, mint, clock, _melt, hashed = forced(store)
    forgot = engine_on(
        store, clock, Between(mint, melt_quote_state=lambda *_: No(0, "quote not found", False))
    )
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

    stuck = engine_on(store, clock, Between(mint, melt_quote_state=pending))
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


def test_r384_a_loss_that_was_told_and_the_change_that_came_after_it(store: Store) -> None:
    """The mint is silent, everything is written off as lost; then it is back, and the payment is PAID."""
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.lightning.script(payment_hash(bolt11), "PENDING")
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=0)
    dead = engine_on(
        store, clock, Between(mint, melt_quote_state=silent, check_states=silent, restore=silent)
    )
    clock.advance(2 * HOUR_S)
    dead.recover(force=True)
    assert data_in(dead.write_off(melt.id, "gone", force=True).record).loss == 0
    (lost,) = dead.write_off_stranded(NPUB, mint.url, reason="gone")
    assert data_in(lost.record).loss == melt.inputs
    mint.lightning.settle(payment_hash(bolt11))
    (found,) = engine.retry_stranded(NPUB, mint.url, reason="again")
    assert engine.reconcile(melt.id).validation_passed and engine.reconcile(found.id).validation_passed
    invariants.check(store, mint)


def test_r386_a_released_coin_is_in_another_payment_when_the_first_is_executed(store: Store) -> None:
    """Fast failure, then the freed coins are sent by another payment; the mint executes the first one."""
    engine, mint, clock = funded(store)
    sent: list[Any] = []

    def refuse(url: str, body: Any) -> Any:
        sent.append(body)
        return No(20004, "Lightning payment failed", False)

    first = engine_on(store, clock, Between(mint, melt=refuse)).melt(
        npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock)
    )
    assert first.state == "watching"
    cut = engine_on(store, clock, Between(mint, melt=lambda *_: Ambiguous("cut")))
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

    odd = engine_on(store, clock, Between(mint, melt=melt, swap=lambda *_: No(10001, "bad input", True)))
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
