"""The stores under the contract: one factory each. A new store adds one class here, nothing else.

What the in-memory double lacks is declared in ``storage/memory.py`` and listed at the end of every
test run. Everything in this folder runs on every store.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import pytest
from pymongo import MongoClient

from nutstate._open_store import open_store
from nutstate.storage.memory import MockGateway
from nutstate.storage.mongo.schema import COLLECTIONS, TOKENS
from nutstate.storage.mongo.store import MongoStore
from nutstate.storage.port import Store
from tests.servers.cluster import Cluster
from tests.support.foreign import forget_key
from tests.support.stores import STORES

_NAMES = itertools.count()


class Place(Protocol):
    """Where one store lives. ``open`` again finds what was committed."""

    def open(self) -> Store: ...

    def dump(self) -> Any:
        """Everything stored, comparable with ``==``."""
        ...

    def forget_proof(self, key: str) -> None:
        """Remove an index entry behind the store's back."""
        ...


class SqlitePlace:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "wallet.db"

    def open(self) -> Store:
        return open_store(f"sqlite:///{self.path}")

    def dump(self) -> Any:
        with closing(sqlite3.connect(self.path)) as connection:
            tables = ("operations", "tokens", "proof_index", "dedup", "audit", "tombstones")
            return {t: sorted(connection.execute(f"SELECT * FROM {t}"), key=repr) for t in tables}

    def forget_proof(self, key: str) -> None:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("DELETE FROM proof_index WHERE key = ?", (key,))


def _id(document: dict[str, Any]) -> str:
    return str(document["_id"])


class MemoryPlace:
    def __init__(self) -> None:
        self.url = f"memory://contract-{next(_NAMES)}"

    def open(self) -> Store:
        return open_store(self.url)

    def _collections(self) -> Any:
        store = self.open()
        assert isinstance(store, MongoStore) and isinstance(store._gateway, MockGateway)
        return store._gateway._database.collections

    def dump(self) -> Any:
        collections = self._collections()
        return {name: sorted(collections[name].find({}), key=_id) for name in COLLECTIONS}

    def forget_proof(self, key: str) -> None:
        forget_key(self._collections()[TOKENS], key)


class MongoPlace:
    def __init__(self, url: str) -> None:
        self.url = url

    def open(self) -> Store:
        return open_store(self.url)

    def dump(self) -> Any:
        with MongoClient[dict[str, Any]](self.url) as client:
            database = client.get_default_database()
            return {name: sorted(database[name].find({}), key=_id) for name in COLLECTIONS}

    def forget_proof(self, key: str) -> None:
        with MongoClient[dict[str, Any]](self.url) as client:
            forget_key(client.get_default_database()[TOKENS], key)


class ClusterPlace:
    """A database on two replica sets that stand for the shards of a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.name = cluster.take()

    def open(self) -> Store:
        return self.cluster.open(self.name)

    def dump(self) -> Any:
        return self.cluster.everything(self.name)

    def forget_proof(self, key: str) -> None:
        for database in self.cluster.databases(self.name):
            forget_key(database[TOKENS], key)


CLUSTER = pytest.param("cluster", marks=[pytest.mark.real_mongo, pytest.mark.cluster])


@pytest.fixture(params=[*STORES, CLUSTER])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "cluster":
        cluster: Cluster = request.getfixturevalue("mongo_cluster")
        there = ClusterPlace(cluster)
        yield there
        cluster.give_back(there.name)
    elif request.param == "mongodb":
        yield MongoPlace(request.getfixturevalue("mongo_urls")())
    else:
        yield SqlitePlace(tmp_path) if request.param == "sqlite" else MemoryPlace()


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with place.open() as opened:
        yield opened
