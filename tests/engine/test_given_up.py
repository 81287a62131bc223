"""What an operator gives up: nothing that was answered is thrown away, and what was not lost comes back."""

from __future__ import annotations

from typing import Any

import pytest

from nutstate import MintError, Refused, Store
from nutstate.engine.simulated import faults
from nutstate.engine.tokens.proofs import name_of
from nutstate.storage.port import TokenQuery
from tests.support import invariants
from tests.support.crash import finish
from tests.support.data import data_in
from tests.support.ports import Between, on, silent
from tests.support.wallet import NPUB, QUICK, funded, invoice, payment_hash


def test_one_bad_coin_does_not_burn_the_others(store: Store) -> None:
    """An input is spent elsewhere while the melt is in flight: the operator's write-off loses only it."""
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.faults.next("melt", faults.REQUEST_LOST)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=0)
    (held,) = store.tokens(TokenQuery(reserved_by=melt.id))
    gone = held.proofs[0]
    for _ in range(8):
        mint.faults.next("check_states", faults.lie_about({name_of(gone): "SPENT"}))
    parked = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=20)
    assert parked.state == "attention" and parked.reason is not None
    assert parked.reason.code == "INPUTS_SPENT_ELSEWHERE"
    lost = engine.write_off(melt.id, "the giver spent it")
    assert lost.state == "written_off" and data_in(lost.record).loss == gone.amount
    assert engine.balance(NPUB).unspent == 2000 - gone.amount
    invariants.check(store)


@pytest.mark.parametrize("down", ["melt_quote_state", "check_states"])
def test_nothing_is_given_up_unasked(store: Store, down: str) -> None:
    engine, mint, clock = funded(store, mint_options={"without": [9]})
    mint.faults.next("melt", faults.REQUEST_LOST)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    mute = on(engine, store, Between(mint, **{down: silent}))
    with pytest.raises(MintError):
        mute.write_off(melt.id, "why")
    assert melt.refresh().state == "attention"
    assert data_in(mute.write_off(melt.id, "why", force=True).record).loss == 0
    assert engine.balance(NPUB).stranded == melt.inputs
    engine.retry_stranded(NPUB, mint.url, reason="the mint is back and calls them UNSPENT")
    assert engine.balance(NPUB).unspent == 2000 and engine.balance(NPUB).stranded == 0
    invariants.check(store, mint)


def test_a_payment_in_flight_is_not_written_off(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.lightning.script(payment_hash(bolt11), "PENDING")
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=0)
    clock.advance(QUICK.unknown_age_max_h * 3600 + 60)
    engine.recover(force=True)
    assert melt.refresh().state == "attention"
    with pytest.raises(Refused) as refused:
        engine.write_off(melt.id, "too slow")
    assert refused.value.code == "PAYMENT_IN_FLIGHT"
    mint.lightning.settle(payment_hash(bolt11))
    engine.recover(force=True)
    assert melt.refresh().state == "reconciled"
    invariants.check(store, mint)


def test_a_last_look_is_not_used_on_another_version(store: Store) -> None:
    """Between the look and the commit an operator resumes it and a fence of ours is signed."""
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.REQUEST_LOST)
    down = Between(mint, restore=silent, swap=silent)
    limp = on(engine, store, down)
    melt = limp.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=30)
    finish(limp, store, clock, rounds=100)
    assert melt.refresh().state == "attention"
    done: list[str] = []

    def resumed_meanwhile(*args: Any) -> Any:
        answer = mint.melt_quote_state(*args)
        if not done:
            done.append(engine.resume(melt.id, "the mint is back").state)
        return answer

    racing = on(engine, store, Between(mint, melt_quote_state=resumed_meanwhile))
    with pytest.raises(Refused):
        racing.write_off(melt.id, "give it up")
    assert done == ["released"] and melt.refresh().state == "released"
    invariants.check(store, mint)


@pytest.mark.parametrize("outcome", ["PAID", "PENDING"])
def test_force_keeps_what_was_answered(store: Store, outcome: str) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.lightning.script(payment_hash(bolt11), outcome)
    mint.faults.next("melt", faults.ANSWER_LOST)
    mute = Between(mint, melt_quote_state=silent, check_states=silent)
    port = Between(mint)
    melt = on(engine, store, port).melt(npub=NPUB, mint_url=mint.url, invoice=invoice(1, clock), wait_s=60)
    assert melt.state == "reconciled"
    mint.faults.next("melt", faults.ANSWER_LOST)
    sent = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    on(engine, store, mute).confirm(sent.id, wait_s=0)
    finish(on(engine, store, mute), store, clock, rounds=100)
    assert sent.refresh().state == "attention"
    half = on(engine, store, Between(mint, check_states=silent))
    if outcome == "PENDING":
        with pytest.raises(MintError):
            half.write_off(sent.id, "why")
        done = half.write_off(sent.id, "why", force=True)
        assert done.state == "written_off" and data_in(done.record).loss == 0
        stranded = engine.balance(NPUB).stranded
        assert stranded == sum(part.amount for part in sent.record.inputs) > 0, "it may still come back"
        with pytest.raises(Refused) as refused:
            engine.retry_stranded(NPUB, mint.url, reason="too early")
        assert refused.value.code == "PAYMENT_IN_FLIGHT" and engine.balance(NPUB).stranded == stranded
    else:
        done = half.write_off(sent.id, "why", force=True)
        assert done.is_paid and done.change > 0 and data_in(done.record).loss == 0
        invariants.check(store, mint)


def test_unspent_coins_of_a_request_nobody_accepts_come_back(store: Store) -> None:
    """An honest mint that takes at most two inputs refuses the melt and its fence."""
    from nutstate.engine.cashu.port import Refused as No

    engine, mint, clock = funded(store)

    def refuse(*args: object) -> No:
        return No(11000, "too many inputs", False)

    strict = on(engine, store, Between(mint, melt=refuse, swap=refuse))
    melt = strict.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=30)
    finish(strict, store, clock, rounds=100)
    assert melt.refresh().state == "attention"
    with pytest.raises(Refused) as refused:
        strict.write_off(melt.id, "stuck")
    assert refused.value.code == "INPUTS_STILL_UNSPENT"
    mute = on(engine, store, Between(mint, check_states=silent))
    with pytest.raises(MintError):
        mute.release(melt.id, "the mint refuses it for good")
    clock.advance(QUICK.settle_window_s)
    freed = strict.release(melt.id, "the mint refuses it for good")
    assert freed.state == "watching" and engine.balance(NPUB).unspent == 2000
    clock.advance(QUICK.watch_window_h * 3600)
    finish(engine, store, clock)
    assert melt.refresh().state == "released"
    invariants.check(store, mint)


def test_release_needs_proof(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.lightning.script(payment_hash(bolt11), "PENDING")
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=0)
    with pytest.raises(Refused):
        engine.release(melt.id, "impatient")
    clock.advance(QUICK.unknown_age_max_h * 3600 + 60)
    engine.recover(force=True)
    assert melt.refresh().state == "attention"
    with pytest.raises(Refused) as refused:
        engine.release(melt.id, "impatient")
    assert refused.value.code == "NOT_PROVEN_UNPAID" and engine.balance(NPUB).reserved == melt.inputs
