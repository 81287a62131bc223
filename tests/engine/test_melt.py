"""Melts end to end against the simulated mint: every way a payment can go."""

from __future__ import annotations

import pytest

from nutstate import Refused, Store
from nutstate.engine.simulated import faults
from tests.support import invariants
from tests.support.data import data_in
from tests.support.wallet import NPUB, funded, invoice, payment_hash


def test_paid_with_change_and_fees(store: Store) -> None:
    engine, mint, clock = funded(store)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    assert melt.state == "reconciled" and melt.is_paid and melt.is_final
    assert melt.inputs == melt.amount + melt.lightning_fee + melt.input_fee + melt.change  # type: ignore[operator]
    assert melt.fee_paid is not None and 0 < melt.fee_paid < melt.fee_reserve
    assert engine.balance(NPUB).unspent == 2000 - 700 - melt.fee_paid
    invariants.check(store, mint)


def test_two_commits_in_the_good_case(store: Store) -> None:
    engine, mint, clock = funded(store)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    batches = list(dict.fromkeys(record.batch_id for record in melt.audit()))
    assert len(batches) == 2
    states = [
        [r.to_state for r in melt.audit() if r.batch_id == b and r.entity.startswith("operation:")]
        for b in batches
    ]
    assert states == [["requested", "quoted", "prepared", "paying"], ["paid", "settled", "reconciled"]]


def test_pending_then_paid(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(50, clock)
    mint.lightning.script(payment_hash(bolt11), "PENDING")
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=3)
    assert melt.state == "pending" and not melt.is_final
    invariants.check(store, mint)
    mint.lightning.settle(payment_hash(bolt11))
    again = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    assert (again.id, again.state) == (melt.id, "reconciled")
    invariants.check(store, mint)


def test_pending_then_failed_is_fenced_after_the_settle_window(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(50, clock)
    mint.lightning.script(payment_hash(bolt11), "PENDING")
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=3)
    mint.lightning.fail(payment_hash(bolt11))
    released = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    assert (released.id, released.state) == (melt.id, "released")
    assert engine.balance(NPUB).unspent == 2000 - released.input_fee
    invariants.check(store, mint)


def test_with_the_policy_fence_failed_is_released_only_behind_a_fence(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(50, clock)
    mint.lightning.script(payment_hash(bolt11), "FAILED")
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, on_unpaid="fence")
    assert melt.state == "released" and not melt.is_paid
    assert clock.slept >= engine.settings.settle_window_s - 0.5
    late = mint.melt(mint.url, data_in(melt.record).request_body)
    assert getattr(late, "code", None) == 11001
    invariants.check(store, mint)


def test_a_released_invoice_can_be_paid_again(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(50, clock)
    mint.lightning.script(payment_hash(bolt11), "FAILED")
    first = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, on_unpaid="fence")
    mint.lightning.script(payment_hash(bolt11), "PAID")
    second = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    assert (first.state, second.state) == ("released", "reconciled") and first.id != second.id
    invariants.check(store, mint)


def test_a_paid_invoice_is_never_paid_again(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(50, clock)
    first = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    assert engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11).id == first.id
    clock.advance(engine.settings.dedup_window_s + 1)
    with pytest.raises(Refused) as refused:
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    assert refused.value.code == "PAYMENT_ALREADY_CLAIMED" and refused.value.details["holder"] == first.id
    invariants.check(store, mint)


@pytest.mark.parametrize("fault", [faults.ANSWER_LOST, faults.SERVER_ERROR, faults.CUT])
def test_a_lost_answer_loses_nothing(store: Store, fault: faults.Fault) -> None:
    engine, mint, clock = funded(store)
    mint.faults.next("melt", fault)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    assert melt.state == "reconciled" and melt.change > 0
    assert "unknown" in {record.to_state for record in melt.audit()}
    invariants.check(store, mint)


def test_two_steps(store: Store) -> None:
    engine, mint, clock = funded(store)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    assert plan.state == "prepared" and plan.inputs >= 700 + plan.fee_reserve
    assert engine.balance(NPUB).reserved == plan.inputs
    engine.recover(force=True)
    assert plan.refresh().state == "prepared"
    paid = engine.confirm(plan.id)
    assert paid.state == "reconciled" and engine.confirm(plan.id).id == plan.id
    invariants.check(store, mint)


def test_cancel_frees_the_inputs_and_sending_closes_the_door(store: Store) -> None:
    engine, mint, clock = funded(store)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    assert engine.cancel(plan.id).state == "cancelled"
    assert engine.cancel(plan.id).state == "cancelled"
    assert engine.balance(NPUB).unspent == 2000
    with pytest.raises(Refused) as refused:
        engine.confirm(plan.id)
    assert refused.value.code == "ALREADY_FINAL"
    bolt11 = invoice(50, clock)
    mint.lightning.script(payment_hash(bolt11), "PENDING")
    sent = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=0)
    with pytest.raises(Refused) as refused:
        engine.cancel(sent.id)
    assert refused.value.code == "ALREADY_SENT"
    invariants.check(store, mint)


def test_a_prepared_melt_expires_with_its_quote(store: Store) -> None:
    engine, mint, clock = funded(store)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    assert plan.record.quote is not None
    clock.advance((plan.record.quote.expires_at - clock.now()) / 1000 + 1)
    with pytest.raises(Refused) as refused:
        engine.confirm(plan.id)
    assert refused.value.code == "QUOTE_EXPIRED"
    assert plan.refresh().state == "expired" and engine.balance(NPUB).unspent == 2000
    invariants.check(store, mint)


def test_too_little_money_says_what_is_missing(store: Store) -> None:
    engine, mint, clock = funded(store, amount=100)
    with pytest.raises(Refused) as refused:
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock))
    error = refused.value
    assert error.code == "INSUFFICIENT_BALANCE"
    assert error.details["available"] == 100
    assert error.details["required"] - error.details["available"] == error.details["shortfall"] > 0
    stored = engine.operation(error.details["operation_id"])
    assert stored.state == "rejected"
    assert engine.balance(NPUB).unspent == 100
    invariants.check(store, mint)


def test_change_that_appears_late_is_collected(store: Store) -> None:
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.change_delayed(3))
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    assert melt.state == "reconciled" and melt.change > 0
    invariants.check(store, mint)
