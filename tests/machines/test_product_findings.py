"""What the exploration found, played through the real engine and the simulated mint: the ways that once lost
something must lose nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from nutstate import Engine, SimulatedMint, Store, open_store
from nutstate.engine.errors import Refused
from nutstate.engine.simulated import faults
from tests.support import invariants
from tests.support.clock import FakeClock
from tests.support.data import data_in
from tests.support.wallet import NPUB, QUICK, funded, invoice, payment_hash

DAY_S = 25 * 3600
World = tuple[Store, Engine, SimulatedMint, FakeClock]


@pytest.fixture
def world(tmp_path: Any) -> Iterator[World]:
    with open_store(f"sqlite:///{tmp_path}/wallet.db") as store:
        engine, mint, clock = funded(store)
        yield store, engine, mint, clock


def _fence_under_way(world: World) -> str:
    """A parked melt whose fence got no answer and is not executed yet."""
    _, engine, mint, clock = world
    mint.faults.next("melt", faults.REQUEST_LOST)
    for _ in range(20):
        mint.faults.next("swap", faults.LATE)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=15)
    assert melt.state == "fencing"
    clock.advance(DAY_S)
    engine.recover(force=True, wait_s=0)
    assert engine.operation(melt.id).state == "attention"
    return melt.id


def test_a_release_waits_for_the_settle_window_of_the_fence(world: World) -> None:
    store, engine, mint, clock = world
    melt_id = _fence_under_way(world)
    with pytest.raises(Refused):
        engine.release(melt_id, "it takes too long")
    assert mint.deliver_late() > 0
    engine.recover(force=True, wait_s=5)
    assert engine.operation(melt_id).state == "released"
    invariants.check(store, mint)


def test_a_fence_that_arrives_after_the_release_is_found(world: World) -> None:
    store, engine, mint, clock = world
    before = engine.balance(NPUB).unspent
    melt_id = _fence_under_way(world)
    clock.advance(QUICK.settle_window_s + 1)
    assert engine.release(melt_id, "it takes too long").state == "watching"
    assert mint.deliver_late() > 0
    clock.advance(DAY_S)
    engine.recover(force=True, wait_s=5)
    ended = engine.operation(melt_id)
    assert ended.state == "released"
    assert any(record.transition.startswith("22b") for record in ended.audit())
    stored = store.operation(melt_id)
    assert stored is not None and data_in(stored).fenced_token_id is not None
    worth = before - data_in(stored).fences[-1].input_fee
    assert engine.balance(NPUB).unspent == worth
    spent = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(worth - 100, clock), wait_s=60)
    assert spent.state == "reconciled", "what the fence brought home is money"


def test_a_last_look_that_finds_it_paid_waits_for_the_change(world: World) -> None:
    store, engine, mint, clock = world
    bolt11 = invoice(700, clock)
    mint.lightning.script(payment_hash(bolt11), "PENDING")
    mint.faults.next("melt", faults.change_delayed(10))
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=0)
    _parked(engine, mint, clock, melt.id)
    mint.lightning.settle(payment_hash(bolt11))
    assert engine.write_off(melt.id, "it takes too long").state == "paid"
    engine.recover(force=True, wait_s=30)
    ended = engine.operation(melt.id)
    assert ended.state == "reconciled" and ended.change > 0
    invariants.check(store, mint)


def test_what_is_paid_during_the_last_look_is_not_given_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, engine, mint, clock = world
    mint.faults.next("melt", faults.LATE)
    bolt11 = invoice(700, clock)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=0)
    _parked(engine, mint, clock, melt.id)
    _while_asked(mint, "melt_quote_state", monkeypatch, lambda answer: mint.deliver_late())
    assert engine.write_off(melt.id, "it takes too long").state in ("paid", "reconciled")
    engine.recover(force=True, wait_s=30)
    ended = engine.operation(melt.id)
    assert ended.state == "reconciled" and ended.change > 0
    assert mint.lightning.payments(payment_hash(bolt11)) == 1
    invariants.check(store, mint)


def test_a_slow_answer_frees_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    store, engine, mint, clock = world
    mint.faults.next("melt", faults.LATE)
    asked, slow = mint.check_states, [True]

    def check_states(url: str, names: Sequence[str]) -> Any:
        answer = asked(url, names)
        if engine.operations(NPUB, kind="melt", states=("unknown",)) and slow and slow.pop():
            mint.deliver_late()
            clock.advance(QUICK.settle_window_s + QUICK.post_open_max_s + 1)
        return answer

    monkeypatch.setattr(mint, "check_states", check_states)
    bolt11 = invoice(700, clock)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, on_unpaid="trust", wait_s=0)
    engine.recover(force=True, wait_s=60)
    melt = engine.operation(melt.id)
    assert not slow, "the slow answer was not asked for"
    assert melt.state == "reconciled"
    assert "watching" not in [record.to_state for record in melt.audit()]
    assert mint.lightning.payments(payment_hash(bolt11)) == 1
    invariants.check(store, mint)


def test_a_slow_answer_expires_no_invoice(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    store, engine, mint, clock = world
    mint.auto_pay = False
    issue = engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=64, wait_s=0)
    stored = store.operation(issue.id)
    assert stored is not None and stored.quote is not None
    quote_id = stored.quote.id
    clock.advance((stored.quote.expires_at - clock.now()) / 1000 - 1)

    def paid_meanwhile(answer: Any) -> None:
        mint.pay_mint_quote(quote_id)
        clock.advance(2)

    _while_asked(mint, "mint_quote_state", monkeypatch, paid_meanwhile)
    engine.recover(force=True, wait_s=0)
    assert engine.operation(issue.id).state == "quoted"
    engine.recover(force=True, wait_s=60)
    parked = engine.operation(issue.id).record
    assert parked.state == "attention", (
        "a person is told, the mint issues nothing for an invoice that ran out"
    )
    assert parked.reason is not None and parked.reason.code == "MINT_WILL_NOT_ISSUE"
    invariants.check(store, mint)


def test_give_up_issue(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore is asked before the quote, and our late request is executed in between: it is asked again."""
    store, engine, mint, clock = world
    issue = _issue_under_way(world)
    _while_asked(mint, "restore", monkeypatch, lambda answer: mint.deliver_late())
    assert engine.write_off(issue, "it takes too long").state == "issued"
    invariants.check(store, mint)


def _issue_under_way(world: World) -> str:
    """A parked issue whose request got no answer and is not executed yet."""
    _, engine, mint, _ = world
    for _ in range(20):
        mint.faults.next("mint", faults.LATE)
    issue = engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=64, wait_s=0)
    engine.recover(force=True, wait_s=120)
    assert engine.operation(issue.id).state == "attention"
    return issue.id


def _while_asked(mint: SimulatedMint, what: str, monkeypatch: pytest.MonkeyPatch, then: Any) -> None:
    """Once, after the mint decided its answer to a question and before we have it, something happens."""
    asked, once = getattr(mint, what), [True]

    def question(*args: Any) -> Any:
        answer = asked(*args)
        if once and once.pop():
            then(answer)
        return answer

    monkeypatch.setattr(mint, what, question)


def _parked(engine: Engine, mint: SimulatedMint, clock: FakeClock, operation_id: str) -> None:
    clock.advance(DAY_S)
    mint.faults.next("melt_quote_state", faults.UNREACHABLE)
    engine.recover(force=True, wait_s=0)
    assert engine.operation(operation_id).state == "attention"
