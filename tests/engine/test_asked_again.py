"""One answer of a mint is not enough where money would be freed, given up or called spent: what is asked a
second time, and what is not decided while a question stays unanswered."""

from __future__ import annotations

import itertools
from typing import Any

import attrs
import pytest

from nutstate import Refused, SimulatedMint, Store
from nutstate.engine.cashu.port import MeltQuote, ProofState, Restored
from nutstate.engine.cashu.port import Refused as No
from nutstate.engine.simulated import faults
from nutstate.engine.tokens.proofs import name_of
from nutstate.storage.port import TokenQuery
from nutstate.storage.records import Proof
from tests.support import invariants
from tests.support.crash import finish
from tests.support.data import data_in
from tests.support.ports import Between, on, silent
from tests.support.recording import Wallet, proofs
from tests.support.stories import parked_with_a_late_fence
from tests.support.wallet import NPUB, QUICK, funded, invoice


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


def test_a_mint_that_contradicts_itself_is_waited_for(store: Store) -> None:
    """SPENT, UNSPENT, SPENT, UNSPENT, …: nothing is sent with such an input, and nothing is burnt."""
    engine, mint, clock = funded(store)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(600, clock))
    name = name_of(biggest_reserved(store))
    words = itertools.cycle(["SPENT", "UNSPENT"])

    def unsure(mint_url: str, ys: Any) -> Any:
        word = next(words)
        return tuple(ProofState(y, word if y == name else "UNSPENT") for y in ys)

    asking = on(engine, store, Between(mint, check_states=unsure))
    assert asking.confirm(plan.id, wait_s=10).state == "prepared"
    assert engine.balance(NPUB).reserved == plan.inputs and engine.balance(NPUB).of("spent") == 0
    assert engine.confirm(plan.id).state == "reconciled"


def test_each_input_in_flight_is_left_out_for_good(store: Store) -> None:
    """Two coins are PENDING and a third is not: the first must not be chosen again because of the second."""
    engine, mint, clock = funded(store, amount=0)
    for _ in range(3):
        engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=64)
    tokens = store.tokens(TokenQuery(npub=NPUB, states=("unspent",)))
    free = tokens[-1].proofs[0]

    def states(mint_url: str, ys: Any) -> Any:
        return tuple(ProofState(y, "UNSPENT" if y == name_of(free) else "PENDING") for y in ys)

    choosy = on(engine, store, Between(mint, check_states=states))
    melt = choosy.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(50, clock))
    assert melt.is_paid and [part.token_id for part in melt.record.inputs] == [tokens[-1].transaction_id]


def test_a_payment_between_two_questions_is_not_an_input_spent_elsewhere(store: Store) -> None:
    """The quote is UNPAID, then the late request arrives, then the inputs are SPENT: it is our payment."""
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.LATE)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=0)
    assert melt.state == "unknown"

    def paid_meanwhile(*args: Any) -> Any:
        mint.deliver_late()
        return mint.check_states(*args)

    on(engine, store, Between(mint, check_states=paid_meanwhile)).recover(force=True, wait_s=5)
    states = [record.to_state for record in melt.audit()]
    assert melt.refresh().state == "reconciled" and "attention" not in states
    invariants.check(store, mint)


# -- our own fence -------------------------------------------------------------------------------------


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


def unreadable(answer: Any) -> Any:
    """The first signature is none of the keyset's."""
    if not isinstance(answer, Restored) or not answer.signatures:
        return answer
    first, *rest = answer.signatures
    assert first is not None
    return attrs.evolve(answer, signatures=(attrs.evolve(first, C_=first.C_[:-2] + "00"), *rest))


def partial(answer: Any) -> Any:
    """One output of several."""
    if not isinstance(answer, Restored) or not answer.signatures:
        return answer
    return Restored(answer.outputs[:1], answer.signatures[:1])


@pytest.mark.parametrize(
    "spoilt", [lambda answer: silent(), unreadable, partial], ids=["silent", "bad", "part"]
)
def test_spent_inputs_with_an_unclear_fence_are_not_spent_elsewhere(store: Store, spoilt: Any) -> None:
    """The mint signed our fence and is silent about it, or gives back what cannot be used: the value is ours,
    so it must not be called issued to another program. It stays unknown until restore answers."""
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.REQUEST_LOST)
    seen: list[str] = []

    def late(*args: Any) -> No:
        mint.faults.next("swap", faults.LATE)
        mint.swap(*args)
        seen.append("sent")
        return No(11002, "pending", False)

    def restore(*args: Any) -> Any:
        answer = mint.restore(*args)
        if "sent" not in seen:
            return answer
        if "signed" not in seen:
            seen.append("signed")
            mint.deliver_late()
            return answer  # from before
        return spoilt(answer)

    racing = on(engine, store, Between(mint, swap=late, restore=restore))
    melt = racing.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=60)
    for _ in range(5):
        clock.advance(61)
        racing.recover(force=True, wait_s=10)
        assert melt.refresh().state == "unknown", "neither ours nor anybody else's is proven"
    assert seen == ["sent", "signed"]
    finish(engine, store, clock)
    assert melt.refresh().state == "released" and engine.balance(NPUB).unspent == 1999
    invariants.check(store, mint)


# -- what the mint still owes --------------------------------------------------------------------------


def without_change(mint: SimulatedMint, **more: Any) -> Between:
    """A mint that paid and shows none of the change it signed."""

    def bare(answer: Any) -> Any:
        return attrs.evolve(answer, change=()) if isinstance(answer, MeltQuote) else answer

    return Between(
        mint,
        melt=lambda *args: bare(mint.melt(*args)),
        melt_quote_state=lambda *args: bare(mint.melt_quote_state(*args)),
        **more,
    )


def test_change_is_not_called_empty_while_restore_is_silent(store: Store) -> None:
    """All of the reserve may have been used, the quote shows no change, and the mint, which can restore,
    does not answer: settled now, the change would be lost."""
    engine, mint, clock = funded(store, amount=2047)
    deaf = on(engine, store, without_change(mint, restore=silent))
    melt = deaf.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(1000, clock), wait_s=5)
    for _ in range(5):
        clock.advance(QUICK.change_window_s + 1)
        deaf.recover(force=True, wait_s=2)
        assert melt.refresh().state in ("paid", "attention")
    engine.recover(force=True, wait_s=30)
    finish(engine, store, clock)
    done = melt.refresh()
    assert done.state == "reconciled" and done.change > 0
    invariants.check(store, mint)


def test_change_is_not_called_empty_by_restore_alone(store: Store) -> None:
    """Restore gives nothing yet and the quote is not answered: only both, twice, mean that there is none."""
    engine, mint, clock = funded(store, amount=2047)

    def nothing(*args: Any) -> Restored:
        return Restored((), ())

    def asked(*args: Any) -> Any:
        return silent()

    half = on(engine, store, without_change(mint, restore=nothing))
    melt = half.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(1000, clock), wait_s=0)
    mute = on(engine, store, Between(mint, restore=nothing, melt_quote_state=asked))
    for _ in range(5):
        clock.advance(QUICK.change_window_s + 1)
        mute.recover(force=True, wait_s=2)
        assert melt.refresh().state in ("paid", "attention")
    finish(engine, store, clock)
    engine.recover(force=True, wait_s=30)
    done = melt.refresh()
    assert done.state == "reconciled" and done.change > 0
    invariants.check(store, mint)


def test_change_seen_empty_once_is_not_called_missing_by_silence(store: Store) -> None:
    """Both said once that there is none; then the mint is silent. Only another clear answer decides."""
    engine, mint, clock = funded(store, amount=2047)

    def nothing(*args: Any) -> Restored:
        return Restored((), ())

    empty = on(engine, store, without_change(mint, restore=nothing))
    melt = empty.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(1000, clock), wait_s=0)
    assert data_in(melt.record).change_empty_since is not None
    mute = on(engine, store, Between(mint, restore=silent, melt_quote_state=silent))
    for _ in range(3):
        clock.advance(QUICK.change_window_s + 1)
        mute.recover(force=True, wait_s=1)
        assert melt.refresh().state == "paid"
    engine.recover(force=True, wait_s=30)
    done = melt.refresh()
    assert done.state == "reconciled" and done.change > 0
    invariants.check(store, mint)


def test_a_last_look_takes_change_that_only_the_quote_shows(store: Store) -> None:
    """Restore answers that it knows nothing: what the quote shows is ours all the same."""
    engine, mint, clock = funded(store)

    def nothing(*args: Any) -> Restored:
        return Restored((), ())

    blind = on(engine, store, without_change(mint, restore=nothing))
    melt = blind.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(690, clock), wait_s=5)
    clock.advance(QUICK.change_window_s)
    finish(blind, store, clock)
    assert melt.refresh().state == "attention", "change is owed and was not seen"
    half = on(engine, store, Between(mint, restore=nothing))
    ended = half.write_off(melt.id, "restore knows nothing")
    assert ended.state in ("reconciled", "paid") and data_in(ended.record).loss == 0
    finish(half, store, clock)
    done = melt.refresh()
    assert done.state == "reconciled" and done.change > 0
    invariants.check(store, mint)


def test_a_recorded_payment_is_given_up_without_asking_the_mint(store: Store) -> None:
    """It is paid and stored; whether others keep its sources is for the store to say, also while the mint
    is silent."""
    wallet = Wallet(store, 100, 200)
    other = wallet.hold(200)
    with pytest.raises(Refused) as refused:
        wallet.record([100, 200], proofs(10), [], 290)
    stuck = str(refused.value.details["operation_id"])
    wallet.mint.says = None
    ended = wallet.engine.write_off(stuck, "the other one keeps it")
    assert ended.state == "reconciled" and data_in(ended.record).payment is not None
    assert wallet.engine.operation(other).state == "held" and wallet.token(200).reserved_by == other


def test_proofs_issued_between_the_questions_of_a_last_look_are_ours(store: Store) -> None:
    """Restore knows nothing, then our late request is executed, then the quote says ISSUED: to us."""
    engine, mint, clock = funded(store, amount=0)
    mint.faults.next("mint", faults.LATE)
    sent: list[Any] = []

    def once(*args: Any) -> Any:
        sent.append(args)
        return mint.mint(*args) if len(sent) == 1 else silent()

    strict = on(engine, store, Between(mint, restore=silent, mint=once))
    op = strict.mint_tokens(npub=NPUB, mint_url=mint.url, amount=100, wait_s=5)
    finish(strict, store, clock, rounds=200)
    assert op.refresh().state == "attention"

    def executed(*args: Any) -> Any:
        mint.deliver_late()
        return mint.mint_quote_state(*args)

    racing = on(engine, store, Between(mint, mint_quote_state=executed))
    assert racing.write_off(op.id, "give it up").state == "issued"
    assert engine.balance(NPUB).unspent == 100
    invariants.check(store, mint)


# -- what a caller holds -------------------------------------------------------------------------------


def said(wallet: Wallet, states: dict[str, str], otherwise: str) -> None:
    """From now on the mint says this of single proofs, and ``otherwise`` of all others."""

    def check_states(mint_url: str, ys: Any) -> Any:
        return tuple(ProofState(y, states.get(y, otherwise)) for y in ys)

    wallet.mint.check_states = check_states  # type: ignore[method-assign]


def test_a_hold_of_which_one_proof_is_spent_is_parked_at_once(store: Store) -> None:
    """One SPENT and the others UNSPENT is a payment without a record: it is told, not waited for."""
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


@pytest.mark.parametrize("between", ["PENDING", "BURNT"])
def test_doubt_between_two_unspent_answers_starts_the_window_anew(store: Store, between: str) -> None:
    """UNSPENT, then anything but SPENT, then UNSPENT proves nothing, however long the first one is ago."""
    wallet = Wallet(store, 100)
    hold = wallet.hold(100, ttl_s=10)
    wallet.clock.advance(11)
    for word in ("UNSPENT", between, "UNSPENT"):
        wallet.mint.says = word
        wallet.engine.recover(force=True)
        wallet.clock.advance(QUICK.settle_window_s - 1)
    assert wallet.engine.operation(hold).state == "held" and wallet.balance() == (0, 100, 0)
    wallet.clock.advance(2)
    wallet.engine.recover(force=True)
    assert wallet.engine.operation(hold).state == "cancelled" and wallet.balance() == (100, 0, 0)
