"""Every query that a service, its operators and its command line make on MongoDB walks an index from its
first match to its last. The commands are those that really were sent, so a new query is looked at too."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from pymongo import MongoClient

from nutstate import configure_logging
from nutstate.storage.local.replica_set import ReplicaSet
from nutstate.storage.mongo import open as opening
from nutstate.storage.mongo.gateway import Find, Transaction
from nutstate.storage.mongo.open import open_mongo
from nutstate.storage.mongo.schema import OPERATIONS, TOKENS
from nutstate.storage.mongo.store import MongoStore
from nutstate.storage.port import TokenQuery
from tests.storage.plans.explained import Explained
from tests.support.life import Life, command_line, past

pytestmark = [pytest.mark.real_mongo, pytest.mark.slow]

NAME = "plans"


@pytest.fixture
def listener(mongo_servers: ReplicaSet, monkeypatch: pytest.MonkeyPatch) -> Iterator[Explained]:
    """Explains what is sent to the database while its ``part`` is set."""
    configure_logging("off")
    explained = Explained(mongo_servers.url(NAME))
    monkeypatch.setattr(opening, "MongoClient", partial(MongoClient[Any], event_listeners=[explained]))
    yield explained
    explained.close(drop=NAME)


@pytest.fixture
def store(listener: Explained, mongo_servers: ReplicaSet) -> Iterator[MongoStore]:
    with open_mongo(mongo_servers.url(NAME)) as opened:
        yield opened


def test_r540_every_query_on_mongodb_walks_an_index(store: MongoStore, listener: Explained) -> None:
    """No COLLSCAN, no SORT, and at most twice the returned documents are read."""
    life = Life(store)
    past(store, life.mint.url)
    for name, run in life.parts().items():
        listener.part = name
        run()
    some = life.engine.operations(kind="melt", limit=1)[0].id
    listener.part = "command line"
    said = command_line(listener.url, some)
    listener.part = ""
    assert max(said.values()) <= 1, said
    assert len(listener.seen) > 60, "the listener heard the workload"
    assert not listener.wrong, "\n".join(listener.wrong.values())


def test_a_query_without_an_index_is_found(store: MongoStore, listener: Explained) -> None:
    """The listener itself: by mint and unit alone there is no index."""
    past(store, "https://mint.example", melts=8)
    listener.part = "a new query"
    store.tokens(TokenQuery(unit="usd", largest_first=True, limit=2))
    listener.part = ""
    assert any("SORT" in text or "COLLSCAN" in text for text in listener.wrong.values())


def test_a_read_of_a_transaction_without_an_index_is_found(store: MongoStore, listener: Explained) -> None:
    """The same where the reads of a transaction are parts of a ``$lookup``, which shows no plans."""
    past(store, "https://mint.example", melts=8)
    listener.part = "a new query"
    finds = [Find(OPERATIONS, {"_id": "x"}, limit=1), Find(TOKENS, {"unit": "usd"}, limit=2)]

    def read(transaction: Transaction) -> None:
        transaction.several(finds)

    store._gateway.transaction(read)
    listener.part = ""
    assert any(text.startswith("a new query: COLLSCAN") for text in listener.wrong.values())
