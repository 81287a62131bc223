"""R46 to R48: one token, four melts at once, many rounds. A table of winners and losers at the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from nutstate import Engine, NutstateError, Refused, SimulatedMint, Store, open_store
from nutstate.engine.tokens.token_ids import minted_id
from nutstate.storage.port import OperationQuery
from tests.support import invariants
from tests.support.together import together
from tests.support.wallet import NPUB, QUICK, funded, invoice

ROUNDS = 200
STORES = 8  # the double looks through all it holds at every write, so it is not left to fill up
CONTENDERS = 4


@define
class Table:
    """Outcomes of all rounds: the state of a winner, or the code of a loser."""

    name: str
    rounds: int = 0
    outcomes: Counter[str] = field(factory=Counter)

    def line(self) -> str:
        counted = ", ".join(f"{name} {n}" for name, n in sorted(self.outcomes.items()))
        return f"{self.name}: {self.rounds} rounds x {CONTENDERS}: {counted}"


@pytest.fixture
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    """Shown at the end of the run (tests/conftest.py)."""
    made = Table(request.node.name)
    yield made
    request.node.user_properties.append(("table", made.line()))


@pytest.mark.slow
def test_r46_to_r48_four_threads_want_one_token(new_store: Callable[[], Store], table: Table) -> None:
    for _ in range(STORES):
        race_threads(new_store(), ROUNDS // STORES, table)
    assert table.rounds == ROUNDS


def race_threads(store: Store, rounds: int, table: Table) -> None:
    engine, mint, clock = funded(store, amount=0)
    engines = [Engine(store, mint, settings=QUICK, clock=clock) for _ in range(CONTENDERS)]
    for _ in range(rounds):
        source = minted_id(engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=64).id)
        bolts = [invoice(30, clock) for _ in range(CONTENDERS)]
        results = together(
            [
                partial(e.melt, npub=NPUB, mint_url=mint.url, invoice=b, sources=[source])
                for e, b in zip(engines, bolts, strict=True)
            ]
        )
        won = [result for result in results if not isinstance(result, NutstateError)]
        lost = [result for result in results if isinstance(result, NutstateError)]
        table.rounds += 1
        table.outcomes.update([*(w.state for w in won), *(error.code for error in lost)])
        assert len(won) == 1 and won[0].state == "reconciled", results
        for error in lost:
            assert isinstance(error, Refused) and error.code == "CONCURRENT_OPERATION", error
            assert error.details == {"tokens": [source], "operations": [won[0].id]}
    melts = store.operations(OperationQuery(kind="melt", limit=100_000))
    assert len(melts) == rounds, "a loser left no operation behind"
    invariants.check(store, mint)


CONTENDER = """
import json, sys
from nutstate import Engine, NutstateError, SimulatedMint, configure_logging, open_store
url, state, npub = sys.argv[1:4]
configure_logging("off")
with open_store(url) as store, SimulatedMint(path=state) as mint:
    engine = Engine(store, mint)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        source, invoice = json.loads(line)
        try:
            melt = engine.melt(npub=npub, mint_url=mint.url, invoice=invoice, sources=[source])
            told = [melt.state, melt.id, {}]
        except NutstateError as error:
            told = [error.code, None, dict(error.details)]
        print(json.dumps(told), flush=True)
"""


def race_processes(url: str, folder: Path, table: Table) -> None:
    state = folder / "mint.db"
    with open_store(url) as store, SimulatedMint(path=state) as mint:
        engine = Engine(store, mint)
        programs = [
            subprocess.Popen(
                [sys.executable, "-W", "ignore", "-c", CONTENDER, url, str(state), NPUB],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            )
            for _ in range(CONTENDERS)
        ]
        try:
            assert [_told(program) for program in programs] == ["ready"] * CONTENDERS
            for _ in range(ROUNDS):
                _round(engine, mint, programs, table)
        finally:
            for program in programs:
                assert program.stdin is not None and program.stdout is not None
                program.stdin.close()
                program.wait(timeout=60)
                program.stdout.close()
        assert len(store.operations(OperationQuery(kind="melt", limit=100_000))) == ROUNDS
        invariants.check(store, mint)


def _told(program: subprocess.Popen[str]) -> Any:
    assert program.stdout is not None
    return json.loads(program.stdout.readline())


def _round(engine: Engine, mint: SimulatedMint, programs: list[subprocess.Popen[str]], table: Table) -> None:
    funding = engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=64)
    source = minted_id(funding.id)
    for program in programs:
        assert program.stdin is not None
        program.stdin.write(json.dumps([source, mint.lightning.invoice(30).reveal()]) + "\n")
    for program in programs:
        assert program.stdin is not None
        program.stdin.flush()
    told = [_told(program) for program in programs]
    table.rounds += 1
    table.outcomes.update(word for word, _, _ in told)
    (winner,) = [name for word, name, _ in told if word == "reconciled"]
    lost = [details for word, _, details in told if word == "CONCURRENT_OPERATION"]
    assert len(lost) == CONTENDERS - 1, told
    assert all(details == {"tokens": [source], "operations": [winner]} for details in lost), told


@pytest.mark.slow
def test_r46_to_r48_four_processes_on_sqlite(tmp_path: Path, table: Table) -> None:
    race_processes(f"sqlite:///{tmp_path}/wallet.db", tmp_path, table)


@pytest.mark.slow
@pytest.mark.real_mongo
def test_r46_to_r48_four_processes_on_mongodb(
    mongo_urls: Callable[[], str], tmp_path: Path, table: Table
) -> None:
    race_processes(mongo_urls(), tmp_path, table)
