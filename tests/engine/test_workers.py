"""Workers and the processes they live in: forks, foreign processes, broken adapters, observers and stores."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from nutstate import Engine, StorageError, Store
from nutstate.engine.cashu import bolt11
from nutstate.engine.cashu.coins.verified import VERIFIED
from nutstate.engine.ports import Worker
from nutstate.engine.simulated import faults
from nutstate.storage.port import OperationQuery
from nutstate.storage.testing.records import Fault, FaultyStore
from tests.support import invariants
from tests.support.crash import finish
from tests.support.ports import Between, engine_on, on
from tests.support.stories import in_flight
from tests.support.wallet import NPUB, QUICK, funded, invoice


def test_a_forked_process_is_not_its_dead_parent() -> None:
    """R563: its name is read anew, though the parent's was kept."""
    worker = Worker()
    name = worker.for_one_drive()
    assert str(os.getpid()) in name.split(":") and not worker.certainly_dead(name)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, worker.for_one_drive().encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(read, 200).decode()
    os.close(read)
    os.close(write)
    assert worker.certainly_dead(theirs) and theirs.split(":")[3] == str(child)
    for strange in ("", "x", ":::::", name.replace(name.split(":")[0], "elsewhere")):
        assert not worker.certainly_dead(strange)


def test_r608_a_fork_waits_for_no_thread_of_its_parent() -> None:
    """R608: a thread uses the memories of the process at the moment of a fork. It is not in the child, which
    reads invoices and proofs all the same."""
    text, proof = invoice(100), ("02" + "00" * 32, "a", "b", "c", "d", "e")
    with bolt11._known._lock, VERIFIED._known._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(60)  # a child that waits for ever is killed
            bolt11.known_invoice(text)
            VERIFIED.holds(*proof)
            os._exit(0)
    assert os.waitpid(child, 0) == (child, 0)


def test_a_process_that_may_not_be_signalled_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker()
    name = worker.for_one_drive()

    def forbidden(pid: int, signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", forbidden)
    assert not worker.certainly_dead(name.replace(f":{os.getpid()}:", ":1:"))


def test_one_broken_adapter_does_not_orphan_the_others(store: Store) -> None:
    engine, mint, clock = funded(store)
    for amount in (50, 60):
        mint.faults.next("melt", faults.ANSWER_LOST)
        mint.faults.next("melt_quote_state", faults.UNREACHABLE)
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(amount, clock), wait_s=0)
    calls = {"n": 0}

    def broken_once(*args: Any) -> Any:
        calls["n"] += 1
        if calls["n"] == 1:
            raise ZeroDivisionError
        return mint.melt_quote_state(*args)

    clock.advance(100)
    on(engine, store, Between(mint, melt_quote_state=broken_once)).recover(force=True, wait_s=0)
    states = sorted(op.state for op in store.operations(OperationQuery(kind="melt")))
    assert states == ["reconciled", "unknown"]
    finish(engine, store, clock)
    invariants.check(store, mint)


def test_two_workers_one_parks_the_other_pays(store: Store) -> None:
    """A drive that fails is counted by a worker whose lease was taken over: nothing is hidden."""
    engine, mint, clock, melt, hashed = in_flight(store)
    mint.lightning.settle(hashed)

    class Odd(Exception):
        pass

    state = {"deep": False}

    def quote(url: str, name: str) -> Any:
        if not state["deep"]:
            state["deep"] = True
            clock.advance(1000)  # the lease runs out, another worker drives it to its end
            finish(engine_on(store, clock, mint), store, clock)
            raise Odd("x")
        return mint.melt_quote_state(url, name)

    broken = engine_on(store, clock, Between(mint, melt_quote_state=quote), drive_failures_max=1)
    clock.advance(10)
    broken.recover(force=True)
    assert melt.refresh().state == "reconciled"
    invariants.check(store, mint)


def test_an_observer_that_fails_is_not_a_payment_that_failed(store: Store) -> None:
    def broken(event: object) -> None:
        raise RuntimeError

    engine, mint, clock = funded(store, observer=broken)
    assert engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(50, clock)).state == "reconciled"


@pytest.mark.parametrize("word", ["unavailable", "unknown"])
def test_a_store_that_fails_after_the_payment_says_so(store: Store, word: Fault) -> None:
    engine, mint, clock = funded(store)
    script: list[Fault] = ["ok", *([word] * 20)]
    fragile = Engine(FaultyStore(store, script), mint, settings=QUICK, clock=clock)
    bolt11 = invoice(700, clock)
    with pytest.raises(StorageError) as failed:
        fragile.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    details = failed.value.details
    assert failed.value.severity == "CRITICAL" and details["sent"] is True
    assert "stays open" in str(failed.value)
    engine.recover(force=True, wait_s=30)
    assert engine.operation(details["operation_id"]).state == "reconciled"
    invariants.check(store, mint)
