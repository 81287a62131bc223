"""The engine against a real mint: final states, balances and the mint's own NUT-07 answers agree."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nutstate import Engine, Handle, HttpMint, Settings, Store, configure_logging, open_store
from nutstate.engine.simulated.invoice import make_invoice
from tests.servers.nutshell import Nutshell
from tests.servers.proxy import FaultProxy
from tests.support import invariants
from tests.support.wallet import NPUB, preimage

SETTINGS = Settings(settle_window_s=1.5, poll_min_s=0.2, poll_max_s=1, change_window_s=5)


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    configure_logging("off")
    with open_store("memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/w.db") as opened:
        yield opened


@pytest.fixture(autouse=True)
def paying_mint(nutshell: Nutshell) -> None:
    """Every test starts with a mint that pays."""
    if nutshell.settings:
        nutshell.restart()


def bolt11(amount: int) -> str:
    now = int(time.time())
    return make_invoice(amount * 1000, timestamp=now, preimage=preimage(time.time_ns()))


def funded(store: Store, http: HttpMint, url: str) -> Engine:
    engine = Engine(store, http, settings=SETTINGS)
    assert engine.mint_tokens(npub=NPUB, mint_url=url, amount=3000).state == "issued"
    return engine


def agrees(engine: Engine, store: Store, http: HttpMint, melt: Handle, spent: int) -> None:
    """Every invariant, the mint's word about every proof, and the balance to the satoshi."""
    invariants.check(store, http)
    assert engine.balance(NPUB).unspent == 3000 - spent


def test_paid_with_input_fees_and_change(store: Store, nutshell: Nutshell, http: HttpMint) -> None:
    engine = funded(store, http, nutshell.url)
    melt = engine.melt(npub=NPUB, mint_url=nutshell.url, invoice=bolt11(1000))
    assert melt.state == "reconciled" and melt.change > 0 and melt.input_fee > 0
    assert melt.fee_paid is not None
    agrees(engine, store, http, melt, 1000 + melt.fee_paid)


def test_pending_then_paid(store: Store, nutshell: Nutshell, http: HttpMint) -> None:
    engine = funded(store, http, nutshell.url)
    nutshell.restart(pay_invoice_state="PENDING", payment_state="PENDING")
    melt = engine.melt(npub=NPUB, mint_url=nutshell.url, invoice=bolt11(1000), wait_s=3)
    assert melt.state == "pending"
    nutshell.restart(pay_invoice_state="PENDING", payment_state="SETTLED")
    engine.recover(force=True, wait_s=30)
    melt = melt.refresh()
    assert melt.state == "reconciled" and melt.fee_paid is not None
    agrees(engine, store, http, melt, 1000 + melt.fee_paid)


def test_pending_then_failed(store: Store, nutshell: Nutshell, http: HttpMint) -> None:
    engine = funded(store, http, nutshell.url)
    nutshell.restart(pay_invoice_state="PENDING", payment_state="PENDING")
    melt = engine.melt(npub=NPUB, mint_url=nutshell.url, invoice=bolt11(1000), wait_s=3)
    assert melt.state == "pending"
    nutshell.restart(pay_invoice_state="FAILED", payment_state="FAILED")
    engine.recover(force=True, wait_s=30)
    assert melt.refresh().state == "released"
    agrees(engine, store, http, melt, melt.input_fee)


def test_failed(store: Store, nutshell: Nutshell, http: HttpMint) -> None:
    engine = funded(store, http, nutshell.url)
    nutshell.restart(pay_invoice_state="FAILED", payment_state="FAILED")
    melt = engine.melt(npub=NPUB, mint_url=nutshell.url, invoice=bolt11(1000))
    assert melt.state == "watching" and melt.outcome == "unpaid" and melt.reason is not None
    assert melt.reason.details["mint_code"] == 20004
    agrees(engine, store, http, melt, 0)


def test_failed_and_fenced(store: Store, nutshell: Nutshell, http: HttpMint) -> None:
    engine = funded(store, http, nutshell.url)
    nutshell.restart(pay_invoice_state="FAILED", payment_state="FAILED")
    melt = engine.melt(npub=NPUB, mint_url=nutshell.url, invoice=bolt11(1000), on_unpaid="fence")
    assert melt.state == "released" and melt.reason is not None
    assert melt.reason.details["mint_code"] == 20004
    agrees(engine, store, http, melt, melt.input_fee)


@pytest.mark.parametrize("kind", ["drop_answer", "cut", "double"])
def test_the_answer_is_lost(store: Store, nutshell: Nutshell, http: HttpMint, kind: str) -> None:
    with FaultProxy(nutshell.url) as proxy:
        engine = funded(store, http, proxy.url)
        proxy.next(kind, 20, only="/v1/melt/bolt11")
        melt = engine.melt(npub=NPUB, mint_url=proxy.url, invoice=bolt11(1000))
        assert melt.state == "reconciled" and melt.change > 0 and melt.fee_paid is not None
        assert "unknown" in {record.to_state for record in melt.audit()}
        agrees(engine, store, http, melt, 1000 + melt.fee_paid)


def test_the_request_is_lost_and_fenced(store: Store, nutshell: Nutshell, http: HttpMint) -> None:
    with FaultProxy(nutshell.url) as proxy:
        engine = funded(store, http, proxy.url)
        proxy.next("drop_request", only="/v1/melt/bolt11")
        proxy.next("drop_answer", only="/v1/swap")
        melt = engine.melt(npub=NPUB, mint_url=proxy.url, invoice=bolt11(1000))
        assert melt.state == "released"
        agrees(engine, store, http, melt, melt.input_fee)


def test_killed_while_paying_is_decided_after_the_restart(
    store: Store, nutshell: Nutshell, http: HttpMint
) -> None:
    engine = funded(store, http, nutshell.url)
    nutshell.restart(pay_invoice_state="PENDING", payment_state="PENDING")
    melt = engine.melt(npub=NPUB, mint_url=nutshell.url, invoice=bolt11(1000), wait_s=1)
    nutshell.kill()
    engine.recover(force=True, wait_s=1)
    assert engine.balance(NPUB).reserved == melt.inputs
    nutshell.restart(payment_state="SETTLED")
    engine.recover(force=True, wait_s=30)
    melt = melt.refresh()
    assert melt.state == "reconciled" and melt.fee_paid is not None
    agrees(engine, store, http, melt, 1000 + melt.fee_paid)
