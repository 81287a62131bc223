"""Invoices that are not whole units: a mint may quote them rounded up, or drop the rest."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from nutstate import Engine, NutstateError, Settings, SimulatedMint, Store
from nutstate.engine.cashu.port import MeltQuote
from nutstate.engine.tokens.ids import operation_hash
from tests.support import invariants
from tests.support.clock import FakeClock
from tests.support.wallet import NPUB, QUICK, funded, invoice


class RoundsDown:
    """A mint whose quotes (and what it charges) are ``by`` less than the invoice rounded up."""

    def __init__(self, mint: Any, by: int) -> None:
        self._mint, self._by = mint, by

    def __getattr__(self, name: str) -> Any:
        return getattr(self._mint, name)

    def melt_quote(self, *args: Any) -> Any:
        quote = self._mint.melt_quote(*args)
        with self._mint._lock, self._mint._state.transaction():
            body = self._mint._state.get("melt_quote", quote.id)
            self._mint._state.put("melt_quote", quote.id, {**body, "amount": body["amount"] - self._by})
        assert isinstance(quote, MeltQuote) and quote.amount is not None
        return evolve(quote, amount=quote.amount - self._by)


@pytest.mark.parametrize(("msat", "by", "charged"), [(100_500, 1, 100), (100_500, 0, 101), (100_000, 0, 100)])
def test_the_quoted_amount_is_stored_shown_and_accounted(
    store: Store, msat: int, by: int, charged: int
) -> None:
    """R233: the amount rounded up or down is accepted; what the mint quotes is Operation.amount, and fee and
    conservation follow it. The operation hash stays that of the request."""
    engine, mint, clock = funded(store)
    text = invoice(0, clock, msat=msat)
    asked = -(-msat // 1000)
    engine = Engine(store, RoundsDown(mint, by), settings=QUICK, clock=clock)
    paid = engine.melt(npub=NPUB, mint_url=mint.url, invoice=text, idempotency_key="one")
    assert paid.is_paid and paid.amount == charged == paid.as_dict()["amount"] and paid.fee_paid is not None
    assert engine.balance(NPUB).unspent == 2000 - charged - paid.fee_paid
    assert paid.record.operation_hash == operation_hash(
        npub=NPUB, mint_url=mint.url, amount=asked, operation_type="melt", payment_request=text
    )
    again = engine.melt(npub=NPUB, mint_url=mint.url, invoice=text, idempotency_key="one")
    assert again.id == paid.id and engine.melt(npub=NPUB, mint_url=mint.url, invoice=text).id == paid.id
    assert engine.reconcile(paid.id).validation_passed
    invariants.check(store, mint)


@pytest.mark.parametrize(("msat", "by"), [(100_500, 2), (100_500, -1), (100_000, 1), (500, 1)])
def test_any_other_amount_is_no_quote_for_this_invoice(store: Store, msat: int, by: int) -> None:
    """R233: neither less than rounded down, nor more than rounded up, nor nothing at all."""
    engine, mint, clock = funded(store)
    engine = Engine(store, RoundsDown(mint, by), settings=QUICK, clock=clock)
    with pytest.raises(NutstateError) as refused:
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(0, clock, msat=msat))
    assert refused.value.code == "QUOTE_MISMATCH" and engine.balance(NPUB).unspent == 2000
    invariants.check(store, mint)


def test_msat_end_to_end(store: Store) -> None:
    clock = FakeClock()
    mint = SimulatedMint(now_ms=clock.now, unit="msat", input_fee_ppk=0)
    engine = Engine(store, mint, clock=clock, settings=Settings(poll_min_s=0.1))
    engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=5_000_000, unit="msat")
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(0, clock, msat=1_000_500), unit="msat")
    assert melt.state == "reconciled" and melt.amount == 1_000_500
    assert engine.balance(NPUB).of("unspent", "msat") == 5_000_000 - 1_000_500 - (melt.fee_paid or 0)
    invariants.check(store, mint)
