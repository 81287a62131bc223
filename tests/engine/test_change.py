"""Change that is late, empty, unreadable, of another unit, or more than is owed."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from nutstate import Store
from nutstate.engine.cashu.coins.outputs import BadSignature
from nutstate.engine.cashu.port import Refused as No
from nutstate.engine.cashu.port import is_value
from nutstate.engine.simulated import faults
from tests.support import invariants
from tests.support.crash import finish
from tests.support.data import data_in
from tests.support.ports import Between, engine_on, on, silent
from tests.support.wallet import NPUB, QUICK, funded, invoice, payment_hash


def test_change_is_not_called_missing_because_nobody_answered(store: Store) -> None:
    """owed_min is 0; restore is silent, the quote shows no change: that is not 'empty'."""
    engine, mint, clock = funded(store, amount=2047)
    mint.faults.next("melt", faults.change_delayed(3))
    for _ in range(400):
        mint.faults.next("restore", faults.UNREACHABLE)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(1000, clock), wait_s=200)
    assert melt.is_paid
    mint.faults.stop()
    if melt.state == "attention":
        melt = engine.resume(melt.id, "the mint answers again")
    finish(engine, store, clock)
    done = melt.refresh()
    assert done.state == "reconciled" and done.change == done.inputs - 1000 - (done.fee_paid or 0)
    invariants.check(store, mint)


def test_empty_change_takes_more_than_one_look(store: Store) -> None:
    engine, mint, clock = funded(store, amount=2047)
    mint.faults.next("melt", faults.change_delayed(2))
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(1000, clock), wait_s=0)
    clock.advance(3600)  # the process was away for longer than the change window
    finish(engine, store, clock)
    done = melt.refresh()
    seen = [r.event for r in done.audit()]
    assert done.state == "reconciled"
    assert done.change > 0 or "change_seen_empty" in seen
    invariants.check(store)


def test_nothing_is_owed_and_nothing_comes(store: Store) -> None:
    """Lightning took the whole reserve: after the window it is settled without change."""
    engine, mint, clock = funded(store, amount=2047)
    bolt11 = invoice(1000, clock)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    mint.lightning.script(payment_hash(bolt11), "PAID", fee=plan.inputs - 1000 - plan.input_fee)
    done = engine.confirm(plan.id)
    assert done.state == "reconciled" and done.change == 0
    assert [r.event for r in done.audit()].count("change_seen_empty") == 1
    invariants.check(store, mint)


def test_signatures_of_another_unit_are_not_change(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    melt = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    run = engine._open(melt.record, "test")
    _, keyset = engine._keysets.usable(mint.url, "sat")
    engine._keysets._keys.put((mint.url, keyset.id), attrs.evolve(keyset, unit="msat"))
    with pytest.raises(BadSignature):
        run.keys(keyset.id)


def test_change_only_restore_has_is_collected_from_attention(store: Store) -> None:
    engine, mint, clock = funded(store)
    hidden = Between(mint)

    def without_change(*args: Any) -> Any:
        answer: Any = mint.melt_quote_state(*args)
        return attrs.evolve(answer, change=())

    def paid_without_change(*args: Any) -> Any:
        answer: Any = mint.melt(*args)
        return attrs.evolve(answer, change=())

    hidden._replaced |= {"melt": paid_without_change, "melt_quote_state": without_change, "restore": silent}
    poor = on(engine, store, hidden)
    melt = poor.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=100)
    assert melt.state == "attention"
    del hidden._replaced["restore"]
    poor.recover(force=True)
    done = melt.refresh()
    assert done.state == "reconciled" and done.change > 0
    invariants.check(store, mint)


@pytest.mark.parametrize("amount", [690, 717])
def test_one_signature_that_never_opens_does_not_keep_the_others(store: Store, amount: int) -> None:
    """The last look opens what it can; it must not send the operation back to a collection that wants all."""
    engine, mint, clock = funded(store)

    def spoilt(answer: Any, field: str) -> Any:
        found = list(getattr(answer, field, ()))
        if len(found) < 2:
            return answer
        last = min(range(len(found)), key=lambda n: found[n].amount)
        found[last] = attrs.evolve(found[last], C_=found[last - 1].C_)
        return attrs.evolve(answer, **{field: tuple(found)})

    lame = Between(
        mint,
        melt=lambda *args: spoilt(mint.melt(*args), "change"),
        melt_quote_state=lambda *args: spoilt(mint.melt_quote_state(*args), "change"),
        restore=lambda *args: spoilt(mint.restore(*args), "signatures"),
    )
    limp = on(engine, store, lame)
    melt = limp.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(amount, clock), wait_s=5)
    clock.advance(QUICK.change_window_s)
    finish(limp, store, clock)
    assert melt.refresh().state == "attention"
    ended = limp.write_off(melt.id, "the mint cannot sign it")
    assert ended.state == "reconciled" and ended.change > 0
    invariants.check(store)


def test_over_paid_change_in_a_watch(store: Store) -> None:
    """A lying mint executes what it refused, and gives back more than is owed."""
    engine, mint, clock = funded(store)
    sent: list[Any] = []

    def refuse(url: str, body: Any) -> Any:
        sent.append(body)
        return No(20004, "Lightning payment failed", False)

    melt = engine_on(store, clock, Between(mint, melt=refuse)).melt(
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
