"""What was freed on trust, held by another operation, and taken by the mint after all; losses told once."""

from __future__ import annotations

from typing import Any

import pytest

from nutstate import Engine, Refused, Store
from nutstate.engine.cashu.port import Refused as No
from nutstate.engine.operations.shared import freed
from nutstate.engine.simulated import faults
from nutstate.engine.tokens.proofs import name_of
from nutstate.storage.port import OperationQuery, TokenQuery
from tests.support import invariants
from tests.support.crash import finish
from tests.support.data import data_in
from tests.support.ports import Between, on, silent
from tests.support.recording import Wallet, proofs
from tests.support.stories import agrees, released_before_its_fence
from tests.support.wallet import NPUB, QUICK, funded, invoice, payment_hash

TX = "tx_recorded_1"
AMOUNTS = {"whole": 700, "part": 3, "mixed": 770}


def worth(engine: Engine) -> tuple[int, int]:
    balance = engine.balance(NPUB)
    return balance.unspent, balance.reserved


@pytest.mark.parametrize("used", AMOUNTS)
@pytest.mark.parametrize("end", ["cancel", "expire", "unhold"])
def test_letting_go_of_what_a_late_fence_took_frees_nothing(store: Store, used: str, end: str) -> None:
    """R314: the proofs are in new proofs of the fence; freeing the old ones too would count them twice."""
    engine, mint, clock, melt_id = released_before_its_fence(store)
    if end == "unhold":
        sources = [part.token_id for part in engine.operation(melt_id).record.inputs]
        other = engine.hold(sources, 3600, npub=NPUB, mint_url=mint.url)
    else:
        other = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(AMOUNTS[used], clock))
    mint.deliver_late()
    engine.recover(force=True)
    assert engine.operation(melt_id).state == "released" and other.refresh().inputs
    if end == "cancel":
        engine.cancel(other.id)
    elif end == "unhold":
        engine.unhold(other.id)
    else:
        clock.advance(7200)
        engine.recover(force=True)
        assert other.refresh().state == "expired"
    assert worth(engine) == (1999, 0)
    agrees(store, mint)
    assert engine.reconcile(other.id).validation_passed and engine.reconcile(melt_id).validation_passed
    corrected = [record for record in other.audit() if record.event == "correct_spent"]
    assert corrected and {record.compliance_level for record in corrected} == {"CRITICAL"}


def test_what_changed_hands_twice_is_found_too(store: Store) -> None:
    """R314: proofs that were moved to another token in between are known by where they came from."""
    engine, mint, clock, melt_id = released_before_its_fence(store)
    first = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(3, clock))
    kept = data_in(first.record).keep_token_id
    assert kept is not None
    second = engine.hold([kept], 3600, npub=NPUB, mint_url=mint.url)
    mint.deliver_late()
    engine.recover(force=True)
    assert engine.operation(melt_id).state == "released"
    engine.unhold(second.id)
    engine.cancel(first.id)
    assert worth(engine) == (1999, 0)
    agrees(store, mint)


def test_what_was_paid_after_the_release_is_found_too(store: Store) -> None:
    """R314: the same, where the mint broke its word and paid."""
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.LATE)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=0)
    deaf = on(engine, store, Between(mint, melt_quote_state=silent, check_states=silent, swap=silent))
    clock.advance(QUICK.unknown_age_max_h * 3600 + 1)
    finish(deaf, store, clock)
    assert melt.refresh().state == "attention"
    assert engine.release(melt.id, "trust it").state == "watching"
    other = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    mint.deliver_late()
    finish(engine, store, clock)
    paid = melt.refresh()
    # its source is not spent as long as the other one holds it, so a person must look
    assert (paid.state, paid.is_paid) == ("discrepant", True) and other.refresh().state == "prepared"
    engine.cancel(other.id)
    assert worth(engine) == (2000 - paid.amount - (paid.fee_paid or 0), 0)
    agrees(store, mint)
    assert engine.resolve(melt.id, "the source is spent now").state == "reconciled"
    assert engine.reconcile(melt.id).validation_passed


def test_what_nobody_took_is_freed(store: Store) -> None:
    """R314: a trust that held costs nothing: what was freed is money again after the next one lets go."""
    engine, mint, clock, melt_id = released_before_its_fence(store)
    other = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    engine.cancel(other.id)
    assert worth(engine) == (2000, 0)
    assert not [record for record in other.audit() if record.event == "correct_spent"]
    assert engine.operation(melt_id).state == "watching"


def test_a_long_line_of_ancestors_ends(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """R314: the search is bounded; what it misses the pre-flight of the next payment corrects."""
    monkeypatch.setattr(freed, "ANCESTORS_MAX", 0)
    engine, mint, clock, melt_id = released_before_its_fence(store)
    other = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    mint.deliver_late()
    engine.recover(force=True)
    engine.cancel(other.id)
    assert worth(engine)[0] > 1999
    assert engine.preflight(NPUB, mint.url, correct=True).corrected > 0
    assert worth(engine) == (1999, 0)
    agrees(store, mint)


# -- losses ----------------------------------------------------------------------------------------


def lost(store: Store, *names: str) -> int:
    operations = [store.operation(name) for name in names]
    return sum(data_in(op).loss for op in operations if op is not None)


def contested(store: Store) -> tuple[Wallet, str]:
    """A melt that was recorded with a source that a hold has, whose proofs the mint calls SPENT by then."""
    wallet = Wallet(store, 100)
    holder = wallet.hold(100)
    with pytest.raises(Refused):
        wallet.record([100], proofs(9), [], 91, transaction_id=TX)
    assert wallet.engine.operation(TX).state == "contested"
    return wallet, holder


def give_up_the_hold(wallet: Wallet, holder: str) -> None:
    """Its time is over, the mint calls it SPENT, and an operator writes it off."""
    wallet.mint.says = "SPENT"
    wallet.clock.advance(48 * 3600)
    wallet.engine.recover(force=True)
    assert wallet.engine.operation(holder).state == "contested"
    assert wallet.engine.write_off(holder, "not recorded").state == "written_off"


@pytest.mark.parametrize("first", ["the record", "the holder"])
def test_a_loss_is_told_once(store: Store, first: str) -> None:
    """R315: in any order of the ends, the source that both name is lost once."""
    wallet, holder = contested(store)
    if first == "the holder":
        give_up_the_hold(wallet, holder)
        assert wallet.engine.operation(TX).state == "contested"
    assert wallet.engine.write_off(TX, "recorded with the source of another").state == "reconciled"
    if first == "the record":
        assert lost(store, TX) == 0, "the holder may still free it"
        give_up_the_hold(wallet, holder)
    assert lost(store, TX, holder) == 100
    invariants.check(store)


def test_a_source_that_was_corrected_is_nobodys_loss(store: Store) -> None:
    """R315: the holder let go of it, and the mint calls it SPENT because it was paid with."""
    wallet, holder = contested(store)
    wallet.engine.unhold(holder)
    wallet.mint.says = "SPENT"
    (token,) = store.tokens(TokenQuery(states=("unspent",), ids=(wallet.ids[100],)))
    assert wallet.engine.preflight(
        NPUB, token.mint_url, sources=[token.transaction_id], correct=True
    ).corrected
    ended = wallet.engine.write_off(TX, "it was paid with")
    assert (ended.state, data_in(ended.record).loss) == ("reconciled", 0)


def test_freed_inputs_that_moved_are_still_corrected(store: Store) -> None:
    """Trusted inputs were freed, another melt moved some to its keep; then the old request was paid."""
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.faults.next("melt", faults.LATE)
    first = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, on_unpaid="trust")
    assert first.state == "watching"
    source = first.record.inputs[0].token_id
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(40, clock), sources=[source])
    engine.cancel(plan.id)
    mint.deliver_late()
    engine.recover(force=True)
    assert first.refresh().state == "reconciled"
    assert any(r.compliance_level == "CRITICAL" for r in first.audit()), "somebody was told"
    for token in store.tokens(TokenQuery(states=("unspent",))):
        states: Any = mint.check_states(mint.url, [name_of(p) for p in token.proofs])
        assert {state.state for state in states} == {"UNSPENT"}, "spent coins are shown as money"


@pytest.mark.parametrize("with_post", [False, True])
def test_broken_trust_is_corrected_whoever_hears_of_it(store: Store, with_post: bool) -> None:
    """PAID comes while watching: from a poll, or as the late answer of the first driver's own POST."""
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    other = on(engine, store, mint, post_open_max_s=0, settle_window_s=0)
    seen: list[str] = []

    def slow(*args: Any) -> Any:
        clock.advance(QUICK.lease_s + 5)
        other.recover(force=True)
        (op,) = store.operations(OperationQuery(kind="melt"))
        seen.append(op.state)
        return mint.melt(*args)

    if with_post:
        first = on(engine, store, Between(mint, melt=slow))
        melt = first.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, on_unpaid="trust")
        assert seen == ["watching"]
    else:
        mint.faults.next("melt", faults.LATE)
        mint.faults.next("melt", faults.change_delayed(3))
        melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, on_unpaid="trust")
        mint.deliver_late()
        deaf = on(engine, store, Between(mint, check_states=silent))
        deaf.recover(force=True)
    finish(engine, store, clock)
    done = melt.refresh()
    assert done.state == "reconciled" and done.is_paid and done.change > 0
    invariants.check(store, mint)


def test_broken_trust_is_settled_though_another_holds_the_token(store: Store) -> None:
    engine, mint, clock = funded(store, amount=1024)
    mint.faults.next("melt", faults.LATE)
    mint.faults.next("melt", faults.change_delayed(50))
    first = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), on_unpaid="trust")
    assert first.state == "watching"
    other = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(600, clock))
    assert {part.token_id for part in other.record.inputs} & {p.token_id for p in first.record.inputs}
    mint.deliver_late()
    for _ in range(40):
        clock.advance(20)
        engine.recover(force=True)
    mint.faults.stop()
    for _ in range(40):
        clock.advance(20)
        engine.recover(force=True)
    done = first.refresh()
    assert done.is_paid and done.state in ("discrepant", "attention", "reconciled")
    if done.state == "attention":
        engine.resume(done.id, "collect the change")
        done = first.refresh()
    assert done.change > 0, "the change is ours whoever holds the old token"


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


@pytest.mark.parametrize("used_meanwhile", [False, True])
def test_a_late_request_after_an_operators_release(store: Store, used_meanwhile: bool) -> None:
    """Freed without a fence: either the late request is paid and corrected, or it finds its inputs gone."""
    from nutstate.engine.cashu.port import Refused as No

    engine, mint, clock = funded(store)

    def refuse(*args: object) -> No:
        return No(11000, "no", False)

    bolt11 = invoice(700, clock)
    mint.faults.next("melt", faults.LATE)
    strict = on(engine, store, Between(mint, swap=refuse))
    melt = strict.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=30)
    finish(strict, store, clock, rounds=100)
    with pytest.raises(Refused):
        strict.release(melt.id, "our own fence may still be on its way")
    clock.advance(QUICK.settle_window_s)
    assert strict.release(melt.id, "trust it").state == "watching"
    if used_meanwhile:
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(900, clock))
    mint.deliver_late()
    clock.advance(QUICK.watch_window_h * 3600)
    finish(engine, store, clock)
    done = melt.refresh()
    assert done.state == ("released" if used_meanwhile else "reconciled")
    assert mint.lightning.payments(payment_hash(bolt11)) == done.is_paid == (not used_meanwhile)
    invariants.check(store, mint)
