"""What every folder of tests may use: a real MongoDB server of its own, one per worker."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from pymongo import MongoClient

from nutstate.storage.local.replica_set import ReplicaSet
from tests.servers.cluster import Cluster, MongosCluster, cluster
from tests.servers.databases import Databases
from tests.servers.mongod import mongo_servers
from tests.support.capabilities import report
from tests.support.folders import on_disk, use_memory

__all__ = ["mongo_databases", "mongo_servers", "mongo_urls"]


pytest_plugins = ["tests.selection.plugin"]

use_memory()

# A shell that runs the tests in the background ignores Ctrl-C for them, and so would every program
# they start: what Ctrl-C does could not be tested.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# The only profile, on CI and elsewhere. How long an example takes says how busy the machine is, and
# nothing of what a test is about. A failure prints what repeats it anywhere. Each run draws its own examples.
settings.register_profile(
    "nutstate", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("nutstate")


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder of the test's own: in memory if there is room, on the disk for a test marked ``disk``."""
    if request.node.get_closest_marker("disk") is None:
        yield tmp_path
    else:
        with on_disk() as folder:
            yield folder


@pytest.fixture(scope="session")
def mongo_databases(mongo_servers: ReplicaSet) -> Iterator[Databases]:
    """The databases of the worker's server."""
    databases = Databases(mongo_servers)
    yield databases
    databases.close()


@pytest.fixture(scope="session")
def mongo_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two replica sets that stand for a cluster, one pair per worker; or, for `make test-cluster`, the real
    one that ``NUTSTATE_CLUSTER`` names."""
    if real := os.environ.get("NUTSTATE_CLUSTER"):
        there = MongosCluster(real)
        yield there
        there.close()
        return
    with cluster(tmp_path_factory.mktemp("cluster")) as both:
        yield both


@pytest.fixture
def fresh_database(mongo_servers: ReplicaSet) -> Iterator[str]:
    """The URL of a database that does not exist yet; dropped afterwards."""
    url = mongo_servers.url(f"versions-{uuid.uuid4().hex[:12]}")
    yield url
    with MongoClient[dict[str, object]](url) as client:
        client.drop_database(client.get_default_database().name)


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
