"""A database is made ready, or refused with a clear text; never used as it happens to be."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from attrs import frozen
from pymongo import MongoClient
from pymongo.database import Database

from nutstate import open_store
from nutstate.storage.errors import StoreUnavailable, StoreUnsupported
from nutstate.storage.local.replica_set import ReplicaSet
from nutstate.storage.mongo.client import DURABLE
from nutstate.storage.mongo.open import address
from nutstate.storage.mongo.rules import validator
from nutstate.storage.mongo.schema import COLLECTIONS, INDEXES
from nutstate.storage.mongo.setup import Problem, check_server, problems, refuse
from nutstate.storage.rules.machines import BUILT_IN
from nutstate.storage.testing.records import NPUB, batch_for, make_operation, make_token

real = pytest.mark.real_mongo


@frozen
class Ground:
    """A database of its own and a plain connection to it."""

    url: str
    raw: Database[dict[str, Any]]


@pytest.fixture
def ground(mongo_servers: ReplicaSet) -> Iterator[Ground]:
    url = mongo_servers.url(f"setup-{uuid.uuid4().hex[:12]}")
    with MongoClient[dict[str, Any]](url) as client:
        raw = client.get_default_database()
        yield Ground(url, raw)
        client.drop_database(raw.name)


def test_problems_are_told_as_sentences() -> None:
    """R438: an empty database is called so, and no sentence begins with the name of an inner collection."""
    unrecorded = Problem("schema", "flags", "the schema version is not recorded")
    missing = [Problem("collection", name, "is missing") for name in COLLECTIONS]
    with pytest.raises(StoreUnsupported, match=r"the database holds no store of nutstate; .*doctor --fix"):
        refuse([unrecorded, *missing])
    with pytest.raises(StoreUnsupported, match=r"^MongoDB: the schema version .*; tombstones is missing; "):
        refuse([unrecorded, Problem("collection", "tombstones", "is missing")])


@real
def test_an_empty_database_is_only_made_ready_when_asked_to(ground: Ground) -> None:
    with pytest.raises(StoreUnsupported, match=r"holds no store of nutstate; .*doctor --fix"):
        open_store(ground.url, create=False)
    assert ground.raw.list_collection_names() == []
    open_store(ground.url).close()
    assert problems(ground.raw, BUILT_IN) == []
    assert set(COLLECTIONS) <= set(ground.raw.list_collection_names())
    open_store(ground.url, create=False).close()


@real
def test_many_make_it_ready_at_once(ground: Ground) -> None:
    with ThreadPoolExecutor(8) as pool:
        stores = list(pool.map(lambda _: open_store(ground.url), range(8)))
    assert problems(ground.raw, BUILT_IN) == []
    for store in stores:
        store.close()


SPOILED: dict[str, tuple[dict[str, Any], str]] = {
    "index": ({"dropIndexes": "operations", "index": "claim_1"}, "claim_1"),
    "collection": ({"drop": "tombstones"}, "tombstones"),
    "validator": ({"collMod": "cashu_tokens", "validator": {}}, "cashu_tokens"),
    "looser validator": (
        {
            "collMod": "cashu_tokens",
            "validator": {"$jsonSchema": validator("cashu_tokens", BUILT_IN)["$jsonSchema"]},
        },
        "cashu_tokens",
    ),
    "validator that only warns": ({"collMod": "audit_log", "validationAction": "warn"}, "audit_log"),
    "validator that is moderate": ({"collMod": "operations", "validationLevel": "moderate"}, "operations"),
    "validator switched off": ({"collMod": "tombstones", "validationLevel": "off"}, "tombstones"),
}


@real
@pytest.mark.parametrize("what", SPOILED)
def test_what_was_taken_away_is_noticed_and_put_back(ground: Ground, what: str) -> None:
    open_store(ground.url).close()
    command, name = SPOILED[what]
    ground.raw.command(command)
    with pytest.raises(StoreUnsupported, match=name):
        open_store(ground.url, create=False)
    open_store(ground.url).close()
    assert problems(ground.raw, BUILT_IN) == []


@real
def test_another_index_under_our_name_is_refused(ground: Ground) -> None:
    open_store(ground.url).close()
    ground.raw.operations.drop_index("claim_1")
    ground.raw.operations.create_index([("claim", 1)], name="claim_1")  # neither unique nor partial
    with pytest.raises(StoreUnsupported, match="claim_1 is another index"):
        open_store(ground.url)


@real
def test_rules_that_were_weak_for_a_while_are_not_made_strict_over_what_came_in(ground: Ground) -> None:
    open_store(ground.url).close()
    ground.raw.command({"collMod": "cashu_tokens", "validationAction": "warn"})
    ground.raw.cashu_tokens.insert_one({"_id": "evil", "total_amount": 1_000_000})
    with pytest.raises(StoreUnsupported, match="not migrated"):
        open_store(ground.url)
    assert ground.raw.cashu_tokens.options()["validationAction"] == "warn"


@real
@pytest.mark.parametrize(
    "keys, options, words",
    [
        ("createdAt", {"expireAfterSeconds": 60}, "by their age"),
        ("unit", {"unique": True}, "nutstate did not make"),
    ],
)
def test_an_index_that_deletes_or_refuses_money_is_not_accepted(
    ground: Ground, keys: str, options: dict[str, Any], words: str
) -> None:
    open_store(ground.url).close()
    ground.raw.cashu_tokens.create_index(keys, name="theirs", **options)
    with pytest.raises(StoreUnsupported, match=words):
        open_store(ground.url)
    ground.raw.cashu_tokens.drop_index("theirs")
    ground.raw.cashu_tokens.create_index("unit", name="harmless")
    open_store(ground.url).close()


@real
@pytest.mark.parametrize("version", ["1", None, True, 0.5, 1.0])
def test_a_mark_of_the_schema_that_is_none_is_put_right(ground: Ground, version: object) -> None:
    open_store(ground.url).close()
    ground.raw.flags.update_one({"_id": "schema"}, {"$set": {"version": version}})
    open_store(ground.url).close()
    open_store(ground.url, create=False).close()


@real
@pytest.mark.parametrize(
    "options",
    [
        {"collation": {"locale": "en", "strength": 2}},
        {"capped": True, "size": 9},
        {"clusteredIndex": {"key": {"_id": 1}, "unique": True}, "expireAfterSeconds": 60},
    ],
)
def test_a_collection_of_another_kind_is_refused(ground: Ground, options: dict[str, Any]) -> None:
    """With a collation that ignores case, two ids would be one."""
    ground.raw.command({"create": "operations", **options})
    with pytest.raises(StoreUnsupported, match="not a plain collection"):
        open_store(ground.url)


@real
def test_documents_of_another_program_are_refused_and_left_alone(ground: Ground) -> None:
    theirs = {"npub": "n", "status": "unspent", "proofs": [], "transaction_type": "melted"}
    ground.raw.cashu_tokens.insert_one(dict(theirs))
    with pytest.raises(StoreUnsupported, match="not migrated"):
        open_store(ground.url)
    assert ground.raw.list_collection_names() == ["cashu_tokens"]
    assert ground.raw.cashu_tokens.count_documents(theirs) == 1
    assert "validator" not in ground.raw.cashu_tokens.options()


@real
def test_a_newer_release_is_not_overruled(ground: Ground) -> None:
    open_store(ground.url).close()
    ground.raw.flags.update_one({"_id": "schema"}, {"$set": {"version": 99}})
    ground.raw.command({"collMod": "tombstones", "validator": {"$jsonSchema": {"required": ["new"]}}})
    with pytest.raises(StoreUnsupported, match="newer release"):
        open_store(ground.url)
    assert "new" in str(ground.raw.tombstones.options())


@real
def test_what_the_url_says_about_concerns_does_not_weaken_a_write(ground: Ground) -> None:
    weak = "&w=1&journal=false&readConcernLevel=local&readPreference=secondaryPreferred&retryWrites=false"
    with open_store(ground.url + weak) as store:
        gateway = store._gateway  # type: ignore[attr-defined]
        assert gateway._database.write_concern == DURABLE
        assert gateway._database.read_concern.level == "majority"
        store.commit(batch_for(make_operation(), tokens=[make_token()]))
        assert [held.amount for held in store.balance(NPUB)] == [7]


@real
def test_every_index_is_used_under_its_name(ground: Ground) -> None:
    open_store(ground.url).close()
    for name in COLLECTIONS:
        stored = set(ground.raw[name].index_information())
        assert stored == {"_id_"} | {index.name for index in INDEXES if index.collection == name}


@pytest.mark.parametrize(
    "hello, version, words",
    [
        ({}, (6, 0, 5), "standalone"),
        ({"setName": "rs0"}, (5, 0, 9), "too old"),
        ({"setName": "rs0"}, (4, 4, 0), "too old"),
    ],
)
def test_servers_that_cannot_do_it(hello: dict[str, Any], version: tuple[int, ...], words: str) -> None:
    with pytest.raises(StoreUnsupported, match=words):
        check_server(hello, version)


@pytest.mark.parametrize("hello", [{"setName": "rs0"}, {"msg": "isdbgrid"}])
def test_servers_that_can(hello: dict[str, Any]) -> None:
    check_server(hello, (6, 0, 0))
    check_server(hello, (8, 2, 1))


def test_an_address_shows_no_password() -> None:
    place = address("mongodb://me:hunter%402@db1:1,db2:2/wallet?replicaSet=r&authSource=admin")
    assert place.shown == "mongodb://db1:1,db2:2/wallet?replicaSet=r" and place.database == "wallet"
    assert "hunter" not in repr(place)
    assert address("mongodb://db1").shown == "mongodb://db1:27017/nutstate"


@pytest.mark.parametrize(
    "url",
    [
        "mongodb://",
        "mongodb://me:hunter2@",
        "mongodb://me:hun/ter2@host",
        "mongodb://h:x/hunter2",
        "mongodb://h/?w=x&hunter2",
    ],
)
def test_a_url_that_is_none_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises((StoreUnsupported, StoreUnavailable)) as caught:
        open_store(url)
    assert "hunter2" not in str(caught.value) and "hunter2" not in repr(caught.value.__cause__)


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable, match="MongoDB"):
        open_store("mongodb://127.0.0.1:9/x?serverSelectionTimeoutMS=200")
