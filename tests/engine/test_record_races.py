"""Recordings that are interrupted or meet others: nothing is lost, nothing counts twice, on every store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nutstate import Store, open_store
from nutstate.storage.port import OperationQuery
from tests.support import invariants
from tests.support.apart import Apart
from tests.support.crash import Crash, Ticks, finish
from tests.support.data import data_in
from tests.support.everything import everything
from tests.support.recording import Wallet, as_json, at_once, proofs
from tests.support.wallet import NPUB, invoice

from .test_record import TX, refused

pytestmark = pytest.mark.every_store


def record(wallet: Wallet) -> None:
    wallet.record([100], proofs(8, tag="k"), proofs(2, tag="c"), 90, transaction_id=TX)


def hold_and_record(wallet: Wallet) -> None:
    wallet.hold(100, transaction_id=TX)
    wallet.record([], proofs(8, tag="k"), proofs(2, tag="c"), 90, hold=TX)


def ticks_of(story: Callable[[Wallet], None], way: Callable[[Any], Any]) -> int:
    with open_store("memory://") as store:
        ticks = Ticks()
        story(Wallet(way(store), 100, faults=ticks))
        return len(ticks.seen)


def together(store: Any) -> Any:
    """The payment and the look at it are one commit."""
    return store


@pytest.mark.parametrize("way", [together, Apart], ids=lambda way: way.__name__)
@pytest.mark.parametrize("story", [record, hold_and_record], ids=lambda story: story.__name__)
def test_a_crash_at_every_commit(
    story: Callable[[Wallet], None], way: Callable[[Any], Any], new_store: Callable[[], Store]
) -> None:
    """R54: before the commit nothing is there, after it everything; recovery and the same call finish it."""
    total = ticks_of(story, way)
    assert total >= (4 if way is Apart else 2)
    for at in range(total):
        store = new_store()
        wallet = Wallet(way(store), 100, faults=Ticks(at))
        with pytest.raises(Crash):
            story(wallet)
        unspent, held, spent = wallet.balance()
        assert (unspent, held, spent) in {(100, 0, 0), (0, 100, 0), (10, 0, 100)}, at
        again = Wallet(store)
        again.ids, again.clock.wall = wallet.ids, wallet.clock.wall
        stored = store.operation(TX)
        if stored is not None and data_in(stored).hold_until is not None:
            assert again.record([], proofs(8, tag="k"), proofs(2, tag="c"), 90, hold=TX).success
        else:
            story(again)
        finish(again.engine, store, again.clock)
        assert again.balance() == (10, 0, 100), at
        assert [op.state for op in store.operations(OperationQuery(kind="record"))] == ["reconciled"]
        invariants.check(store)


def test_two_threads_record_the_same_source(store: Store) -> None:
    """R46, R66: one is settled, the other parked with its keep; both keeps are money."""
    values = (101, 102, 103, 104)
    wallet = Wallet(store, *values)
    kept = 0
    for value in values:
        ended = at_once(
            one=lambda: wallet.record([value], proofs(7), [], value - 7).handle.state,  # noqa: B023
            two=lambda: wallet.record([value], proofs(9), [], value - 9).handle.state,  # noqa: B023
        )
        assert sorted(ended.values()) == ["CONCURRENT_OPERATION", "reconciled"], ended
        kept += 16
        assert wallet.balance()[:2] == (kept + sum(v for v in values if v > value), 0)
    states = sorted(op.state for op in store.operations(OperationQuery(kind="record")))
    assert states == ["contested"] * 4 + ["reconciled"] * 4
    invariants.check(store)


def test_the_same_recording_by_two_threads_is_one(store: Store) -> None:
    """R41, R74: both get the first result."""
    values = (101, 102, 103, 104)
    wallet = Wallet(store, *values)
    for value in values:

        def say(value: int = value) -> Any:
            return wallet.record([value], proofs(7, tag=f"k{value}"), [], value - 7).transaction_id

        ended = at_once(one=say, two=say)
        assert ended["one"] == ended["two"] and ended["one"].startswith("tx_"), ended
    assert len(store.operations(OperationQuery(kind="record"))) == len(values)
    invariants.check(store)


def test_two_threads_hold_the_same_source(store: Store) -> None:
    values = (101, 102, 103)
    wallet = Wallet(store, *values)
    for value in values:
        ended = at_once(one=lambda: wallet.hold(value), two=lambda: wallet.hold(value))  # noqa: B023
        assert sorted(end.startswith("tx_") for end in ended.values()) == [False, True], ended
        assert "CONCURRENT_OPERATION" in ended.values()
    assert wallet.balance() == (0, sum(values), 0)
    invariants.check(store)


def test_a_recording_and_a_melt_of_the_same_source(store: Store) -> None:
    """In any order: the keep is stored, the token is spent once, and no value appears or is lost."""
    values = (101, 102, 103, 104)
    wallet = Wallet(store, *values)
    for value in values:
        bolt11 = invoice(20, wallet.clock)
        source = [wallet.ids[value]]
        ended = at_once(
            record=lambda: wallet.record([value], proofs(5), [], value - 5).handle.state,  # noqa: B023
            melt=lambda: wallet.engine.melt(**wallet.whose, invoice=bolt11, sources=source).state,  # noqa: B023
        )
        if ended["record"] == "reconciled":
            assert ended["melt"] in ("CONCURRENT_OPERATION", "PROOF_STATE_INCONSISTENCY"), ended
        else:
            assert ended["record"] in ("CONCURRENT_OPERATION", "NOT_CONSERVED"), ended
            assert ended["melt"] == "reconciled", ended
        invariants.check(store)


def test_a_recording_of_a_source_a_melt_is_prepared_with(store: Store) -> None:
    """The melt took all proofs; it is cancelled, and what was recorded settles."""
    wallet = Wallet(store, 64)
    prepared = wallet.engine.prepare_melt(**wallet.whose, invoice=invoice(60, wallet.clock))

    def say() -> Any:
        return wallet.record([64], proofs(4, tag="k"), [], 60, transaction_id=TX)

    error = refused(say, "CONCURRENT_OPERATION")
    assert error.details["operations"] == [prepared.id] and wallet.balance() == (4, 64, 0)
    invariants.check(store)
    wallet.engine.cancel(prepared.id)
    wallet.engine.recover(force=True)
    assert say().handle.state == "reconciled" and wallet.balance() == (4, 0, 64)
    invariants.check(store)


def test_a_source_that_a_melt_split_meanwhile_is_named_with_what_is_left(store: Store) -> None:
    """A prepared melt moved untouched proofs of the source to its keep token: the sum no longer fits, nothing
    is written, and with that token named as well it is recorded."""
    wallet = Wallet(store, 100)  # 64 + 32 + 4
    prepared = wallet.engine.prepare_melt(**wallet.whose, invoice=invoice(30, wallet.clock))
    before = everything(store)
    error = refused(lambda: wallet.record([100], proofs(10, tag="k"), [], 90), "NOT_CONSERVED")
    assert everything(store) == before and error.details["sources"][wallet.ids[100]] < 100
    both = [wallet.ids[100], str(data_in(prepared.record).keep_token_id)]
    refused(
        lambda: wallet.engine.record_melt(
            both, proofs(10, tag="k"), [], 90, 0, transaction_id=TX, **wallet.whose
        ),
        "CONCURRENT_OPERATION",
    )
    invariants.check(store)
    wallet.engine.cancel(prepared.id)
    wallet.engine.recover(force=True)
    assert wallet.engine.operation(TX).state == "reconciled" and wallet.balance() == (10, 0, 100)
    invariants.check(store)


PROGRAM = """
import json, sys
from nutstate import Engine, NutstateError, SimulatedMint, configure_logging, open_store
configure_logging("off")
given = json.loads(sys.argv[1])
with open_store(given.pop("store"), create=False) as store, Engine(store, SimulatedMint()) as engine:
    sys.stdin.readline()
    try:
        print(engine.record_melt(**given).handle.state)
    except NutstateError as error:
        print(error.code)
"""


def test_two_processes_record_the_same_source(tmp_path: Path) -> None:
    """R46, R66 across processes."""
    url = f"sqlite:///{tmp_path}/shared.db"
    with open_store(url) as store:
        wallet = Wallet(store, 100)
        programs = []
        for kept in (7, 9):
            given = {
                "store": url, "sources": [wallet.ids[100]], "keep": [as_json(p) for p in proofs(kept)],
                "change": [], "amount": 100 - kept, "fee": 0, **wallet.whose,
            }  # fmt: skip
            programs.append(
                subprocess.Popen(
                    [sys.executable, "-c", PROGRAM, json.dumps(given)],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ.copy(),
                )
            )  # fmt: skip
        for program in programs:
            assert program.stdin is not None
            program.stdin.write("go\n")
            program.stdin.flush()
        ended = sorted(program.communicate(timeout=60)[0].strip() for program in programs)
        assert ended == ["CONCURRENT_OPERATION", "reconciled"]
        held = wallet.engine.balance(NPUB)
        assert (held.of("unspent"), held.of("spent")) == (16, 100)
        invariants.check(store)
