"""A funding that is paid late, as a person and as a script sees it."""

from __future__ import annotations

import time

from nutstate import Engine, SimulatedMint, open_store
from tests.support.clock import FakeClock

from .conftest import NPUB, Wallet


def test_show_of_an_expired_funding_names_its_follow_up(empty: Wallet) -> None:
    """R270: resume goes on with what was paid late, and show of the first one names it."""
    clock = FakeClock(time.time_ns() // 1_000_000)
    with open_store(empty.url) as store, SimulatedMint(path=empty.state, now_ms=clock.now) as mint:
        mint.auto_pay = False
        mint.behave(issues_late=True)
        engine = Engine(store, mint, clock=clock)
        first = engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=8, wait_s=0)
        assert first.record.quote is not None
        for seconds in (3601, 8 * 86_400):
            clock.advance(seconds)
            engine.recover(force=True)
        assert engine.operation(first.id).state == "expired"
        mint.pay_mint_quote(first.record.quote.id)
    hinted = empty.run("show", first.id, "--json").json
    assert hinted["follow_ups"] == [] and "resume" in hinted["next"][-1]
    resumed = empty.run("resume", first.id, "--reason", "it was paid late", "--json")
    assert resumed.code == 0
    going_on = resumed.json["operation"]
    assert going_on["id"] != first.id and going_on["state"] == "issued"
    assert empty.run("show", first.id, "--json").json["follow_ups"] == [going_on["id"]]
    assert going_on["id"] in empty.run("show", first.id).out
