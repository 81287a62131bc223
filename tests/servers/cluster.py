"""Stores over two replica sets that stand for a cluster's shards, and their databases, used again."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.database import Database
from pymongo.read_concern import ReadConcern

from nutstate.storage.local.replica_set import ReplicaSet
from nutstate.storage.mongo.client import DURABLE, Budget, ClientGateway
from nutstate.storage.mongo.doctor.shard import Admin, Mongos, apply
from nutstate.storage.mongo.open import address, connect, open_mongo
from nutstate.storage.mongo.schema import FLAGS, MACHINES
from nutstate.storage.mongo.setup import create
from nutstate.storage.mongo.shards import CLUSTER_COLLECTIONS, SHARDED, SHARDING
from nutstate.storage.mongo.store import MongoStore
from nutstate.storage.rules.machines import BUILT_IN, Machines

from .mongod import replica_set
from .two_sets import TwoSets

Document = dict[str, Any]


class Cluster:
    """Two started sets."""

    def __init__(self, servers: tuple[ReplicaSet, ReplicaSet]) -> None:
        self.servers = servers
        self._clients = [MongoClient[Document](each.url()) for each in servers]
        self._free: list[str] = []
        self._numbers = itertools.count()

    def databases(self, name: str) -> list[Database[Document]]:
        """The database of this name on each set."""
        return [client[name] for client in self._clients]

    def make(self, name: str, machines: Machines = BUILT_IN) -> str:
        """Make the database on both sets, with the collections and indexes of a cluster."""
        for database in self.databases(name):
            database[FLAGS].update_one({"_id": SHARDING}, {"$set": {"state": SHARDED}}, upsert=True)
            create(database, machines)
        return name

    def take(self) -> str:
        """The name of an empty database."""
        return self._free.pop() if self._free else self.make(f"cluster{next(self._numbers)}")

    def give_back(self, name: str) -> None:
        """Empty it, for the next test."""
        for database in self.databases(name):
            for collection in set(CLUSTER_COLLECTIONS) - {MACHINES}:
                database[collection].delete_many({})
        self._free.append(name)

    def open(self, name: str, budget: Budget | None = None, machines: Machines = BUILT_IN) -> MongoStore:
        """A store over both sets."""
        gateways = []
        for servers in self.servers:
            place = address(servers.url(name))
            gateways.append(ClientGateway(connect(place), place.database, budget))
        return MongoStore(f"mongodb://two-sets/{name}", TwoSets(gateways), machines)

    def everything(self, name: str) -> dict[str, list[Document]]:
        """What is stored on both sets, comparable."""
        found: dict[str, list[Document]] = {}
        for collection in CLUSTER_COLLECTIONS:
            documents = [d for database in self.databases(name) for d in database[collection].find()]
            found[collection] = sorted(documents, key=lambda document: str(document["_id"]))
        return found

    def close(self) -> None:
        for client in self._clients:
            client.close()


class MongosCluster(Cluster):
    """A real cluster behind mongos, in the database of ``url``, which is dropped and sharded anew. Its tests
    run on one database, one after the other."""

    def __init__(self, url: str, admin: Admin | None = None) -> None:
        self.url = url
        self._client: MongoClient[Document] = MongoClient(url)
        self._database = self._client.get_default_database(
            write_concern=DURABLE, read_concern=ReadConcern("majority")
        )
        self._client.drop_database(self._database.name)
        create(self._database, BUILT_IN)
        report = apply(self._database, BUILT_IN, admin or Mongos(self._client), "the cluster")
        assert report.healthy, report.faults

    def databases(self, name: str) -> list[Database[Document]]:
        return [self._database]

    def take(self) -> str:
        return self._database.name

    def give_back(self, name: str) -> None:
        for collection in set(CLUSTER_COLLECTIONS) - {MACHINES}:
            self._database[collection].delete_many({})

    def open(self, name: str, budget: Budget | None = None, machines: Machines = BUILT_IN) -> MongoStore:
        return open_mongo(self.url, budget=budget, machines=machines)

    def close(self) -> None:
        self._client.close()


@contextmanager
def cluster(folder: Path, **options: Any) -> Iterator[Cluster]:
    """Both sets as replica sets of their own; ``options`` as :class:`ReplicaSet` takes them."""
    with (
        replica_set(folder / "a", name="shard-a", **options) as one,
        replica_set(folder / "b", name="shard-b", **options) as other,
    ):
        both = Cluster((one, other))
        try:
            yield both
        finally:
            both.close()
