"""A config server and one shard, for what a cluster accepts. There is no ``mongos`` here: the commands that
it would send to the servers are sent by us, so the rules of the servers themselves are tested, and its
routing is not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.database import Database

from nutstate.storage.local.replica_set import ReplicaSet

from .mongod import replica_set

_MAJORITY = {"w": "majority"}
Document = dict[str, Any]


class Shard:
    """One shard of a cluster, and the config server that keeps the cluster's metadata."""

    def __init__(
        self, config: MongoClient[Document], shard: MongoClient[Document], servers: ReplicaSet
    ) -> None:
        self._config = config
        self._shard = shard
        self._versions: dict[str, Any] = {}
        seeds = f"{servers.name}/{servers.nodes[0].address}"
        added = config.admin.command({"_configsvrAddShard": seeds, "writeConcern": _MAJORITY})
        self._name = added["shardAdded"]

    def database(self, name: str) -> Database[Document]:
        """A database of the cluster that lives on this shard."""
        made = self._config.admin.command(
            {"_configsvrCreateDatabase": name, "primaryShardId": self._name, "writeConcern": _MAJORITY}
        )
        self._versions[name] = made["databaseVersion"]
        return self._shard[name]

    is_mongos = True  # in its place

    def command(self, command: Mapping[str, Any]) -> Document:
        """``enableSharding`` and ``shardCollection`` as mongos would send them on. Raises OperationFailure
        when the servers refuse."""
        if "enableSharding" in command:
            return {"ok": 1.0}  # a database of a cluster can be sharded since MongoDB 6
        database, _, collection = command["shardCollection"].partition(".")
        return self._shard[database].command(
            {
                "_shardsvrCreateCollection": collection,
                "shardKey": dict(command["key"]),
                "unique": False,
                "databaseVersion": self._versions[database],
                "writeConcern": _MAJORITY,
            }
        )

    def shard_keys(self, database: str) -> dict[str, Document]:
        """The key of each sharded collection, as the config server stores it."""
        found = self._config["config"]["collections"].find({"_id": {"$regex": f"^{database}\\."}})
        return {entry["_id"].partition(".")[2]: dict(entry["key"]) for entry in found}


@contextmanager
def config_server_and_shard(folder: Path) -> Iterator[Shard]:
    """Both as replica sets of one node, in about three seconds."""
    with (
        replica_set(folder / "config", name="config", role="configsvr") as config,
        replica_set(folder / "shard", name="shard0", role="shardsvr") as shard,
        MongoClient[Document](config.url("admin")) as config_client,
        MongoClient[Document](shard.url("admin")) as shard_client,
    ):
        yield Shard(config_client, shard_client, shard)
