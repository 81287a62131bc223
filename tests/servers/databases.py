"""Databases on a test server that are used again: emptying one takes milliseconds, making one does not."""

from __future__ import annotations

import itertools
from typing import Any

from pymongo import MongoClient

from nutstate.storage.local.replica_set import ReplicaSet
from nutstate.storage.mongo.open import open_mongo
from nutstate.storage.mongo.schema import COLLECTIONS, MACHINES


class Databases:
    """Empty databases of one server."""

    def __init__(self, servers: ReplicaSet) -> None:
        self._servers = servers
        self._client: MongoClient[dict[str, Any]] = MongoClient(servers.url())
        self._free: list[str] = []
        self._numbers = itertools.count()
        self._machines: set[Any] = set()

    def url(self, name: str) -> str:
        return self._servers.url(name)

    def take(self) -> str:
        """The name of an empty database that is ready for a store."""
        if self._free:
            return self._free.pop()
        name = f"test{next(self._numbers)}"
        open_mongo(self.url(name)).close()
        self._machines = set(self._client[name][MACHINES].distinct("_id"))
        return name

    def give_back(self, name: str) -> None:
        """Empty it, or drop it if other machines than the built-in ones were stored. A test that changed
        collections, indexes or validators drops its own database."""
        database = self._client[name]
        if (
            set(database[MACHINES].distinct("_id")) != self._machines
        ):  # its validators name machines of one test
            self._client.drop_database(name)
            return
        for collection in set(COLLECTIONS) - {MACHINES}:
            database[collection].delete_many({})
        self._free.append(name)

    def close(self) -> None:
        self._client.close()
