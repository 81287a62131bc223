"""What every folder of tests may use: a real MongoDB server of its own, one per worker."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from nutstate.storage.local.replica_set import ReplicaSet
from tests.servers.databases import Databases
from tests.servers.mongod import mongo_servers
from tests.support.capabilities import report

__all__ = ["mongo_databases", "mongo_servers", "mongo_urls"]


HERE = Path(__file__).parent

# A shell that runs the tests in the background ignores Ctrl-C for them, and so would every program
# they start: what Ctrl-C does could not be tested.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# How long an example takes says how busy the machine is, and nothing of what a test is about.
settings.register_profile("nutstate", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("nutstate")


UNMEASURED = frozenset({"real_mint", "faults", "browser", "oracle", "slow"})
"""Markers of tests that run without measuring coverage: measuring doubles the time of a test."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """``make test`` runs the two halves one after the other; together they are every test, each once."""
    words = "the half whose coverage is measured, or the rest"
    parser.addoption("--half", choices=("measured", "rest"), default=None, help=f"run only {words}")


def is_measured(item: pytest.Item) -> bool:
    """One way through everything: on SQLite, and on a real MongoDB what is about the store itself."""
    markers = {marker.name for marker in item.iter_markers()}
    if markers & UNMEASURED or "[memory" in item.name or "-memory" in item.name:
        return False
    return "real_mongo" not in markers or item.path.relative_to(HERE).parts[0] in ("storage", "contract")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the other half out."""
    half = config.getoption("--half")
    if half is not None:
        kept = [item for item in items if is_measured(item) == (half == "measured")]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
        items[:] = kept


@pytest.fixture(scope="session")
def mongo_databases(mongo_servers: ReplicaSet) -> Iterator[Databases]:
    """The databases of the worker's server."""
    databases = Databases(mongo_servers)
    yield databases
    databases.close()


@pytest.fixture
def mongo_urls(mongo_databases: Databases) -> Iterator[Callable[[], str]]:
    """Gives URLs of empty databases with collections, indexes and validators; emptied afterwards."""
    taken: list[str] = []

    def take() -> str:
        taken.append(mongo_databases.take())
        return mongo_databases.url(taken[-1])

    yield take
    for name in taken:
        mongo_databases.give_back(name)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Tables that tests made, and what did not run on ``memory://`` and where it ran instead."""
    ended = [
        r for found in terminalreporter.stats.values() for r in found if getattr(r, "when", "") == "teardown"
    ]
    told = [str(value) for r in ended for name, value in r.user_properties if name == "table"]
    for number, line in enumerate(told):
        if number == 0:
            terminalreporter.section("tables")
        terminalreporter.write_line(line)
    ran = [r for r in terminalreporter.stats.get("passed", ()) if "real_mongo" in r.keywords]
    if terminalreporter.config.option.verbose < 0 and not ran:
        return
    terminalreporter.section(f"memory:// lacks ({len(ran)} tests passed on a real MongoDB)")
    for line in report():
        terminalreporter.write_line(line)
