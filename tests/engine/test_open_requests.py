"""A request that may still be open, here or in another process: until its window is over nothing is freed."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from nutstate import Engine, Refused, Store
from nutstate.engine.cashu.port import is_value
from nutstate.engine.simulated import faults
from nutstate.storage.port import OperationQuery
from tests.support import invariants
from tests.support.crash import Crash, finish
from tests.support.ports import Between, on, silent
from tests.support.wallet import NPUB, QUICK, funded, invoice, payment_hash


class _DieAfterSending:
    def reach(self, point: str) -> None:
        if point == "before_commit:unknown":
            raise KeyboardInterrupt


def test_a_request_still_open_elsewhere_keeps_its_window(store: Store) -> None:
    """Another live worker sent it; its lease ran out while its request is open. We wait longer."""
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.LATE)
    bolt11 = invoice(700, clock)
    engine._driver.faults = _DieAfterSending()
    with pytest.raises(KeyboardInterrupt):
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    (op,) = store.operations(OperationQuery(kind="melt"))
    clock.advance(QUICK.lease_s + 1)
    other = Engine(store, mint, settings=QUICK, clock=clock)
    other.recover(force=True, wait_s=QUICK.settle_window_s + 5)
    assert other.operation(op.id).state == "unknown", "the request of a living process may still be open"
    finish(other, store, clock)
    assert other.operation(op.id).state == "released"
    invariants.check(store, mint)


def test_a_lease_handed_on_does_not_vouch_for_an_open_request(store: Store) -> None:
    """A sends; its lease runs out; B looks and lets go; C must still wait for A's request."""
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    states: list[str] = []

    def slow(*args: Any) -> Any:
        clock.advance(QUICK.lease_s + 1)
        on(engine, store, mint).recover(force=True)
        on(engine, store, mint).recover(force=True, wait_s=QUICK.settle_window_s + 5)
        (op,) = store.operations(OperationQuery(kind="melt"))
        states.append(op.state)
        return mint.melt(*args)

    first = on(engine, store, Between(mint, melt=slow))
    melt = first.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    assert states == ["unknown"] and melt.state == "reconciled"
    invariants.check(store, mint)


def test_a_look_from_before_another_send_proves_nothing(store: Store) -> None:
    """A asks; B sends again meanwhile and is still waiting; A's answer is older than B's request."""
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.lightning.script(payment_hash(bolt11), "FAILED")
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, on_unpaid="retry_then_fence", wait_s=0)
    began = clock.monotonic()
    seen: list[str] = []

    def never_answers(*args: object) -> Any:
        raise Crash("B is still waiting")

    def slow(*args: Any) -> Any:
        answer = mint.check_states(*args)
        if not seen:
            clock.advance(QUICK.lease_s + 1)
            with pytest.raises(Crash):
                on(engine, store, Between(mint, melt=never_answers)).recover(force=True)
            seen.append(melt.refresh().state)
        return answer

    def at_last(*args: Any) -> Any:
        up = clock.monotonic() - began > QUICK.settle_window_s + 1
        return mint.melt_quote_state(*args) if up else silent()

    first = on(engine, store, Between(mint, check_states=slow, melt_quote_state=at_last))
    first.recover(force=True, wait_s=60)
    assert seen == ["paying"] and melt.refresh().state == "unknown"
    edges = [record.transition for record in melt.audit()]
    assert "12.mint_unpaid.paying" not in edges and edges.count("12.mint_unpaid.unknown") == 1
    clock.advance(QUICK.post_open_max_s)
    finish(engine, store, clock)
    assert melt.refresh().state == "released"
    invariants.check(store, mint)


def test_a_retry_is_sent_before_anybody_sleeps(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.lightning.script(payment_hash(bolt11), "FAILED")
    melt = engine.melt(
        npub=NPUB,
        mint_url=mint.url,
        invoice=bolt11,
        on_unpaid="retry_then_fence",
        wait_s=QUICK.settle_window_s,
    )
    assert melt.record.attempts == mint.lightning.attempts(payment_hash(bolt11))


def test_a_mint_that_contradicts_itself_is_asked_slowly(store: Store) -> None:
    engine, mint, clock = funded(store)
    calls = {"n": 0}

    class Flapping:
        def __getattr__(self, name: str) -> Any:
            return getattr(mint, name)

        def melt_quote_state(self, url: str, quote_id: str) -> Any:
            calls["n"] += 1
            answer: Any = mint.melt_quote_state(url, quote_id)
            return attrs.evolve(answer, state="PENDING" if calls["n"] % 2 else "UNPAID", change=())

    port: Any = Flapping()
    mint.faults.next("melt", faults.LATE)
    engine = Engine(store, port, settings=QUICK, clock=clock)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=120)
    assert melt.id and calls["n"] < 120
    invariants.check(store)


def test_an_input_that_is_pending_for_ever_keeps_nobody(store: Store) -> None:
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.REQUEST_LOST)

    def pending(url: str, names: Any) -> Any:
        said = mint.check_states(url, names)
        return (attrs.evolve(said[0], state="PENDING"), *said[1:]) if is_value(said) else said

    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=0)
    stuck = on(engine, store, Between(mint, check_states=pending, swap=silent))
    clock.advance(QUICK.unknown_age_max_h * 3600)
    finish(stuck, store, clock)
    assert melt.refresh().state == "attention"
    with pytest.raises(Refused) as refused:
        stuck.write_off(melt.id, "stuck")
    assert refused.value.code == "PAYMENT_IN_FLIGHT"
    assert stuck.write_off(melt.id, "stuck", force=True).state == "written_off"
    assert engine.balance(NPUB).unspent == 2000 - melt.inputs, "nothing is freed"
