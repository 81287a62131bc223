"""The doctor on real MongoDB servers. What they cannot show stands in test_mongo_doctor_answers.py."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from nutstate._open_store import open_store
from nutstate.storage.doctor import examine
from nutstate.storage.errors import StoreUnsupported
from nutstate.storage.findings import Finding, Report
from nutstate.storage.local.node import PortTaken
from nutstate.storage.local.replica_set import Node, ReplicaSet
from nutstate.storage.mongo.doctor import examine as mongo_doctor
from nutstate.storage.mongo.doctor import server as mongo_doctor_server
from nutstate.storage.mongo.schema import COLLECTIONS
from nutstate.storage.testing.records import batch_for, make_operation, make_token
from tests.servers.mongod import replica_set, require_mongod

pytestmark = pytest.mark.real_mongo
PASSWORD = "hunter22"
MARK = "MARKER-never-to-be-shown"
Document = dict[str, Any]


def of(report: Report, check: str) -> list[Finding]:
    return [finding for finding in report.findings if finding.check == check]


def one(report: Report, check: str) -> Finding:
    (found,) = of(report, check)
    return found


def errors(report: Report) -> list[str]:
    assert report.healthy is not bool(report.of("error"))
    return [f"{finding.check}: {finding.text}" for finding in report.of("error")]


# -- a real replica set ----------------------------------------------------------------------------


@pytest.fixture
def empty(mongo_servers: ReplicaSet) -> Iterator[str]:
    """The URL of an empty database of its own."""
    url = mongo_servers.url(f"doctor_{random.getrandbits(40):x}")
    yield url
    with database(url) as db:
        db.client.drop_database(db.name)


@pytest.fixture
def url(empty: str) -> str:
    """A database of its own, made ready by ``open_store``, with one token in it."""
    with open_store(empty) as store:
        store.commit(batch_for(make_operation(), tokens=[make_token("a")]))
    return empty


@contextmanager
def database(url: str) -> Iterator[Database[Document]]:
    client: MongoClient[Document] = MongoClient(url)
    with client:
        yield client.get_default_database()


def snapshot(url: str) -> Any:
    with database(url) as db:
        shapes = sorted(db.list_collections(), key=lambda info: str(info["name"]))
        documents = [list(db[name].find().sort("_id")) for name in COLLECTIONS]
        return shapes, documents, [db[name].index_information() for name in COLLECTIONS]


def test_a_good_one_is_healthy_and_stays_as_it_is(url: str) -> None:
    before = snapshot(url)
    report = examine(url)
    assert errors(report) == [] and report.fixed == () and report.url == url
    assert {finding.check for finding in report.of("ok")} == {
        *("url", "encryption", "server", "storage engine", "journal", "concerns", "transactions", "clock"),
        *("compression", "collections", "validators", "indexes", "schema version", "documents", "machines"),
    }
    assert [finding.check for finding in report.of("warning")] == ["replica set"]
    assert "not available when it is down" in one(report, "replica set").text
    assert not report.of("unknown")
    assert "ms" in one(report, "round trip").text and one(report, "login").status == "info"
    assert examine(url, fix=True).fixed == () and snapshot(url) == before


def test_an_empty_database_is_made_ready_by_fix_only(empty: str) -> None:
    report = examine(empty)
    assert len(errors(report)) == len(COLLECTIONS) + 1
    assert all(finding.fixable for finding in report.of("error"))
    with database(empty) as db:
        assert db.list_collection_names() == []
    mended = examine(empty, fix=True)
    assert errors(mended) == [] and "made the collection operations" in mended.fixed
    assert "recorded schema version 2" in mended.fixed
    with open_store(empty, create=False) as store:
        store.commit(batch_for(make_operation()))


def drop_index(db: Database[Document]) -> None:
    db.operations.drop_index("claim_1")


def drop_validator(db: Database[Document]) -> None:
    db.command({"collMod": "cashu_tokens", "validator": {}})


def weaken_validator(db: Database[Document]) -> None:
    db.command({"collMod": "cashu_tokens", "validationAction": "warn"})


def loosen_validator(db: Database[Document]) -> None:
    db.command({"collMod": "cashu_tokens", "validationLevel": "moderate"})


def drop_collection(db: Database[Document]) -> None:
    db.drop_collection("tombstones")


def forget_version(db: Database[Document]) -> None:
    db.flags.delete_one({"_id": "schema"})


@pytest.mark.parametrize(
    "harm, found, done",
    [
        (drop_index, "indexes: operations.claim_1 is missing", "made the index operations.claim_1"),
        (drop_validator, "validators: cashu_tokens has no validator", "set the rules of cashu_tokens"),
        (weaken_validator, "validators: cashu_tokens does not enforce", "set the rules of cashu_tokens"),
        (loosen_validator, "validators: cashu_tokens does not enforce", "set the rules of cashu_tokens"),
        (drop_collection, "collections: tombstones is missing", "made the collection tombstones"),
        (forget_version, "schema version: the schema version is not", "recorded schema version 2"),
    ],
)
def test_what_is_missing_is_found_mended_and_then_gone(url: str, harm: Any, found: str, done: str) -> None:
    with database(url) as db:
        harm(db)
    (said,) = errors(examine(url))
    assert said.startswith(found)
    with pytest.raises(StoreUnsupported, match="doctor --fix"):
        open_store(url, create=False)
    mended = examine(url, fix=True)
    assert errors(mended) == [] and mended.fixed == (done,)
    again = examine(url, fix=True)
    assert errors(again) == [] and again.fixed == ()


def test_foreign_documents_stop_fix(url: str) -> None:
    with database(url) as db:
        drop_validator(db)
        drop_index(db)
        db.cashu_tokens.insert_one({"_id": "theirs", "transaction_type": "melted", "proofs": MARK})
        numbered = [{"transaction_id": n, "proofs": [{"secret": f"{MARK}{n}"}]} for n in range(7)]
        db.cashu_tokens.insert_many(numbered)
    before = snapshot(url)
    report = examine(url, fix=True)
    assert report.fixed == () and snapshot(url) == before
    found = one(report, "documents")
    assert "cashu_tokens: more than 5 documents break the rules: " in found.text and "theirs" in found.text
    assert "not everything was put right" in one(report, "fix").text
    assert MARK not in str(report.as_dict())


def test_documents_from_a_time_without_rules_are_found_after_the_rules_stand(url: str) -> None:
    with database(url) as db:
        weaken_validator(db)
        db.cashu_tokens.insert_one({"_id": "evil", "transaction_type": "melted"})
        db.cashu_tokens.insert_one({"_id": {"odd": MARK}, "transaction_id": "x"})
    report = examine(url, fix=True)
    assert report.fixed == ()  # strict rules over such documents would look fit
    said = next(line for line in errors(report) if "documents break the rules: " in line)
    assert "evil" in said and "(an id of type dict)" in said and MARK not in said
    with database(url) as db:
        db.cashu_tokens.delete_one({"_id": "evil"})
        db.cashu_tokens.delete_one({"transaction_id": "x"})
    assert examine(url, fix=True).fixed == ("set the rules of cashu_tokens",)
    assert examine(url).healthy


def test_duplicates_under_a_lost_unique_index_are_said_without_the_value(url: str) -> None:
    with database(url) as db:
        drop_index(db)
        (operation,) = db.operations.find()
        for name in ("one", "two"):
            db.operations.insert_one(operation | {"_id": name, "claim": MARK, "idempotency": None})
    report = examine(url, fix=True)
    assert "operations holds duplicates, so claim_1 cannot be made" in one(report, "fix").text
    assert MARK not in str(report.as_dict()) and report.fixed == ()


def test_another_index_is_left_as_it_is(url: str) -> None:
    with database(url) as db:
        drop_index(db)
        db.operations.create_index([("claim", 1)], name="claim_1")
    before = snapshot(url)
    report = examine(url, fix=True)
    assert "is another index under this name" in one(report, "indexes").text
    assert report.fixed == () and snapshot(url) == before


def test_a_newer_schema_is_left_as_it_is(url: str) -> None:
    """What else there is, is not compared with a release that does not know it."""
    with database(url) as db:
        drop_index(db)
        db.flags.update_one({"_id": "schema"}, {"$set": {"version": 99}})
    before = snapshot(url)
    report = examine(url, fix=True)
    (said,) = errors(report)
    assert "made by a newer release" in said and report.migration is None
    assert report.fixed == () and snapshot(url) == before


def test_reading_through_has_a_limit(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongo_doctor, "READ_THROUGH_S", 0.000_001)
    report = examine(url)
    assert report.healthy and {finding.status for finding in of(report, "documents")} == {"unknown"}


@pytest.mark.parametrize(
    "ahead_s, status, words",
    [
        (-5, "warning", "5.0 s behind"),
        (5, "warning", "5.0 s ahead of"),
        (99, "error", "more than a lease lasts"),
    ],
)
def test_clocks_that_differ(
    url: str, monkeypatch: pytest.MonkeyPatch, ahead_s: float, status: str, words: str
) -> None:
    monkeypatch.setattr(mongo_doctor_server, "wall_clock", lambda: time.time() + ahead_s)
    found = one(examine(url), "clock")
    assert found.status == status and words in found.text and "Money stays safe" in str(found.hint)


def test_the_wrong_set_name_is_said(mongo_servers: ReplicaSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongo_doctor, "CONNECT_S", 1.0)
    (said,) = errors(examine(mongo_servers.url().replace("replicaSet=rs0", "replicaSet=other")))
    assert said == "connection: the servers belong to rs0, the URL asks for another replica set"


def test_a_connection_lost_on_the_way_keeps_what_was_found(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongo_doctor, "LOOK_S", 0.000_001)
    report = examine(url)
    assert "the connection was lost while looking" in one(report, "connection").text
    assert one(report, "server").status == "ok" and not of(report, "collections")


# -- users -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaSet]:
    """A set that wants a password, its database made ready, and three more users."""
    parameters = {"transactionLifetimeLimitSeconds": "60"}
    with replica_set(tmp_path_factory.mktemp("locked"), auth=True, parameters=parameters) as started:
        open_store(started.url()).close()
        client: MongoClient[Document] = MongoClient(started.url())
        with client:
            for name, role in (("worker", "readWrite"), ("reader", "read")):
                roles = [{"role": role, "db": "nutstate"}]
                client.admin.command("createUser", name, pwd=PASSWORD, roles=roles)
            client.admin.command("createUser", "stranger", pwd=PASSWORD, roles=[])
        yield started


def as_user(locked: ReplicaSet, user: str, password: str = PASSWORD) -> str:
    login = f"{user}:{password}@" if user else ""
    return f"mongodb://{login}{locked.nodes[0].address}/nutstate?replicaSet=rs0&authSource=admin"


def test_the_owner_sees_everything(locked: ReplicaSet) -> None:
    report = examine(locked.url())
    assert errors(report) == [] and not report.of("unknown") and "@" not in report.url
    lifetime = one(report, "transactions")
    assert lifetime.status == "warning" and "up to 90 s" in lifetime.text
    assert "may write past the rules" in one(report, "rights").text


def test_a_user_with_the_least_rights_gets_unknown_and_no_error(locked: ReplicaSet) -> None:
    report = examine(as_user(locked, "worker"))
    assert errors(report) == []
    unknown = report.of("unknown")
    assert {f.check for f in unknown} == {"storage engine", "journal", "concerns", "transactions"}
    assert all("clusterMonitor" in str(finding.hint) for finding in unknown)
    assert one(report, "rights").status == one(report, "login").status == "ok"


@pytest.mark.parametrize(
    "user, password, said",
    [
        ("worker", "wrong", "login: the server refuses the user or the password"),
        ("nobody", PASSWORD, "login: the server refuses the user or the password"),
        ("", "", "login: the server wants a user and a password, and the URL has none"),
        ("reader", PASSWORD, "rights: this user may not insert, update in every collection of nutstate"),
    ],
)
def test_users_that_cannot_work(locked: ReplicaSet, user: str, password: str, said: str) -> None:
    report = examine(as_user(locked, user, password))
    assert errors(report) == [said]
    assert not [word for word in (PASSWORD, "wrong", "worker") if word in str(report.as_dict())]


def test_fix_touches_nothing_when_the_user_cannot_work(locked: ReplicaSet) -> None:
    report = examine(as_user(locked, "reader"), fix=True)
    fix = one(report, "fix")
    assert "nothing was changed, because of this: rights" in fix.text and report.fixed == ()


def test_a_user_without_any_right(locked: ReplicaSet) -> None:
    found = errors(examine(as_user(locked, "stranger")))
    assert found[-1] == "rights: this user may not read the database nutstate"


def test_fix_without_the_right_to_change_rules(locked: ReplicaSet) -> None:
    with database(locked.url()) as db:
        weaken_validator(db)
    report = examine(as_user(locked, "worker"), fix=True)
    fix = one(report, "fix")
    assert "this user may not" in fix.text and "dbAdmin" in str(fix.hint) and report.fixed == ()
    assert examine(locked.url(), fix=True).fixed == ("set the rules of cashu_tokens",)


# -- servers that are not as they should be --------------------------------------------------------


@contextmanager
def node(folder: Path, *options: str) -> Iterator[Node]:
    """One server with options of its own."""
    require_mongod()
    for tries_left in reversed(range(5)):
        started = Node(folder, random.SystemRandom().randrange(20_000, 32_000), options)
        try:
            started.start()
            break
        except PortTaken:
            if not tries_left:
                raise
    try:
        yield started
    finally:
        started.stop()


@pytest.mark.parametrize("option", ["", "&replicaSet=rs0"])
def test_a_standalone_is_refused_in_clear_words(
    tmp_path: Path, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongo_doctor, "CONNECT_S", 1.0)
    with node(tmp_path, "--wiredTigerCacheSizeGB", "0.25", "--nounixsocket") as alone:
        for fix in (False, True):
            (said,) = errors(examine(f"mongodb://{alone.address}/db?appName=x{option}", fix=fix))
            assert "is a standalone server and has no transactions" in said and "--replSet" in said


def test_a_set_never_made_and_zlib_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongo_doctor, "CONNECT_S", 1.0)
    options = ("--replSet", "rs0", "--wiredTigerCacheSizeGB", "0.25", "--nounixsocket")
    with node(tmp_path, *options) as alone:  # offering zlib is MongoDB's default
        url = f"mongodb://{alone.address}/db?replicaSet=rs0"
        report = examine(url)
        assert "its replica set was never made" in errors(report)[0]
        assert "rs.initiate()" in str(one(report, "replica set").hint)
        client: MongoClient[Document] = MongoClient(f"mongodb://{alone.address}/?directConnection=true")
        with client:
            client.admin.command(
                "replSetInitiate", {"_id": "rs0", "members": [{"_id": 0, "host": alone.address}]}
            )
        monkeypatch.setattr(mongo_doctor, "CONNECT_S", 30.0)
        report = examine(url, fix=True)
        assert errors(report) == []
        zlib = one(report, "compression")
        assert zlib.status == "warning" and "CVE-2025-14847" in zlib.text and "snappy,zstd" in str(zlib.hint)
        assert one(report, "transactions").status == "warning"  # 60 s is MongoDB's default


@pytest.mark.skipif(os.name == "nt", reason="a process cannot be frozen there")
def test_a_server_that_hangs_is_one_clear_error_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongo_doctor, "CONNECT_S", 1.0)
    with replica_set(tmp_path) as servers:
        servers.nodes[0].freeze()
        begun = time.monotonic()
        (said,) = errors(examine(servers.url(), fix=True))
        assert said == f"connection: no server answers: {servers.nodes[0].address} does not answer"
        assert time.monotonic() - begun < 15


@pytest.mark.slow
def test_three_members_one_after_the_other_goes_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongo_doctor, "CONNECT_S", 15.0)
    with replica_set(tmp_path, nodes=3, election_timeout_ms=1_000) as servers:
        good = examine(servers.url(), fix=True)
        assert errors(good) == [] and "3 members" in one(good, "replica set").text
        assert one(good, "replica set").status == "ok" and not good.of("warning")

        secondary = servers.secondaries()[0]
        direct = examine(f"mongodb://{secondary.address}/nutstate?directConnection=true")
        assert one(direct, "url").status == "warning"
        assert "a member that takes no writes" in of(direct, "replica set")[0].text

        secondary.stop()
        deadline = time.monotonic() + 20
        while (hurt := one(examine(servers.url()), "replica set")).status == "ok":
            assert time.monotonic() < deadline
        assert hurt.status == "warning" and f"down: {secondary.address} (DOWN)" in hurt.text
        assert "2 must confirm a write and 2 can" in hurt.text

        servers.secondaries()[0].stop()
        monkeypatch.setattr(mongo_doctor, "CONNECT_S", 2.0)
        monkeypatch.setattr(mongo_doctor, "LOOK_S", 2.0)
        deadline = time.monotonic() + 40
        while "no primary" not in (said := " ".join(errors(report := examine(servers.url())))):
            assert time.monotonic() < deadline, said
        assert servers.nodes[0].address in said and "majority" in str(one(report, "connection").hint)
