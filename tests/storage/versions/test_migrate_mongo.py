"""A database that a release of schema 1 left becomes one of this release, step by step, with a journal."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import WriteError

from nutstate import open_store
from nutstate.engine.audit.verify import verify_all
from nutstate.storage.doctor import examine
from nutstate.storage.errors import StoreUnsupported
from nutstate.storage.findings import Report
from nutstate.storage.mongo import migrate as migration
from nutstate.storage.mongo.schema import MONGO_SCHEMA_VERSION
from nutstate.storage.mongo.setup import problems
from nutstate.storage.port import OperationQuery
from nutstate.storage.rules.machines import Machines
from nutstate.storage.schema_1 import EMPTY, fields_of_schema_1
from tests.fixtures.stores.make import AUDIT_KEY
from tests.support.releases import SCHEMA_1, goes, restore_schema_1

pytestmark = pytest.mark.real_mongo
Document = dict[str, Any]
PARTS = ("journal", *(step.name for step in migration.STEPS), "end")


@pytest.fixture
def database(fresh_database: str) -> Iterator[Database[Document]]:
    """What the release of schema 1 left, on a real server."""
    with MongoClient[Document](fresh_database) as client:
        restore_schema_1(client.get_default_database())
        yield client.get_default_database()


def doctor(url: str, *, fix: bool = False, machines: Machines = SCHEMA_1) -> Report:
    return examine(url, fix=fix, machines=machines)


def everything(database: Database[Document]) -> dict[str, list[Document]]:
    """Every document, by collection."""
    names = sorted(database.list_collection_names())
    return {name: list(database[name].find().sort("_id")) for name in names}


def check_owners(database: Database[Document]) -> None:
    """R604: every document says whose wallet it belongs to."""
    owners = {operation["_id"]: operation["npub"] for operation in database.operations.find()}
    for document in database.audit_log.find():
        assert document["npub"] == owners[document["operation_id"]]
    assert {d["npub"] for d in database.tombstones.find()} == {
        owners[d["_id"]] for d in database.tombstones.find()
    }


def check_moved(database: Database[Document], before: dict[str, list[Document]]) -> None:
    """R615, R618: the tokens have the keys that the old index had for them, operations their duplicate
    windows, and both collections are gone."""
    held = {
        key: token["transaction_id"] for token in database.cashu_tokens.find() for key in token["proof_keys"]
    }
    assert held == {entry["_id"]: entry["token_id"] for entry in before["proof_index"]} != {}
    windows = {op["dedup"]["key"]: op for op in database.operations.find({"dedup": {"$exists": True}})}
    assert windows.keys() == {window["_id"] for window in before["dedup"]} != set()
    for window in before["dedup"]:
        operation = windows[window["_id"]]
        assert operation["_id"] == window["operation_id"]
        assert operation["dedup"]["until"] == window["expires_at"]
    assert not {"proof_index", "dedup"} & set(database.list_collection_names())


def kept(found: dict[str, list[Document]], before: dict[str, list[Document]]) -> dict[str, list[Document]]:
    """What a migration must not change: everything but its additions to operations, and owners elsewhere."""
    moved = ("machines", "flags", "proof_index", "dedup")
    same = {name: documents for name, documents in found.items() if name not in moved}
    same["cashu_tokens"] = [
        {name: value for name, value in document.items() if name != "proof_keys"}
        for document in same["cashu_tokens"]
    ]
    for collection in ("audit_log", "tombstones"):
        same[collection] = [
            {name: value for name, value in document.items() if name != "npub"}
            for document in same[collection]
        ]
    same["operations"] = [
        {
            name: value
            for name, value in (dict(EMPTY) | document | fields_of_schema_1(document.get("data", {}))).items()
            if name in old and name not in ("schema_version", "lease")
        }
        for document, old in zip(found["operations"], before["operations"], strict=True)
    ]
    return same


def test_r419_an_older_database_is_not_opened_and_the_error_says_what_to_do(
    fresh_database: str, database: Database[Document]
) -> None:
    """R419: neither by a program that makes what is missing nor by one that does not."""
    before = everything(database), list(database.list_collections())
    for create in (True, False):
        with pytest.raises(StoreUnsupported, match="nutstate doctor --fix --store mongodb://") as caught:
            open_store(fresh_database, machines=SCHEMA_1, create=create)
        assert caught.value.details == {"schema_version": 1, "wanted": MONGO_SCHEMA_VERSION}
    assert (everything(database), list(database.list_collections())) == before


def test_r419_a_newer_database_says_that_this_release_is_too_old(fresh_database: str) -> None:
    """R419: the other direction."""
    open_store(fresh_database).close()
    with MongoClient[Document](fresh_database) as client:
        client.get_default_database().flags.update_one({"_id": "schema"}, {"$inc": {"version": 1}})
    with pytest.raises(StoreUnsupported, match="too old for it"):
        open_store(fresh_database)
    report = doctor(fresh_database, fix=True)
    assert not report.healthy and report.fixed == () and report.migration is None


def test_r420_fix_migrates_and_reports_it(fresh_database: str, database: Database[Document]) -> None:
    """R420: the plan without --fix, the deed with it; every document as it was, and what is new in it."""
    before = everything(database)
    plan = doctor(fresh_database)
    (error,) = plan.of("error")
    assert error.check == "schema version" and error.fixable and "mongodump" in str(error.hint)
    assert plan.migration is not None and not plan.migration.done and everything(database) == before
    report = doctor(fresh_database, fix=True)
    assert report.healthy and report.fixed == (f"migrated the database to schema {MONGO_SCHEMA_VERSION}",)
    assert report.migration is not None and report.migration.done
    assert report.migration.steps == plan.migration.steps == tuple(s.text for s in migration.STEPS)
    assert kept(everything(database), before) == kept(before, before)
    check_owners(database)
    check_moved(database, before)
    terms = {d["_id"]: d["lease"]["fence"] for d in before["operations"]}
    assert {d["_id"]: d["lease"]["term"] for d in database.operations.find()} == terms, "R516"
    assert database.flags.find_one({"_id": "schema"}) == {"_id": "schema", "version": MONGO_SCHEMA_VERSION}
    assert problems(database, SCHEMA_1) == [] and doctor(fresh_database).migration is None
    with open_store(fresh_database, machines=SCHEMA_1, create=False) as store:
        found = store.operations(OperationQuery(limit=1000))
        told = {op.state: (op.kind_of_state, op.ends) for op in found}
        assert told["cancelled"] == ("final", "unpaid") and told["attention"] == ("parked", "")
        assert verify_all(store, AUDIT_KEY).holds
        live = next(op for op in found if op.kind == "melt" and op.state == "prepared")
        assert goes(store, live, "cancelled", SCHEMA_1).ends == "unpaid"


def test_r420_a_migrated_database_is_declared_like_a_new_one(
    fresh_database: str, database: Database[Document]
) -> None:
    """R420, R544: collections, validators and indexes."""
    doctor(fresh_database, fix=True)
    other = f"{database.name}-new"
    url = fresh_database.replace(database.name, other)
    open_store(url, machines=SCHEMA_1).close()
    new = database.client[other]
    try:
        assert _shape(database) == _shape(new)
    finally:
        database.client.drop_database(other)


def _shape(database: Database[Document]) -> Document:
    return {
        info["name"]: (info["options"], sorted(database[info["name"]].index_information()))
        for info in database.list_collections()
    }


_KILLED = """
import os, signal, sys
from pymongo import MongoClient
from nutstate.storage.mongo.migrate import migrate
from tests.support.releases import SCHEMA_1

def reached(name):
    if name == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

migrate(MongoClient(sys.argv[1]).get_default_database(), SCHEMA_1, reached)
"""


@pytest.mark.parametrize("part", PARTS)
def test_r421_killed_before_any_step_it_goes_on_the_next_time(
    fresh_database: str, database: Database[Document], part: str
) -> None:
    """R421: ``kill -9`` between two steps; no program opens what is half done, and the next run finishes
    it."""
    before = everything(database)
    killed = subprocess.run([sys.executable, "-c", _KILLED, fresh_database, part], check=False)
    assert killed.returncode == -signal.SIGKILL
    words = "has schema 1" if part == "journal" else "a migration from schema 1 to 2 was interrupted"
    for create in (True, False):
        with pytest.raises(StoreUnsupported, match=words) as caught:
            open_store(fresh_database, machines=SCHEMA_1, create=create)
        assert "nutstate doctor --fix" in caught.value.message
    plan = doctor(fresh_database)
    assert plan.migration is not None and not plan.migration.done and not plan.healthy
    report = doctor(fresh_database, fix=True)
    assert report.healthy and report.migration is not None and report.migration.done
    assert kept(everything(database), before) == kept(before, before)
    check_owners(database)
    check_moved(database, before)
    assert problems(database, SCHEMA_1) == []
    with open_store(fresh_database, machines=SCHEMA_1, create=False) as store:
        assert verify_all(store, AUDIT_KEY).holds


def test_r421_half_of_the_operations_moved_is_no_obstacle(
    fresh_database: str, database: Database[Document]
) -> None:
    """R421: also inside a step, between two documents."""
    steps = {step.name: step for step in migration.STEPS}
    database.flags.update_one(
        {"_id": "schema"},
        {"$set": {"version": 2, "migrating": {"from": 1, "done": ["machines", "rules"]}}},
    )
    for name in ("machines", "rules", "operations"):
        steps[name].run(database, SCHEMA_1)
    undone = [document["_id"] for document in database.operations.find().sort("_id")][:5]
    database.command({"collMod": "operations", "validationLevel": "off"})
    database.operations.update_many({"_id": {"$in": undone}}, {"$unset": {"kind_of_state": "", "ends": ""}})
    database.command({"collMod": "operations", "validationLevel": "strict"})
    assert doctor(fresh_database, fix=True).healthy
    assert not database.operations.count_documents({"kind_of_state": {"$exists": False}})


def test_r421_several_migrate_at_once(fresh_database: str, database: Database[Document]) -> None:
    """R421: each step may be done twice."""
    program = _KILLED.replace("sys.argv[2]", "None")
    children = [subprocess.Popen([sys.executable, "-c", program, fresh_database]) for _ in range(3)]
    assert [child.wait() for child in children] == [0, 0, 0]
    assert doctor(fresh_database).healthy


def test_r421_a_program_of_schema_1_that_is_still_open_can_write_no_operation(
    fresh_database: str, database: Database[Document]
) -> None:
    """R421: from the step "rules" on the server refuses the form of before."""
    old = database.operations.find_one({"state": "prepared"}) or {}
    doctor(fresh_database, fix=True)
    with pytest.raises(WriteError):
        database.operations.insert_one({**old, "_id": "another", "claim": None, "quote": None})
    step = {"state": "cancelled", "prev_state": "prepared", "version": old["version"] + 1}
    with pytest.raises(WriteError):
        database.operations.update_one({"_id": old["_id"]}, {"$set": step | {"quote_open": False}})


def test_r422_an_operation_of_an_unknown_machine_stops_it_before_anything(
    fresh_database: str, database: Database[Document]
) -> None:
    """R422: what its states are is not known here, so nothing is guessed and nothing is changed."""
    before = everything(database), list(database.list_collections())
    without = Machines(v for v in SCHEMA_1.versions if v.name != "mint")
    report = doctor(fresh_database, fix=True, machines=without)
    said = [finding.text for finding in report.of("error") if finding.check == "fix"]
    assert "mint@1 (tx_mint_" in said[0] and "nothing was changed" in said[0] and report.fixed == ()
    assert (everything(database), list(database.list_collections())) == before
