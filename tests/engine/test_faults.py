"""F6: what a mint or a network can do to a melt, one fault at a time."""

from __future__ import annotations

import pytest

from nutstate import Engine, MintError, Refused, Store
from nutstate.engine.simulated import faults
from nutstate.engine.tokens.proofs import name_of
from nutstate.storage.errors import CommitUnknown
from nutstate.storage.port import TokenQuery
from nutstate.storage.testing.records import FaultyStore
from tests.support import invariants
from tests.support.crash import finish
from tests.support.data import data_in
from tests.support.wallet import NPUB, QUICK, funded, invoice, payment_hash, silence


def events(handle: object) -> list[str]:
    return [r.event for r in handle.audit() if r.entity.startswith("operation:")]  # type: ignore[attr-defined]


def test_unpaid_is_not_believed_before_the_settle_window(store: Store) -> None:
    """The request is late: UNPAID now, executed afterwards. Nothing may have been freed meanwhile."""
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.faults.next("melt", faults.LATE)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=2)
    assert melt.state == "unknown" and engine.balance(NPUB).reserved == melt.inputs
    mint.deliver_late()
    paid = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    assert (paid.id, paid.state) == (melt.id, "reconciled")
    invariants.check(store, mint)


def test_a_request_later_than_the_fence_can_never_win(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.faults.next("melt", faults.LATE)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    assert melt.state == "released" and "fence_done" in events(melt)
    mint.deliver_late()
    assert mint.lightning.payments(payment_hash(bolt11)) == 0
    invariants.check(store, mint)


@pytest.mark.parametrize("fault", [faults.ANSWER_LOST, faults.CUT, faults.SERVER_ERROR, faults.REQUEST_LOST])
def test_a_fence_survives_a_lost_answer(store: Store, fault: faults.Fault) -> None:
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.REQUEST_LOST)
    mint.faults.next("swap", fault)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    assert melt.state == "released"
    assert engine.balance(NPUB).unspent == 2000 - melt.input_fee
    invariants.check(store, mint)


def test_a_quote_that_flaps_frees_nothing(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.lightning.script(payment_hash(bolt11), "PENDING")
    for state in ("UNPAID", "PENDING", "UNPAID", "PENDING", "UNPAID"):
        mint.faults.next("melt_quote_state", faults.quote_state(state))
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=30)
    assert melt.state in ("pending", "unknown")
    assert engine.balance(NPUB).reserved == melt.inputs
    mint.lightning.settle(payment_hash(bolt11))
    finish(engine, store, clock)
    assert melt.refresh().state == "reconciled"
    invariants.check(store, mint)


def test_a_cached_pending_answer_is_not_news(store: Store) -> None:
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.quote_state("PENDING"))
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    assert melt.state == "released"
    invariants.check(store, mint)


@pytest.mark.parametrize("fault", [faults.CHANGE_ZERO, faults.CHANGE_ROTATED, faults.DUPLICATED])
def test_strange_change_is_still_ours(store: Store, fault: faults.Fault) -> None:
    engine, mint, clock = funded(store)
    mint.faults.next("melt", fault)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    assert melt.is_paid and melt.state in ("reconciled", "attention")
    invariants.check(store, mint)


def test_change_above_what_is_owed_is_ours_and_told(store: Store) -> None:
    """What the mint signs beyond what it owes is stored, noted as surplus, and CRITICAL in the audit."""
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.change_over(50))
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=100)
    assert melt.state == "reconciled" and melt.is_paid
    owed = melt.inputs - 700 - melt.input_fee
    assert (
        melt.change > owed and data_in(melt.record).surplus == melt.change - owed and melt.lightning_fee == 0
    )
    assert any(r.compliance_level == "CRITICAL" for r in melt.audit())
    invariants.check(store, mint)


def test_change_with_a_wrong_dleq_is_fetched_again(store: Store) -> None:
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.CHANGE_BAD_DLEQ)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=100)
    assert melt.is_paid and melt.state in ("attention", "reconciled")
    invariants.check(store, mint)


def test_change_below_what_is_owed_needs_a_person(store: Store) -> None:
    engine, mint, clock = funded(store)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock))
    owed = plan.inputs - 100 - plan.input_fee
    if owed <= plan.fee_reserve:
        pytest.skip("this wallet happens to pay exactly")
    mint.faults.next("melt", faults.change_short(owed))
    melt = engine.confirm(plan.id, wait_s=100)
    assert melt.state == "attention"
    invariants.check(store)


def test_an_input_the_mint_calls_spent_blocks_and_is_corrected(store: Store) -> None:
    engine, mint, clock = funded(store)
    token = store.tokens(TokenQuery(npub=NPUB, states=("unspent",)))[0]
    spent_proof = next(p for p in token.proofs if p.amount == 512)
    for _ in range(2):  # it is asked twice before money is called spent
        mint.faults.next("check_states", faults.lie_about({name_of(spent_proof): "SPENT"}))
    with pytest.raises(Refused) as refused:
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(600, clock))
    assert refused.value.code == "PROOF_STATE_INCONSISTENCY" and refused.value.retryable
    assert engine.balance(NPUB).of("spent") == 512
    assert engine.balance(NPUB).unspent == 2000 - 512
    invariants.check(store)


def test_pending_inputs_are_left_alone(store: Store) -> None:
    engine, mint, clock = funded(store)
    token = store.tokens(TokenQuery(npub=NPUB, states=("unspent",)))[0]
    proof = next(p for p in token.proofs if p.amount == 512)
    mint.faults.next("check_states", faults.lie_about({name_of(proof): "PENDING"}))
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(500, clock))
    assert melt.state == "reconciled"
    invariants.check(store, mint)


def test_inputs_spent_elsewhere_need_a_person(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.faults.next("melt", faults.REQUEST_LOST)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=0)
    locked = [p for t in store.tokens(TokenQuery(reserved_by=melt.id)) for p in t.proofs]
    for _ in range(4):
        mint.faults.next("check_states", faults.lie_about({name_of(p): "SPENT" for p in locked}))
    parked = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=20)
    assert parked.state == "attention" and parked.reason is not None
    assert parked.reason.code == "INPUTS_SPENT_ELSEWHERE"
    mint.faults.stop()
    resumed = engine.resume(parked.id, "the mint repaired its database")
    assert resumed.state == "released"
    invariants.check(store, mint)


def test_a_mint_that_forgot_the_quote_parks_it_after_the_limit(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.faults.next("melt", faults.LATE)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=0)
    mint.faults.chaos(1, 100, kinds=("unreachable",))
    finish(engine, store, clock, rounds=100)
    assert melt.refresh().state == "attention"
    assert engine.balance(NPUB).reserved == melt.inputs, "parking frees nothing"
    mint.faults.stop()
    mint.deliver_late()
    finish(engine, store, clock)
    engine.recover(force=True)
    assert melt.refresh().state == "reconciled", "mint_paid brings it back"
    invariants.check(store, mint)


def test_no_restore_means_no_fence(store: Store) -> None:
    engine, mint, clock = funded(store, mint_options={"without": [9]})
    mint.faults.next("melt", faults.REQUEST_LOST)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    assert melt.state == "attention" and melt.reason is not None
    assert melt.reason.code == "FENCE_IMPOSSIBLE"
    with pytest.raises(Refused) as refused:
        engine.write_off(melt.id, "nobody can prove what happened")
    assert refused.value.code == "INPUTS_STILL_UNSPENT"
    lost = engine.write_off(melt.id, "nobody can prove what happened", force=True)
    assert lost.state == "written_off" and data_in(lost.record).loss == 0
    assert engine.balance(NPUB).stranded == melt.inputs, "the mint calls them UNSPENT: they may come back"
    invariants.check(store)


def test_trust_frees_at_once_and_keeps_watching(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.lightning.script(payment_hash(bolt11), "FAILED")
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, on_unpaid="trust")
    assert melt.state == "watching" and engine.balance(NPUB).unspent == 2000
    clock.advance(engine.settings.watch_window_h * 3600)
    finish(engine, store, clock)
    assert melt.refresh().state == "released"
    invariants.check(store, mint)


def test_trust_that_was_broken_is_critical(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.faults.next("melt", faults.LATE)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, on_unpaid="trust")
    assert melt.state == "watching"
    mint.deliver_late()
    engine.recover(force=True)
    broken = melt.refresh()
    assert broken.state == "reconciled"
    assert any(r.compliance_level == "CRITICAL" for r in broken.audit()), "it is an alarm all the same"
    assert broken.is_paid and broken.change > 0, "the proof of payment and the change are ours"
    assert engine.balance(NPUB).unspent == 2000 - melt.inputs + broken.change
    invariants.check(store, mint)


def test_retry_pays_the_same_bytes_again(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.lightning.script(payment_hash(bolt11), "FAILED", "PAID")
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, on_unpaid="retry_then_fence")
    assert melt.state == "reconciled" and events(melt).count("retry") == 1
    assert mint.lightning.attempts(payment_hash(bolt11)) == 2
    invariants.check(store, mint)


def test_a_retry_that_fails_too_is_fenced(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.lightning.script(payment_hash(bolt11), "FAILED")
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, on_unpaid="retry_then_fence", wait_s=200)
    assert melt.state == "released" and mint.lightning.attempts(payment_hash(bolt11)) == 2
    invariants.check(store, mint)


def test_a_rotated_keyset_gets_a_new_fence(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.faults.next("melt", faults.REQUEST_LOST)
    for _ in range(20):
        mint.faults.next("swap", faults.REQUEST_LOST)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=12)
    assert melt.state == "fencing"
    mint.faults.stop()
    mint.rotate_keyset()
    finish(engine, store, clock)
    done = melt.refresh()
    assert done.state == "released" and len(data_in(done.record).fences) == 2
    invariants.check(store, mint)


@pytest.mark.parametrize("endpoint", ["melt_quote", "keysets", "check_states"])
def test_a_silent_mint_before_payment_is_a_retryable_error(store: Store, endpoint: str) -> None:
    engine, mint, clock = funded(store)
    engine = Engine(store, mint, settings=QUICK, clock=clock)
    silence(mint, endpoint)
    bolt11 = invoice(700, clock)
    with pytest.raises(MintError) as failed:
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    assert failed.value.code == "MINT_UNREACHABLE" and failed.value.retryable
    assert engine.operation(failed.value.details["operation_id"]).state == "rejected"
    assert engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11).state == "reconciled"
    invariants.check(store, mint)


def test_funding_survives_every_lost_answer(store: Store) -> None:
    engine, mint, clock = funded(store, amount=0)
    for fault in (faults.ANSWER_LOST, faults.REQUEST_LOST, faults.CUT, faults.UNREACHABLE, faults.DUPLICATED):
        mint.faults.next("mint", fault)
        op = engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=100)
        assert op.state == "issued", fault
    assert engine.balance(NPUB).unspent == 500
    invariants.check(store, mint)


def test_clock_jumps_do_not_shorten_the_settle_window(store: Store) -> None:
    """F7: the process that sent measures with the monotonic clock."""
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.faults.next("melt", faults.LATE)
    real_sleep = clock.sleep

    def jumping(seconds: float) -> None:
        clock.jump(3600)
        real_sleep(seconds)

    clock.sleep = jumping  # type: ignore[method-assign]
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=2)
    assert melt.state == "unknown" and clock.slept < QUICK.settle_window_s
    invariants.check(store)


def test_a_commit_that_is_unknown_and_then_unavailable_is_not_called_refused(store: Store) -> None:
    """The last try wrote nothing, the first one did: the caller must not hear "nothing was written"."""
    engine, mint, clock = funded(store)
    fragile = Engine(FaultyStore(store, ["lost", "unavailable"]), mint, settings=QUICK, clock=clock)
    bolt11 = invoice(100, clock)
    with pytest.raises(CommitUnknown) as caught:
        fragile.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, idempotency_key="k")
    assert caught.value.severity == "CRITICAL"
    found = store.operation_by_key(NPUB, "k")
    assert found is not None and found.state == "paying"
    again = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, idempotency_key="k")
    assert again.id == found.id
    invariants.check(store)
