"""Fences whose answer is late, lost or a refusal that passes."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from nutstate import Engine, MintError, Refused, SimulatedMint, Store
from nutstate.engine.cashu.port import Ambiguous, is_value
from nutstate.engine.cashu.port import Refused as No
from nutstate.engine.simulated import faults
from nutstate.storage.port import OperationQuery
from nutstate.storage.secret import Secret
from tests.support import invariants
from tests.support.clock import FakeClock
from tests.support.crash import finish
from tests.support.data import data_in, with_fields
from tests.support.ports import Between, engine_on, on, silent
from tests.support.stories import HOUR_S
from tests.support.wallet import NPUB, QUICK, funded, invoice


def test_a_fence_survives_refusals_that_pass(store: Store) -> None:
    """'database is locked' for a while must not use up anything."""
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.REQUEST_LOST)
    swap = mint.swap
    busy = {"left": 40}

    class Busy:
        def __getattr__(self, name: str) -> Any:
            return getattr(mint, name)

        def swap(self, url: str, body: Secret) -> Any:
            if busy["left"]:
                busy["left"] -= 1
                from nutstate.engine.cashu.port import Refused as No

                return No(11000, "database is locked", False)
            return swap(url, body)

    port: Any = Busy()
    engine = Engine(store, port, settings=QUICK, clock=clock)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=30)
    assert melt.state == "fencing" and len(data_in(melt.record).fences) == 1
    finish(engine, store, clock)
    done = melt.refresh()
    assert done.state == "released" and not data_in(done.record).stranded
    invariants.check(store, mint)


def parked_behind_a_fence(store: Store) -> tuple[Engine, SimulatedMint, FakeClock, str]:
    """The fence was signed, its answer lost, and the mint silent until the operation was parked."""
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.REQUEST_LOST)
    mint.faults.next("swap", faults.ANSWER_LOST)
    port = Between(mint)
    swap = mint.swap

    def swap_then_silence(*args: Any) -> Any:
        answer = swap(*args)
        port._replaced |= {"restore": silent, "check_states": silent}
        return answer

    port._replaced["swap"] = swap_then_silence
    melt = on(engine, store, port).melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=30)
    finish(on(engine, store, port), store, clock, rounds=100)
    assert engine.operation(melt.id).state == "attention"
    return engine, mint, clock, melt.id


def test_a_signed_fence_is_found_from_attention(store: Store) -> None:
    engine, mint, clock, melt_id = parked_behind_a_fence(store)
    engine.recover(force=True)
    assert engine.operation(melt_id).state == "released"
    invariants.check(store, mint)


def test_a_signed_fence_is_never_written_off(store: Store) -> None:
    engine, mint, clock, melt_id = parked_behind_a_fence(store)
    mute = on(engine, store, Between(mint, restore=silent))
    with pytest.raises(MintError) as silent_error:
        mute.write_off(melt_id, "nobody answers")
    assert silent_error.value.retryable and engine.operation(melt_id).state == "attention"
    assert engine.write_off(melt_id, "give it up").state == "released"
    invariants.check(store, mint)


def test_an_older_signed_fence_is_found_behind_an_unreadable_one(store: Store) -> None:
    engine, mint, clock, melt_id = parked_behind_a_fence(store)
    (op,) = store.operations(OperationQuery(kind="melt"))
    run = engine._open(op, "test")
    bad = attrs.evolve(data_in(op).fences[0], generation=2, outputs=data_in(op).fences[0].outputs[:1])
    run.draft.operation = with_fields(op, fences=(*data_in(op).fences, bad))
    from nutstate.engine.loop.drive import Happened
    from nutstate.engine.operations.melt.actions.find_fence import find_fence

    assert isinstance(find_fence(run), Happened)


def test_r385_a_fence_that_was_signed_before_a_forced_end_comes_back(store: Store) -> None:
    """Its answer was lost, the mint gone, and it was given up by force. Then the mint is back: the fence took
    the coins, and its outputs are ours."""
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.REQUEST_LOST)
    mint.faults.next("swap", faults.ANSWER_LOST)
    dead = {"now": False}

    def restore(url: str, outputs: Any) -> Any:
        return silent() if dead["now"] else mint.restore(url, outputs)

    def swap(url: str, body: Any) -> Any:
        dead["now"] = True
        return mint.swap(url, body)

    def state(url: str, name: str) -> Any:
        return silent() if dead["now"] else mint.melt_quote_state(url, name)

    def states(url: str, names: Any) -> Any:
        return silent() if dead["now"] else mint.check_states(url, names)

    dying = engine_on(
        store, clock, Between(mint, restore=restore, swap=swap, melt_quote_state=state, check_states=states)
    )
    melt = dying.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=30)
    assert melt.state == "fencing", melt.state
    clock.advance(2 * HOUR_S)
    dying.recover(force=True)
    assert melt.refresh().state == "attention"
    dying.write_off(melt.id, "the mint is gone", force=True)
    invariants.check(store)
    (found,) = engine.retry_stranded(NPUB, mint.url, reason="the mint is back")
    assert found.state == "collected" and engine.balance(NPUB).unspent == 1999
    invariants.check(store, mint)


def test_r385_a_fence_that_is_signed_after_a_forced_end_comes_back(store: Store) -> None:
    """Given up while the mint says PENDING: the coins are stranded, the fence arrives after that."""
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.REQUEST_LOST)
    sent: list[Any] = []

    def swap(url: str, body: Any) -> Any:
        sent.append(body)
        return Ambiguous("cut")

    slow = engine_on(store, clock, Between(mint, swap=swap))
    melt = slow.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=8)
    assert sent and melt.state == "fencing"

    def pending(url: str, name: str) -> Any:
        told = mint.melt_quote_state(url, name)
        return attrs.evolve(told, state="PENDING") if is_value(told) else told

    lying = engine_on(store, clock, Between(mint, melt_quote_state=pending, swap=swap))
    clock.advance(2 * HOUR_S)
    lying.recover(force=True)
    assert melt.refresh().state == "attention"
    assert lying.write_off(melt.id, "weeks", force=True).state == "written_off"
    assert engine.balance(NPUB).stranded == melt.inputs
    assert is_value(mint.swap(mint.url, sent[0]))
    (found,) = engine.retry_stranded(NPUB, mint.url, reason="UNPAID now")
    held = engine.balance(NPUB)
    assert (found.state, held.stranded, held.unspent) == ("collected", 0, 1999)
    with pytest.raises(Refused) as nothing:
        engine.retry_stranded(NPUB, mint.url, reason="again")
    assert nothing.value.code == "NOTHING_STRANDED"
    assert engine.reconcile(found.id).validation_passed and engine.reconcile(melt.id).validation_passed
    invariants.check(store, mint)


def test_r385_the_fence_of_a_stranded_coin_that_is_signed_late_comes_back(store: Store) -> None:
    """The mint refuses one coin, and the payment ends without it; then it signs the refused fence."""
    engine, mint, clock = funded(store)
    refused: list[Any] = []
    bad: list[str] = []

    def melt(url: str, body: Any) -> Any:
        bad.append(json.loads(body.reveal())["inputs"][0]["secret"])
        return No(10001, "bad input", True)

    def swap(url: str, body: Any) -> Any:
        if bad[0] not in body.reveal():
            return mint.swap(url, body)
        refused.append(body)
        return No(10001, "bad input", True)

    odd = engine_on(store, clock, Between(mint, melt=melt, swap=swap))
    melted = odd.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=60)
    for _ in range(20):
        clock.advance(5)
        odd.recover(force=True)
    held = engine.balance(NPUB)
    assert melted.refresh().state == "released" and held.stranded > 0
    assert is_value(mint.swap(mint.url, refused[-1]))
    (found,) = engine.retry_stranded(NPUB, mint.url, reason="look again")
    after = engine.balance(NPUB)
    assert found.state == "collected" and after.stranded == 0
    assert after.unspent == held.unspent + data_in(found.record).change_amount > held.unspent
    assert engine.reconcile(melted.id).validation_passed and engine.reconcile(found.id).validation_passed
    invariants.check(store, mint)


def test_trust_release_with_parts_fenced(store: Store) -> None:
    """One part is fenced, the rest is refused oddly; an operator releases the rest; nothing is counted
    twice."""
    engine, mint, clock = funded(store)
    n = {"swap": 0}

    def swap(url: str, body: Any) -> Any:
        n["swap"] += 1
        if n["swap"] == 1:
            return No(11014, "too many", True)
        if n["swap"] == 2:
            return mint.swap(url, body)
        return Ambiguous("cut")

    odd = engine_on(store, clock, Between(mint, melt=lambda *_: Ambiguous("cut"), swap=swap))
    m = odd.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=60)
    clock.advance(3 * HOUR_S)
    odd.recover(force=True)
    invariants.check(store)
    assert m.refresh().state == "attention"
    clock.advance(60)
    assert engine.release(m.id, "trust").state == "watching"
    invariants.check(store)
    assert engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(1100, clock)).is_paid
    clock.advance(30 * HOUR_S)
    engine.recover(force=True)
    assert m.refresh().state == "released"
    assert engine.reconcile(m.id).validation_passed
    invariants.check(store, mint)
