"""One answer of a mint is not enough where money would be freed, given up or called spent: what is asked a
second time, and what is not decided while a question stays unanswered."""

from __future__ import annotations

from typing import Any

import pytest

from nutstate import Engine, Refused, SimulatedMint, Store
from nutstate.engine.mint import simulated_faults as faults
from nutstate.engine.mint.port import ProofState
from nutstate.engine.mint.port import Refused as No
from nutstate.engine.proofs import name_of
from nutstate.storage.port import TokenQuery
from nutstate.storage.records import Proof
from tests.support import invariants
from tests.support.clock import FakeClock
from tests.support.crash import finish
from tests.support.recording import Wallet, proofs
from tests.support.wallet import NPUB, QUICK, funded, invoice

from .test_attacks_again import Between, on, silent


def biggest_reserved(store: Store) -> Proof:
    """The reserved proof of most value."""
    tokens = store.tokens(TokenQuery(npub=NPUB, states=("reserved",)))
    return max((proof for token in tokens for proof in token.proofs), key=lambda proof: proof.amount)


# -- SPENT ---------------------------------------------------------------------------------------------


def test_spent_and_then_unspent_corrects_nothing_when_inputs_are_chosen(store: Store) -> None:
    """Believed at once, a wrong word of the mint would burn 512 sat."""
    engine, mint, clock = funded(store)
    (token,) = store.tokens(TokenQuery(npub=NPUB))
    (chosen,) = [proof for proof in token.proofs if proof.amount == 512]
    mint.faults.next("check_states", faults.lie_about({name_of(chosen): "SPENT"}))
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(600, clock))
    assert melt.state == "reconciled" and engine.balance(NPUB).of("spent") == melt.inputs
    assert engine.balance(NPUB).unspent == 2000 - melt.inputs + melt.change
    invariants.check(store, mint)


def test_spent_and_then_unspent_corrects_nothing_between_the_steps(store: Store) -> None:
    """The mint contradicts itself about a prepared payment: wait, do not burn the input, then pay."""
    engine, mint, clock = funded(store)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(600, clock))
    mint.faults.next("check_states", faults.lie_about({name_of(biggest_reserved(store)): "SPENT"}))
    paid = engine.confirm(plan.id)
    assert paid.state == "reconciled" and engine.balance(NPUB).of("spent") == plan.inputs
    invariants.check(store, mint)


def test_some_spent_and_then_unspent_corrects_only_the_others(store: Store) -> None:
    """Of two proofs called SPENT only the one that is called so twice is written off."""
    engine, mint, clock = funded(store)
    once, twice = sorted(store.tokens(TokenQuery(npub=NPUB))[0].proofs, key=lambda p: -p.amount)[:2]
    mint.faults.next("check_states", faults.lie_about({name_of(once): "SPENT", name_of(twice): "SPENT"}))
    mint.faults.next("check_states", faults.lie_about({name_of(twice): "SPENT"}))
    with pytest.raises(Refused) as refused:
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(1700, clock))
    assert refused.value.code == "PROOF_STATE_INCONSISTENCY"
    assert engine.balance(NPUB).of("spent") == twice.amount
    assert engine.balance(NPUB).unspent == 2000 - twice.amount
    invariants.check(store)


# -- our own fence -------------------------------------------------------------------------------------


def parked_with_a_late_fence(store: Store) -> tuple[Engine, SimulatedMint, FakeClock, str]:
    """Parked, with a fence that the mint has not seen yet and may still execute."""
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
    return engine, mint, clock, melt.id


def test_a_fence_signed_between_the_two_looks_is_not_given_up(store: Store) -> None:
    """The mint executes our late fence after the first look for it; even by force it is not written off."""
    engine, mint, _, melt_id = parked_with_a_late_fence(store)

    def meanwhile(*args: Any) -> Any:
        answer = mint.melt_quote_state(*args)
        mint.deliver_late()
        return answer

    racing = on(engine, store, Between(mint, melt_quote_state=meanwhile))
    assert racing.write_off(melt_id, "nobody knows", force=True).state == "released"
    assert engine.balance(NPUB).unspent == 1999
    invariants.check(store, mint)


def test_a_release_asks_for_a_late_fence_first(store: Store) -> None:
    """Our own swap has the inputs: freeing them would give the wallet proofs that are spent."""
    engine, mint, clock, melt_id = parked_with_a_late_fence(store)
    mint.deliver_late()
    clock.advance(QUICK.settle_window_s)
    with pytest.raises(Refused):
        engine.release(melt_id, "trust it")
    mute = on(engine, store, Between(mint, restore=silent))
    with pytest.raises(Exception, match="does not answer"):
        mute.release(melt_id, "trust it")
    engine.recover(force=True)
    assert engine.operation(melt_id).state == "released" and engine.balance(NPUB).unspent == 1999
    invariants.check(store, mint)


def test_spent_inputs_with_an_unanswered_fence_are_not_spent_elsewhere(store: Store) -> None:
    """The mint signed our fence and is silent about it: the value is ours, so nobody may be told that
    somebody else has it. The payment stays unknown until restore answers."""
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.REQUEST_LOST)
    port = Between(mint)

    def late(*args: Any) -> No:
        mint.faults.next("swap", faults.LATE)
        mint.swap(*args)
        return No(11002, "pending", False)

    def restored_once(*args: Any) -> Any:
        answer = mint.restore(*args)
        if store.operation(melt_id) is not None and port._replaced.get("done"):
            mint.deliver_late()
            port._replaced["restore"] = silent
        return answer

    def refused(*args: Any) -> No:
        port._replaced["done"] = lambda: None
        return late(*args)

    melt_id = "tx_melt_with_a_fence"
    port._replaced |= {"swap": refused, "restore": restored_once}
    racing = on(engine, store, port)
    melt = racing.melt(
        npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), transaction_id=melt_id, wait_s=60
    )
    for _ in range(5):
        clock.advance(61)
        racing.recover(force=True, wait_s=10)
        assert melt.refresh().state == "unknown" and melt.record.reason is not None
        assert melt.record.reason.code != "INPUTS_SPENT_ELSEWHERE"
    finish(engine, store, clock)
    assert melt.refresh().state == "released" and engine.balance(NPUB).unspent == 1999
    invariants.check(store, mint)


# -- what a caller holds -------------------------------------------------------------------------------


def said(wallet: Wallet, states: dict[str, str], otherwise: str) -> None:
    """From now on the mint says this of single proofs, and ``otherwise`` of all others."""

    def check_states(mint_url: str, ys: Any) -> Any:
        return tuple(ProofState(y, states.get(y, otherwise)) for y in ys)

    wallet.mint.check_states = check_states  # type: ignore[method-assign]


def test_a_hold_of_which_one_proof_is_spent_is_parked_at_once(store: Store) -> None:
    """One SPENT and the others UNSPENT is a payment nobody recorded: it is told, not waited for."""
    wallet = Wallet(store, 100)
    hold = wallet.hold(100, ttl_s=10)
    said(wallet, {name_of(wallet.token(100).proofs[0]): "SPENT"}, "UNSPENT")
    wallet.clock.advance(11)
    wallet.engine.recover(force=True)
    ended = wallet.engine.operation(hold)
    assert ended.state == "contested" and ended.reason is not None and ended.reason.code == "HOLD_SPENT"
    assert wallet.balance() == (0, 100, 0)
    assert wallet.record([], proofs(10), [], 90, hold=hold).handle.state == "reconciled"
    invariants.check(store)


@pytest.mark.parametrize("word", ["PENDING", "BURNT"])
def test_a_hold_of_which_one_proof_is_not_unspent_is_not_freed(store: Store, word: str) -> None:
    """One proof in flight means that the caller's payment may still win."""
    wallet = Wallet(store, 100)
    hold = wallet.hold(100, ttl_s=10)
    said(wallet, {name_of(wallet.token(100).proofs[0]): word}, "UNSPENT")
    for _ in range(4):
        wallet.clock.advance(60)
        wallet.engine.recover(force=True, wait_s=QUICK.settle_window_s + 1)
    assert wallet.engine.operation(hold).state == "held" and wallet.balance() == (0, 100, 0)


def test_pending_between_two_unspent_answers_starts_the_window_anew(store: Store) -> None:
    """UNSPENT, PENDING, UNSPENT is no proof that nothing was paid, however long the first one is ago."""
    wallet = Wallet(store, 100)
    hold = wallet.hold(100, ttl_s=10)
    wallet.clock.advance(11)
    for word in ("UNSPENT", "PENDING", "UNSPENT"):
        wallet.mint.says = word
        wallet.engine.recover(force=True)
        wallet.clock.advance(QUICK.settle_window_s - 1)
    assert wallet.engine.operation(hold).state == "held" and wallet.balance() == (0, 100, 0)
    wallet.clock.advance(2)
    wallet.engine.recover(force=True)
    assert wallet.engine.operation(hold).state == "cancelled" and wallet.balance() == (100, 0, 0)
