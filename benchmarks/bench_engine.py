"""Parts of the engine beside the same written by hand: `make bench-parts`. A whole melt: `make bench`.

Ratios between neighbours matter, not the times."""

from __future__ import annotations

import itertools
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import transitions

from nutstate import configure_logging, open_store
from nutstate.engine.operations.melt.actions.selection import select
from nutstate.engine.operations.shared.preflight import with_names
from nutstate.machines import MELT, step
from nutstate.machines.melt.facts import MeltFacts
from nutstate.storage.port import TokenQuery
from nutstate.storage.testing.records import batch_for, make_operation, make_token
from tests.support.wallet import fake_proof

FUNDS = 1_000_000


@pytest.fixture(autouse=True)
def quiet() -> None:
    configure_logging("off")


# -- one decision --------------------------------------------------------------------------------------


@pytest.mark.benchmark(group="one decision")
def test_step_with_all_verdicts(benchmark: Any) -> None:
    facts = MeltFacts(quote_expires_at=1, inputs_reserved=True)
    assert benchmark(lambda: step(MELT, "prepared", "pay", facts)).accepted


@pytest.mark.benchmark(group="one decision")
def test_bare_transitions_with_two_guards(benchmark: Any) -> None:
    class Model:
        state = "prepared"

    def yes() -> bool:
        return True

    model = Model()
    machine = transitions.Machine(None, ["prepared", "paying"], initial="prepared", auto_transitions=False)
    machine.add_transition("pay", "prepared", "paying", conditions=[yes, yes])
    event = machine.events["pay"]

    def trigger() -> bool:
        model.state = "prepared"
        return bool(event.trigger(model))

    assert benchmark(trigger)


# -- one commit ----------------------------------------------------------------------------------------


@pytest.mark.benchmark(group="one commit (operation, token, index, two audit records)")
def test_store_commit(benchmark: Any, tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/w.db") as store:
        n = itertools.count()

        def batch() -> tuple[tuple[Any], dict[str, Any]]:
            i = next(n)
            made = batch_for(make_operation(f"tx-{i:08}"), tokens=[make_token(f"token-{i}", 8)])
            return (made,), {}

        benchmark.pedantic(store.commit, setup=batch, rounds=300)


@pytest.mark.benchmark(group="one commit (operation, token, index, two audit records)")
def test_raw_sqlite_commit(benchmark: Any, tmp_path: Path) -> None:
    """The same durability and the same number of rows, written by hand."""
    db = sqlite3.connect(tmp_path / "raw.db", isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    for table in ("operations", "tokens", "proofs", "audit"):
        db.execute(f"CREATE TABLE {table} (id TEXT PRIMARY KEY, state TEXT, version INTEGER, doc TEXT)")
    n = itertools.count()
    doc = json.dumps({"x": "y" * 600})

    def commit() -> None:
        i = next(n)
        db.execute("BEGIN IMMEDIATE")
        for table in ("operations", "tokens", "proofs", "audit"):
            db.execute(f"INSERT INTO {table} VALUES (?, ?, ?, ?)", (f"{i}", "s", 1, doc))
        db.execute("INSERT INTO audit VALUES (?, ?, ?, ?)", (f"{i}b", "s", 1, doc))
        db.execute("COMMIT")

    benchmark.pedantic(commit, rounds=300)
    db.close()


# -- choosing coins ------------------------------------------------------------------------------------


@pytest.mark.benchmark(group="choosing coins")
@pytest.mark.parametrize("coins", [100, 10_000])
def test_choosing_among(benchmark: Any, tmp_path: Path, coins: int) -> None:
    """Flat: index-backed and bounded, however many tokens there are."""
    with open_store(f"sqlite:///{tmp_path}/w.db") as store:
        for first in range(0, coins, 100):
            tokens = []
            for i in range(first, min(first + 100, coins)):
                token = make_token(f"token-{i}", proofs=(fake_proof(1 << (i % 10), f"coin-{i}"),))
                tokens.append(token)
            store.commit(batch_for(make_operation(f"tx-{first:08}"), tokens=tokens))
        token = store.tokens(TokenQuery(limit=1))[0]
        op = make_operation(
            "tx-choice", npub=token.npub, wallet_id=token.wallet_id, mint_url=token.mint_url, unit=token.unit
        )
        found: Any = benchmark(
            lambda: select(
                store, op, 777, lambda names: dict.fromkeys(names, 100), tokens_max=200, count_max=1000
            )
        )
        assert found.amount >= 777 and with_names(found).amount == found.amount
