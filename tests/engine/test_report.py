"""R157: where an operation's time went."""

from __future__ import annotations

from typing import Any

import pytest

from nutstate import Engine, Refused, Store
from nutstate.engine.loop.timing import MOST, Spent
from nutstate.engine.simulated import faults
from nutstate.storage.batch import Batch
from nutstate.storage.read_back import ReadBack
from nutstate.storage.testing.records import FaultyStore
from tests.support.clock import FakeClock
from tests.support.wallet import NPUB, QUICK, funded, invoice, payment_hash


class SlowMint:
    """Every call of the mint takes ``seconds``."""

    def __init__(self, mint: Any, clock: FakeClock, seconds: float) -> None:
        self._mint, self._clock, self._seconds = mint, clock, seconds

    def __getattr__(self, name: str) -> Any:
        there = getattr(self._mint, name)

        def call(*args: Any) -> Any:
            self._clock.advance(self._seconds)
            return there(*args)

        return call if callable(there) else there


class SlowStore(FaultyStore):
    """Every commit takes a tenth of a second."""

    clock: FakeClock

    def commit(self, batch: Batch, read_back: ReadBack | None = None) -> None:
        self.clock.advance(0.1)
        super().commit(batch, read_back)


def test_a_paid_melt(store: Store) -> None:
    engine, mint, clock = funded(store)
    slow_store = SlowStore(store)
    slow_store.clock = clock
    port: Any = SlowMint(mint, clock, 0.25)
    slow = Engine(slow_store, port, settings=QUICK, clock=clock)
    melt = slow.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    report = slow.report(melt.id)
    assert (report.transaction_id, report.kind, report.state) == (melt.id, "melt", "reconciled")
    assert report.commits == 2 == len({record.batch_id for record in melt.audit()})
    assert report.mint["melt"] == {"calls": 1, "ms": 250} == report.mint["melt_quote"]
    assert report.mint_calls == sum(n["calls"] for n in report.mint.values())
    assert report.mint_ms == sum(n["ms"] for n in report.mint.values()) == 250 * report.mint_calls
    assert report.commit_tries == 1 and report.store_ms == 100, "the last commit cannot count itself"
    assert report.total_ms == sum(report.state_ms.values())
    assert report.state_ms["paying"] == 350, "the commit that wrote it ahead, and the request"
    assert "reconciled" not in report.state_ms
    assert report.recommendations == ()
    stored = slow.operation(melt.id).record.timings
    assert (
        all(type(value) is int and 0 <= value <= MOST for value in stored.values())
        and stored["calls_melt"] == 1
    )


def test_as_dict(store: Store) -> None:
    engine, mint, clock = funded(store)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    shown = engine.report(melt.id).as_dict()
    assert set(shown) == {"transaction_id", "performance_metrics", "recommendations"}
    assert shown["transaction_id"] == melt.id and shown["recommendations"] == []
    assert {"total_ms", "state_ms", "commits", "mint_calls", "mint_ms", "store_ms"} <= set(
        shown["performance_metrics"]
    )
    assert engine.report(engine.operations(kind="mint")[0].id).mint["mint"]["calls"] == 1


def test_a_slow_mint_is_named(store: Store) -> None:
    engine, mint, clock = funded(store)
    port: Any = SlowMint(mint, clock, 3)
    slow = Engine(store, port, settings=QUICK, clock=clock)
    melt = slow.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=600)
    report = slow.report(melt.id)
    assert report.mint_ms == 3000 * report.mint_calls
    said = f"The mint answers slowly: {report.mint_ms} ms in {report.mint_calls} calls"
    assert report.recommendations[0].startswith(said)


def test_time_in_a_state_of_a_live_and_a_parked_operation(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.lightning.script(payment_hash(bolt11), "PENDING")
    live = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=0)
    clock.advance(100)
    report = engine.report(live.id)
    assert report.state == "pending" and report.state_ms["pending"] >= 100_000 <= report.total_ms
    assert any("state pending" in sentence for sentence in report.recommendations)
    mint.faults.next("melt", faults.change_short(50))
    parked = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock), wait_s=100)
    assert any("waits for a person" in s for s in engine.report(parked.id).recommendations)


def test_what_was_counted_survives_a_conflict_and_another_process(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.lightning.script(payment_hash(bolt11), "PENDING")
    fragile = Engine(FaultyStore(store, ["ok", "conflict"]), mint, settings=QUICK, clock=clock)
    melt = fragile.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=2)
    before = engine.report(melt.id)
    assert before.mint["melt"]["calls"] == 1 and before.commit_tries >= 2
    mint.lightning.settle(payment_hash(bolt11))
    clock.advance(100)
    Engine(store, mint, settings=QUICK, clock=clock).recover(force=True, wait_s=30)
    after = engine.report(melt.id)
    assert after.state == "reconciled" and after.mint["melt"]["calls"] == 1
    assert after.mint_calls > before.mint_calls and after.commit_tries > before.commit_tries


def test_the_times_of_the_states_are_all_of_the_time(store: Store) -> None:
    """States that were entered several times count each time, and what its tokens did is no state of it."""
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.lightning.script(payment_hash(bolt11), "PENDING")
    for state in ("UNPAID", "PENDING") * 3:
        mint.faults.next("melt_quote_state", faults.quote_state(state))
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=30)
    mint.lightning.settle(payment_hash(bolt11))
    clock.advance(7)
    engine.recover(force=True, wait_s=5)
    report = engine.report(melt.id)
    entered = [r.to_state for r in melt.refresh().audit() if r.entity == f"operation:{melt.id}"]
    assert len(entered) > len(set(entered)), "some state was entered twice"
    assert set(report.state_ms) == set(entered) - {"reconciled"}
    assert sum(report.state_ms.values()) == report.total_ms >= 7000


def test_unknown_ids_are_refused(store: Store) -> None:
    engine, _, _ = funded(store, amount=0)
    with pytest.raises(Refused) as refused:
        engine.report("tx_nothing_there")
    assert refused.value.code == "NOT_FOUND"


def test_fractions_of_a_millisecond_add_up() -> None:
    clock = FakeClock()
    spent = Spent(clock)
    stored: dict[str, int] = {}
    for n in range(10):
        with spent.mint_call("melt"):
            clock.mono += 0.0004
        stored = spent.onto(f"b{n}", stored)
        assert stored == spent.onto(f"b{n}", stored), "asked again for the same batch it is the same"
        spent.stored()
    assert stored["calls_melt"] == 10 and stored["ms_melt"] in (3, 4)
