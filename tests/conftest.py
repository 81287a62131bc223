"""What every folder of tests may use: a real MongoDB server of its own, one per worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from nutstate.storage.mongod import ReplicaSet
from tests.servers.databases import Databases
from tests.servers.mongod import mongo_servers

__all__ = ["mongo_databases", "mongo_servers", "mongo_urls"]


@pytest.fixture(scope="session")
def mongo_databases(mongo_servers: ReplicaSet) -> Iterator[Databases]:  # noqa: F811
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
