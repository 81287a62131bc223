"""How payments came to where a test begins: in flight, refused, released before their fence."""

from __future__ import annotations

from typing import Any

from nutstate import Engine, SimulatedMint, Store
from nutstate.engine.cashu.port import Refused as No
from nutstate.engine.cashu.port import is_value
from nutstate.engine.simulated import faults
from nutstate.engine.tokens.proofs import name_of
from nutstate.storage.port import TokenQuery
from tests.support.clock import FakeClock
from tests.support.crash import finish
from tests.support.ports import Between, on
from tests.support.wallet import NPUB, QUICK, funded, invoice, payment_hash

HOUR_S = 3600.0


def in_flight(store: Store, **more: Any) -> Any:
    """A melt that the mint holds PENDING."""
    engine, mint, clock = funded(store, **more)
    bolt11 = invoice(700, clock)
    mint.lightning.script(payment_hash(bolt11), "PENDING")
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=0)
    assert melt.state == "pending"
    return engine, mint, clock, melt, payment_hash(bolt11)


def failing(store: Store, **more: Any) -> Any:
    engine, mint, clock = funded(store, **more)
    bolt11 = invoice(50, clock)
    mint.lightning.script(payment_hash(bolt11), "FAILED", "PAID")
    return engine, mint, clock, bolt11


def parked_with_a_late_fence(store: Store) -> tuple[Engine, SimulatedMint, FakeClock, str]:
    """Parked, with a fence that the mint has not seen yet and may still execute."""
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.REQUEST_LOST)
    mint.faults.next("swap", faults.LATE)
    strict = on(engine, store, _one_swap(mint))
    melt = strict.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=30)
    finish(strict, store, clock, rounds=100)
    assert melt.refresh().state == "attention"
    return engine, mint, clock, melt.id


def _one_swap(mint: SimulatedMint) -> Between:
    """The mint, which refuses every swap but the first."""
    sent: list[Any] = []

    def once(*args: Any) -> Any:
        sent.append(args)
        return mint.swap(*args) if len(sent) == 1 else No(11000, "no", False)

    return Between(mint, swap=once)


def released_before_its_fence(store: Store) -> tuple[Engine, SimulatedMint, FakeClock, str]:
    """An operator released the inputs while a fence of ours was still on its way to the mint."""
    engine, mint, clock, melt_id = parked_with_a_late_fence(store)
    clock.advance(QUICK.settle_window_s)
    strict = on(engine, store, Between(mint, swap=lambda *_: No(11000, "no", False)))
    assert strict.release(melt_id, "trust it").state == "watching"
    return engine, mint, clock, melt_id


def agrees(store: Store, mint: SimulatedMint) -> None:
    """What the store calls unspent the mint calls UNSPENT; the trail is whole."""
    for token in store.tokens(TokenQuery(states=("unspent",), limit=1000)):
        said = mint.check_states(token.mint_url, [name_of(proof) for proof in token.proofs])
        assert is_value(said) and {state.state for state in said} == {"UNSPENT"}, token.transaction_id
    report = Engine(store, mint).verify_audit()
    assert not (report.changed or report.missing or report.added)
