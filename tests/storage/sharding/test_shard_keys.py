"""The servers of a cluster accept our shard keys with our unique indexes, and ``doctor --shard`` gets a
database there. A config server and a shard are real; the commands that mongos would send are sent by the
test."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import OperationFailure, WriteError

from nutstate.storage.errors import StoreUnsupported
from nutstate.storage.mongo.client import ClientGateway
from nutstate.storage.mongo.doctor.shard import Mongos, apply, plan, verify
from nutstate.storage.mongo.keys import held_by
from nutstate.storage.mongo.schema import ATTEMPTS, FLAGS, INDEXES, KEYS, OPERATIONS, TOKENS
from nutstate.storage.mongo.setup import create, create_index, problems
from nutstate.storage.mongo.shards import CLUSTER_INDEXES, OWNER, SHARD_KEYS, SHARDING, check_sharding
from nutstate.storage.mongo.store import MongoStore
from nutstate.storage.records import Quote
from nutstate.storage.rules.machines import BUILT_IN
from nutstate.storage.testing.records import batch_for, make_operation, make_token
from tests.servers.config_server import Shard, config_server_and_shard

pytestmark = pytest.mark.real_mongo
Document = dict[str, Any]
LOST = [index for index in INDEXES if index.unique and index.keys[0][0] != OWNER]
"""The unique indexes of one replica set that a cluster cannot keep."""


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shard]:
    with config_server_and_shard(tmp_path_factory.mktemp("config")) as running:
        yield running


@pytest.fixture(scope="module")
def filled(shard: Shard) -> Database[Document]:
    """A database as one replica set has it, with money of two wallets."""
    database = shard.database("filled")
    create(database, BUILT_IN)
    with _store(database) as store:
        for name in "ab":
            quote = Quote(f"quote-{name}", 100, 2, 9)
            op = make_operation(f"tx-{name}", npub=f"npub1{name}", claim=f"{name}" * 64, quote=quote)
            store.commit(batch_for(op, tokens=[make_token(f"t-{name}", npub=f"npub1{name}")]))
    return database


def _store(database: Database[Document]) -> MongoStore:
    host, port = database.client.address or ("", 0)
    client = MongoClient[Document](host, port, directConnection=True)
    return MongoStore("mongodb://shard", ClientGateway(client, database.name))


def documents(database: Database[Document]) -> dict[str, list[Document]]:
    return {name: list(database[name].find(sort=[("_id", 1)])) for name in SHARD_KEYS if name != KEYS}


def test_r585_a_database_is_sharded_without_rewriting_a_document(
    shard: Shard, filled: Database[Document]
) -> None:
    """R585: ``apply`` gives every collection its shard key and the indexes of a cluster, fills
    ``global_keys`` from what the documents hold, and changes none of them. ``verify`` finds nothing wrong."""
    before, wanted = documents(filled), plan(filled, BUILT_IN, shard, "url")
    assert wanted.state == "replica set" and not wanted.needs and wanted.healthy
    assert all(collection.steps for collection in wanted.collections)
    assert documents(filled) == before, "plan changes nothing"
    report = apply(filled, BUILT_IN, shard, "url")
    assert report.state == "sharded" and report.faults == () and report.done
    assert documents(filled) == before
    assert verify(filled, BUILT_IN, shard, "url").healthy
    again = plan(filled, BUILT_IN, shard, "url")
    assert [c.steps for c in again.collections] == [()] * len(SHARD_KEYS)


@pytest.mark.parametrize("collection", SHARD_KEYS)
def test_r586_the_server_accepts_each_shard_key(
    shard: Shard, filled: Database[Document], collection: str
) -> None:
    """R586: the servers accept the shard key of each collection together with its unique indexes, and keep
    these indexes afterwards."""
    apply(filled, BUILT_IN, shard, "url")
    assert shard.shard_keys("filled")[collection] == SHARD_KEYS[collection]
    stored = filled[collection].index_information()
    unique = {i.name for i in CLUSTER_INDEXES if i.collection == collection and i.unique}
    assert unique <= {name for name, found in stored.items() if found.get("unique")}


@pytest.mark.parametrize("index", LOST, ids=lambda index: index.name)
def test_r586_the_server_refuses_what_one_replica_set_keeps(shard: Shard, index: Any) -> None:
    """R586, the control: with one of the unique indexes that do not begin with the shard key the server
    refuses; so the test above says something."""
    name = f"refused-{index.name.replace('.', '-')[:30]}"
    database = shard.database(name)
    create(database, BUILT_IN)
    for other in LOST:
        if other != index and other.collection == index.collection:
            database[other.collection].drop_index(other.name)
    command = {"shardCollection": f"{name}.{index.collection}", "key": SHARD_KEYS[index.collection]}
    with pytest.raises(OperationFailure):
        shard.command(command)
    database[index.collection].drop_index(index.name)
    for made in CLUSTER_INDEXES:
        if made.collection == index.collection:
            create_index(database, made)
    assert shard.command(command)["ok"] == 1


def test_r587_the_global_keys_are_those_of_the_documents(shard: Shard, filled: Database[Document]) -> None:
    """R587: ``verify`` names the documents that hold a key which is not in ``global_keys``, or is there for
    another wallet; ``global_keys`` holds one key for each operation, claim, open quote, token and proof."""
    apply(filled, BUILT_IN, shard, "url")
    keys = {entry["_id"]: entry[OWNER] for entry in filled[KEYS].find()}
    held = {key: op[OWNER] for op in filled[OPERATIONS].find() for key in held_by(op)}
    for token in filled[TOKENS].find():
        held[f"token|{token['transaction_id']}"] = token[OWNER]
        held |= {f"proof|{sha256(p['secret'].encode()).hexdigest()}": token[OWNER] for p in token["proofs"]}
    assert keys == held and len(keys) == 2 * (1 + 1 + 1 + 1 + 3)
    gone = filled[KEYS].find_one_and_delete({"_id": "claim|" + "a" * 64})
    assert gone is not None
    (fault,) = verify(filled, BUILT_IN, shard, "url").faults
    assert fault == "1 documents hold a key that is not in global_keys, of tx-a"
    filled[KEYS].insert_one(gone | {OWNER: "npub1b"})
    (fault,) = verify(filled, BUILT_IN, shard, "url").faults
    assert fault == "1 documents hold a key that another wallet has in global_keys, of tx-a"
    filled[KEYS].replace_one({"_id": gone["_id"]}, gone)
    assert verify(filled, BUILT_IN, shard, "url").healthy


class _Interrupted(Exception):
    pass


@pytest.mark.parametrize("word", ["close", "fill", "drop", "make", "shard", "open"])
def test_r588_an_interrupted_apply_is_finished_by_the_next(shard: Shard, word: str) -> None:
    """R588: at whatever kind of step ``apply`` ends, no program opens the database, and the next run goes on
    to the same end."""
    database = shard.database(f"interrupted-{word}")
    create(database, BUILT_IN)
    with _store(database) as store:
        store.commit(batch_for(make_operation(claim="c" * 64), tokens=[make_token("t")]))
    before = documents(database)

    def reached(step: str) -> None:
        if word in step.split(": ", 1)[-1].split():
            raise _Interrupted

    with pytest.raises(_Interrupted):
        apply(database, BUILT_IN, shard, "url", reached)
    if word != "close":
        with pytest.raises(StoreUnsupported, match="being sharded"):
            check_sharding(database, {"msg": "isdbgrid"})
    report = apply(database, BUILT_IN, shard, "url")
    assert report.healthy and report.state == "sharded" and verify(database, BUILT_IN, shard, "url").healthy
    after = documents(database)
    assert {name: after[name] for name in before if name != ATTEMPTS} == {
        name: before[name] for name in before if name != ATTEMPTS
    }


def test_r552_the_server_forgets_committed_attempts_and_keeps_revoked_ones(
    shard: Shard, filled: Database[Document]
) -> None:
    """R552: the server deletes a committed attempt whose time is long past. The rules want a time in it, and
    refuse one in a revoked attempt, so the server never deletes that. Another age is told."""
    apply(filled, BUILT_IN, shard, "url")
    attempts = filled[ATTEMPTS]
    name: Document = {OWNER: "npub1a", "op": "tx-a"}
    old = datetime(1990, 1, 1, tzinfo=UTC)
    for wrong in ({"ended": "committed"}, {"ended": "revoked", "at": old}, {"ended": "committed", "at": 1}):
        with pytest.raises(WriteError):
            attempts.insert_one({"_id": "wrong", **name, **wrong})
    attempts.insert_one({"_id": "revoked", **name, "ended": "revoked"})
    attempts.insert_one({"_id": "today", **name, "ended": "committed", "at": datetime.now(UTC)})
    attempts.insert_one({"_id": "old", **name, "ended": "committed", "at": old})
    filled.client.admin.command("setParameter", 1, ttlMonitorSleepSecs=1)
    deadline = time.monotonic() + 90
    while attempts.find_one({"_id": "old"}) is not None and time.monotonic() < deadline:
        time.sleep(0.1)
    assert {found["_id"] for found in attempts.find()} == {"revoked", "today"}
    assert not problems(filled, BUILT_IN)
    attempts.drop_index("attempt_forgotten")
    attempts.create_index("at", name="attempt_forgotten", expireAfterSeconds=1)
    assert [problem.name for problem in problems(filled, BUILT_IN)] == [f"{ATTEMPTS}.attempt_forgotten"]
    attempts.drop_index("attempt_forgotten")
    create(filled, BUILT_IN)
    assert not problems(filled, BUILT_IN)
    attempts.delete_many({})


def test_r589_a_replica_set_is_told_what_it_needs(mongo_servers: Any, fresh_database: str) -> None:
    """R589: against one replica set ``plan`` shows the whole way, and ``apply`` changes nothing and says that
    it needs mongos."""
    with MongoClient[Document](fresh_database) as client:
        database = client.get_default_database()
        create(database, BUILT_IN)
        wanted = plan(database, BUILT_IN, Mongos(client), "url")
        assert any("mongos" in need for need in wanted.needs) and wanted.state == "replica set"
        assert {c.name for c in wanted.collections} == set(SHARD_KEYS)
        operations = next(c for c in wanted.collections if c.name == OPERATIONS)
        assert "drop the index claim_1" in operations.steps and "shard it by {npub: 1}" in operations.steps
        with pytest.raises(StoreUnsupported, match=r"nothing was changed.*mongos"):
            apply(database, BUILT_IN, Mongos(client), "url")
        assert database[FLAGS].find_one({"_id": SHARDING}) is None
        assert database[OPERATIONS].index_information().keys() >= {"claim_1"}
        assert not verify(database, BUILT_IN, Mongos(client), "url").healthy


def test_r590_a_sharded_database_is_opened_through_mongos_only(
    shard: Shard, filled: Database[Document]
) -> None:
    """R590: a program that reaches one shard of a sharded database is refused: wallets of other shards would
    look empty there."""
    apply(filled, BUILT_IN, shard, "url")
    with _store(filled) as store:
        gateway = store._gateway
        assert isinstance(gateway, ClientGateway)
        with pytest.raises(StoreUnsupported, match="connect to mongos"):
            gateway.prepare(create_missing=False, machines=BUILT_IN)


def test_r588_documents_without_an_owner_stand_in_the_way(shard: Shard) -> None:
    """R588: ``apply`` begins only when every document says whose wallet it belongs to."""
    database = shard.database("unowned")
    create(database, BUILT_IN)
    with _store(database) as store:
        store.commit(batch_for(make_operation()))
    past_rules: dict[str, Any] = {"bypass_document_validation": True}
    database["audit_log"].update_one({}, {"$unset": {OWNER: 1}}, **past_rules)
    (wrong,) = (c.wrong for c in plan(database, BUILT_IN, shard, "url").collections if c.wrong)
    assert "whose wallet" in wrong[0]
    with pytest.raises(StoreUnsupported, match="audit_log"):
        apply(database, BUILT_IN, shard, "url")
