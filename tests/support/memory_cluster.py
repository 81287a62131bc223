"""A cluster of two shards in memory, for tests that open many stores, and one that dies at a chosen call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nutstate.storage.memory import MockGateway, _Database
from nutstate.storage.mongo.gateway import Document
from nutstate.storage.mongo.keys import held_by, keys_of_token
from nutstate.storage.mongo.schema import ATTEMPTS, INDEXES, KEYS, OPERATIONS, TOKENS
from nutstate.storage.mongo.shards import OWNER
from nutstate.storage.mongo.store import MongoStore
from tests.servers.two_sets import TwoSets

from .crash import Crash


class MemoryCluster:
    """Two databases; every store over them is a process of its own. ``forgets``: committed attempts are
    deleted before and after everything that may read or write one, as early as a server could do it."""

    def __init__(self, *, forgets: bool = False) -> None:
        self.forgets = forgets
        self.sets = (_Database(), _Database())
        for database in self.sets:
            for index in INDEXES:  # a cluster has no unique index over all wallets
                if index.unique and not index.multikey and index.keys[0][0] != OWNER:
                    database.collections[index.collection].drop_index(index.name)

    def store(self, kind: type[TwoSets] = TwoSets, **fields: Any) -> MongoStore:
        """A store; ``kind`` is the class of its gateway, ``fields`` are set on it."""
        gateway = kind([MockGateway(database) for database in self.sets])
        for name, value in fields.items():
            setattr(gateway, name, value)
        if self.forgets:
            for name in ("transaction", "find_for_good", "insert_new"):
                setattr(gateway, name, self._forgetting(getattr(gateway, name)))
        return MongoStore("mongodb://cluster", gateway)

    def _forgetting(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def forgetting(*args: Any, **more: Any) -> Any:
            self.forget()
            try:
                return call(*args, **more)
            finally:
                self.forget()

        return forgetting

    def forget(self) -> None:
        """Delete every committed attempt, as the index of the real server does after a day."""
        for database in self.sets:
            database.collections[ATTEMPTS].delete_many({"ended": "committed"})

    def all(self, collection: str) -> list[Document]:
        """Every document, of both shards."""
        return [d for database in self.sets for d in database.collections[collection].find({})]

    def check_keys(self) -> None:
        """Fails when a key is held twice, or by a wallet that ``global_keys`` does not name."""
        check_keys({name: self.all(name) for name in (OPERATIONS, TOKENS, KEYS)})


def check_keys(stored: dict[str, list[Document]]) -> None:
    """Fails when the documents of a cluster hold a key twice, or one that ``global_keys`` has not, or has for
    another wallet."""
    held = [(key, op[OWNER]) for op in stored[OPERATIONS] for key in held_by(op)]
    held += [(key.id, token[OWNER]) for token in stored[TOKENS] for key in keys_of_token(token)]
    keys = {entry["_id"]: entry[OWNER] for entry in stored[KEYS]}
    assert len(held) == len({key for key, _ in held}), "a key is held twice"
    assert all(keys.get(key) == owner for key, owner in held), "a key is held without global_keys"


class Mortal(TwoSets):
    """Counts its writes, and dies on one side of the one with the number ``at``."""

    at: int | None = None
    before = True
    names: list[str]

    def _tick(self, name: str, call: Callable[[], Any]) -> Any:
        if "names" not in self.__dict__:
            self.names = []
        self.names.append(name)
        dies = len(self.names) - 1 == self.at
        if dies and self.before:
            raise Crash(name)
        answer = call()
        if dies:
            raise Crash(name)
        return answer

    def insert_new(self, collection: str, documents: Any) -> frozenset[str]:
        found: frozenset[str] = self._tick(
            f"insert {collection}", lambda: super(Mortal, self).insert_new(collection, documents)
        )
        return found

    def transaction(self, work: Any) -> None:
        self._tick("transaction", lambda: super(Mortal, self).transaction(work))

    def find_one_and_update(self, collection: str, filter: Any, update: Any) -> Any:
        return self._tick(
            f"update {collection}",
            lambda: super(Mortal, self).find_one_and_update(collection, filter, update),
        )

    def delete_many(self, collection: str, filter: Any) -> int:
        return int(
            self._tick(f"delete {collection}", lambda: super(Mortal, self).delete_many(collection, filter))
        )
