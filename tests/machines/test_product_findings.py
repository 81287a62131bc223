"""What the exploration found in the released tables (``FOUND``) happens in the engine too: neither the model
nor these tests may be weakened to hide it. Whoever mends a row changes its test here and takes it from FOUND."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from nutstate import Engine, SimulatedMint, Store, open_store
from nutstate.engine.mint import simulated_faults as faults
from nutstate.machines.kit.product import FOUND
from tests.support import invariants
from tests.support.clock import FakeClock
from tests.support.wallet import NPUB, QUICK, funded, invoice, payment_hash

DAY_S = 25 * 3600
World = tuple[Store, Engine, SimulatedMint, FakeClock]


@pytest.fixture
def world(tmp_path: Any) -> Iterator[World]:
    with open_store(f"sqlite:///{tmp_path}/wallet.db") as store:
        engine, mint, clock = funded(store)
        yield store, engine, mint, clock


def test_every_finding_has_its_test() -> None:
    named = {name.removeprefix("test_").replace("_", "-") for name in globals() if name.startswith("test_")}
    assert {setting.name for setting in FOUND} <= named


def test_release_hasty(world: World) -> None:
    """The fence arrives after the release; its outputs are in no token and nobody asks for them again."""
    store, engine, mint, clock = world
    mint.faults.next("melt", faults.REQUEST_LOST)
    for _ in range(400):
        mint.faults.next("swap", faults.LATE)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=60)
    assert melt.state == "fencing"
    clock.advance(DAY_S)
    engine.recover(force=True, wait_s=5)
    assert engine.operation(melt.id).state == "attention"
    engine.release(melt.id, "it takes too long")
    assert mint.deliver_late() > 0
    for _ in range(3):
        clock.advance(DAY_S)
        engine.recover(force=True, wait_s=5)
    assert engine.operation(melt.id).state == "released"
    with pytest.raises(AssertionError, match="is unspent, the mint says"):
        invariants.check(store, mint)


def test_write_off_hasty(world: World) -> None:
    """The last look finds PAID, and the change that is signed a moment later is given up with the rest."""
    store, engine, mint, clock = world
    bolt11 = invoice(700, clock)
    mint.lightning.script(payment_hash(bolt11), "PENDING")
    mint.faults.next("melt", faults.change_delayed(10))
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=0)
    _parked(engine, mint, clock, melt.id)
    mint.lightning.settle(payment_hash(bolt11))
    given_up = engine.write_off(melt.id, "it takes too long")
    assert (given_up.state, given_up.change) == ("reconciled", 0)


def test_give_up_hasty(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The quote is asked before the inputs; the payment begins in between, and is paid."""
    store, engine, mint, clock = world
    mint.faults.next("melt", faults.LATE)
    bolt11 = invoice(700, clock)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=0)
    _parked(engine, mint, clock, melt.id)
    asked, late = mint.check_states, [True]

    def check_states(url: str, names: Sequence[str]) -> Any:
        if late and late.pop():
            mint.deliver_late()
        return asked(url, names)

    monkeypatch.setattr(mint, "check_states", check_states)
    assert engine.write_off(melt.id, "it takes too long").state == "written_off"
    assert mint.lightning.payments(payment_hash(bolt11)) == 1


def test_slow_trust(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer UNSPENT is older than the settle window's end, and the request arrived in between."""
    store, engine, mint, clock = world
    mint.faults.next("melt", faults.LATE)
    asked, slow = mint.check_states, [True]

    def check_states(url: str, names: Sequence[str]) -> Any:
        answer = asked(url, names)
        melts = engine.operations(NPUB, kind="melt", states=("unknown",))
        if melts and slow and slow.pop():
            mint.deliver_late()
            clock.advance(QUICK.settle_window_s + QUICK.post_open_max_s + 1)
        return answer

    monkeypatch.setattr(mint, "check_states", check_states)
    bolt11 = invoice(700, clock)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, on_unpaid="trust", wait_s=0)
    assert "watching" in [record.to_state for record in melt.audit()]
    assert mint.lightning.payments(payment_hash(bolt11)) == 1


def test_slow_issue(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody pays at the last moment, while the answer UNPAID is on its way."""
    store, engine, mint, clock = world
    mint.auto_pay = False
    issue = engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=64, wait_s=0)
    stored = store.operation(issue.id)
    assert stored is not None and stored.quote is not None
    quote, asked = stored.quote, mint.mint_quote_state
    clock.advance((quote.expires_at - clock.now()) / 1000 - 1)

    def mint_quote_state(url: str, quote_id: str) -> Any:
        answer = asked(url, quote_id)
        mint.pay_mint_quote(quote_id)
        clock.advance(2)
        return answer

    monkeypatch.setattr(mint, "mint_quote_state", mint_quote_state)
    engine.recover(force=True)
    assert engine.operation(issue.id).state == "expired"
    answer = asked(mint.url, quote.id)
    assert getattr(answer, "state", None) == "PAID"


def _parked(engine: Engine, mint: SimulatedMint, clock: FakeClock, operation_id: str) -> None:
    clock.advance(DAY_S)
    mint.faults.next("melt_quote_state", faults.UNREACHABLE)
    engine.recover(force=True, wait_s=0)
    assert engine.operation(operation_id).state == "attention"
