"""R664: swaps at a real mint with fees, also when answers and requests are lost on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nutstate import Engine, HttpMint, Settings, Store, configure_logging, open_store
from nutstate.storage.port import TokenQuery
from tests.servers.nutshell import Nutshell
from tests.servers.proxy import FaultProxy
from tests.support import invariants
from tests.support.wallet import NPUB

SETTINGS = Settings(settle_window_s=1.5, poll_min_s=0.2, poll_max_s=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    configure_logging("off")
    with open_store(f"sqlite:///{tmp_path}/w.db") as opened:
        yield opened


def funded(store: Store, http: HttpMint, url: str) -> Engine:
    engine = Engine(store, http, settings=SETTINGS)
    assert engine.mint_tokens(npub=NPUB, mint_url=url, amount=3000).state == "issued"
    return engine


def test_exact_amounts_and_few_coins(store: Store, nutshell: Nutshell, http: HttpMint) -> None:
    """The fee of each swap is what the mint takes, and all that is lost."""
    engine = funded(store, http, nutshell.url)
    wallet: dict[str, Any] = {"npub": NPUB, "mint_url": nutshell.url}
    exact = engine.swap(amount=777, **wallet)
    assert exact.state == "reconciled" and exact.amount == 777 and exact.input_fee > 0
    many = engine.swap(into=[1] * 30, **wallet)
    assert many.state == "reconciled" and len(many.tokens) == 30
    few = engine.swap(purpose="consolidate", **wallet)
    assert few.state == "reconciled"
    left = exact.tokens if _is_free(store, exact.tokens[0]) else few.tokens
    whole = engine.swap(tokens=left, **wallet)
    fees = sum(done.cost or 0 for done in (exact, many, few, whole))
    assert engine.balance(NPUB).unspent == 3000 - fees
    invariants.check(store, http)


def _is_free(store: Store, token_id: str) -> bool:
    return any(t.state == "unspent" for t in store.tokens(TokenQuery(ids=(token_id,), limit=1)))


@pytest.mark.parametrize("kind", ["drop_answer", "cut", "double", "drop_request"])
def test_a_swap_survives_the_way(store: Store, nutshell: Nutshell, http: HttpMint, kind: str) -> None:
    """Restore finds what was signed; else the same bytes go again."""
    with FaultProxy(nutshell.url) as proxy:
        engine = funded(store, http, proxy.url)
        proxy.next(kind, 20, only="/v1/swap")
        done = engine.swap(npub=NPUB, mint_url=proxy.url, into=[500, 70])
        assert done.state == "reconciled" and "restoring" in {record.to_state for record in done.audit()}
        assert engine.balance(NPUB).unspent == 3000 - done.input_fee
        invariants.check(store, http)
