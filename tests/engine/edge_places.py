"""Stores for the edge tests: one database per module, emptied between cases, whose whole content can be
read as bytes past the store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from bson import encode
from pymongo import MongoClient

from nutstate import Store, configure_logging, open_store
from nutstate.storage.mongo.schema import COLLECTIONS, MACHINES
from tests.servers.databases import Databases

Content = dict[str, bytes]
"""All that is stored, by table and, where that is cheap, by row: every byte of it."""


class Place:
    """A store that can be emptied and read whole. ``store`` is another object after ``empty``."""

    store: Store

    def empty(self) -> Store:
        """Nothing is stored any more."""
        raise NotImplementedError

    def content(self) -> Content:
        """All that is stored, by table and key."""
        raise NotImplementedError

    def close(self) -> None:
        self.store.close()


class SqlitePlace(Place):
    """A file per case, each a copy of one that is empty and ready."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._number = folder, 0
        ready = folder / "ready.db"
        open_store(f"sqlite:///{ready}").close()
        self._ready = ready.read_bytes()
        self.empty()

    def empty(self) -> Store:
        if self._number:
            self.store.close()
        self._number += 1
        self._file = self._folder / f"{self._number}.db"
        self._file.write_bytes(self._ready)
        self._file.chmod(0o600)
        self.store = open_store(f"sqlite:///{self._file}")
        return self.store

    def content(self) -> Content:
        connection = sqlite3.connect(self._file)
        try:
            names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
            return {
                f"{name}:{number}": repr(row).encode()
                for (name,) in names.fetchall()
                for number, row in enumerate(connection.execute(f"SELECT * FROM {name}"))
            }
        finally:
            connection.close()


class MemoryPlace(Place):
    """``memory://``, made anew for each case."""

    def __init__(self) -> None:
        self.empty()

    def empty(self) -> Store:
        self.store = open_store("memory://")
        return self.store

    def content(self) -> Content:
        inside: Any = self.store
        collections = inside._gateway._database.collections
        return {
            f"{name}:{document['_id']}": encode(document)
            for name in COLLECTIONS
            for document in collections[name].find({})
        }


class MongoPlace(Place):
    """One database of a real server, emptied for each case."""

    def __init__(self, url: str) -> None:
        self.store = open_store(url)
        self._client: MongoClient[Any] = MongoClient(url)
        self._database = self._client.get_default_database()

    def empty(self) -> Store:
        for name in set(COLLECTIONS) - {MACHINES}:  # the validators name them
            self._database[name].delete_many({})
        return self.store

    def content(self) -> Content:
        first, *others = COLLECTIONS  # in one question: this is asked thousands of times
        union = [{"$unionWith": name} for name in others]
        return {"all": b"".join(self._database[first].aggregate_raw_batches(union))}

    def close(self) -> None:
        self.store.close()
        self._client.close()


@contextmanager
def opened(request: pytest.FixtureRequest, folder: Path) -> Iterator[Place]:
    """The place that the parameter of a module's fixture names; see STORES."""
    configure_logging("off")
    if request.param != "mongodb":
        place: Place = SqlitePlace(folder) if request.param == "sqlite" else MemoryPlace()
        try:
            yield place
        finally:
            place.close()
        return
    databases: Databases = request.getfixturevalue("mongo_databases")
    name = databases.take()
    real = MongoPlace(databases.url(name))
    try:
        yield real
    finally:
        real.close()
        databases.give_back(name)
