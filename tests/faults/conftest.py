"""Replica sets for the fault tests: one of one node and one of three for each process, on the disk, mended
before every test. A test has a database of its own on them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pymongo import MongoClient

from nutstate import configure_logging
from nutstate.storage.local.replica_set import ReplicaSet
from tests.faults.ledger import Verdict
from tests.faults.scenarios import in_step
from tests.servers.mongod import replica_set, require_mongod
from tests.support.folders import on_disk

ELECTION_TIMEOUT_MS = 1_500
PREFIX = "faults"
_NUMBERS = itertools.count()


@pytest.fixture(autouse=True)
def quiet() -> None:
    require_mongod()
    configure_logging("off")


@pytest.fixture
def database() -> str:
    """A name that no other test uses."""
    return f"{PREFIX}{next(_NUMBERS)}"


@pytest.fixture(scope="session")
def one_node() -> Iterator[ReplicaSet]:
    with on_disk() as folder, replica_set(folder) as servers:
        yield servers


@pytest.fixture(scope="session")
def three_nodes() -> Iterator[ReplicaSet]:
    with (
        on_disk() as folder,
        replica_set(folder, nodes=3, election_timeout_ms=ELECTION_TIMEOUT_MS) as servers,
    ):
        yield servers


@pytest.fixture
def one(one_node: ReplicaSet) -> ReplicaSet:
    """A single node that runs."""
    return mended(one_node)


@pytest.fixture
def three(three_nodes: ReplicaSet) -> ReplicaSet:
    """Three nodes in step."""
    return mended(three_nodes)


def mended(servers: ReplicaSet) -> ReplicaSet:
    """Whatever an earlier test did to them: thawed, started, in step and empty (a node rolls back the
    faster the less it has)."""
    for node in servers.nodes:
        node.thaw()
    servers.start()
    in_step(servers)
    with MongoClient[dict[str, Any]](servers.url()) as client:
        for name in client.list_database_names():
            if name.startswith(PREFIX):
                client.drop_database(name)
    return servers


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Callable[[str, Verdict], Verdict]:
    """Puts a run into the table that tests/conftest.py prints at the end, whichever process ran it."""

    def add(run: str, verdict: Verdict) -> Verdict:
        request.node.user_properties.append(("table", verdict.row(run)))
        return verdict

    return add
