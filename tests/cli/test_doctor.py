"""``nutstate doctor``: the table, the verdict, the exit code, one JSON document, and no password."""

from __future__ import annotations

import json
import os
import random
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import attrs
import pytest
from click.testing import CliRunner
from pymongo import MongoClient

from nutstate.cli import app
from nutstate.storage.local.replica_set import ReplicaSet
from nutstate.storage.mongo.doctor import shard
from nutstate.storage.mongo.doctor.shard import Collection, ShardReport
from tests.servers.mongod import replica_set

from .conftest import Ran, Wallet, dump

MARKS = {"✓ ok", "i info", "! warning", "✗ error", "? unknown"}


def doctor(store: str, *args: str) -> Ran:
    done = CliRunner().invoke(app, ["doctor", "--store", store, *args])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return Ran(done.exit_code, done.stdout, done.stderr)


def change(file: Path, statement: str) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as db:
        db.execute(statement)


def test_a_good_wallet(wallet: Wallet) -> None:
    before = dump(wallet.file)
    ran = wallet.run("doctor")
    lines = ran.out.splitlines()
    assert ran.code == 0 and ran.err == "" and lines[0] == wallet.url
    assert lines[-1].startswith("Fit to keep money in")
    rows = [line for line in lines[2:-1] if not line.strip().startswith("→")]
    assert {" ".join(row.split()[:2]) for row in rows} <= MARKS and len(rows) >= 12
    assert dump(wallet.file) == before


def test_a_good_wallet_as_json(wallet: Wallet) -> None:
    ran = wallet.run("doctor", "--json")
    document = ran.json
    assert ran.code == 0 and document.keys() == {
        *("url", "healthy", "findings", "fixed", "migration", "verdict")
    }
    assert document["healthy"] is True and document["fixed"] == []
    for finding in document["findings"]:
        assert finding.keys() == {"check", "status", "text", "hint", "fixable"}
        assert finding["status"] in {mark.split()[1] for mark in MARKS}


def test_no_wallet_yet_and_none_is_made(empty: Wallet) -> None:
    for args in ((), ("--fix",), ("--json",)):
        ran = empty.run("doctor", *args)
        assert ran.code == 1 and "there is no store" in ran.out and ran.err == ""
    assert list(empty.folder.iterdir()) == []


def test_fix_is_suggested_done_and_told(wallet: Wallet) -> None:
    change(wallet.file, "DROP INDEX operation_claim")
    ran = wallet.run("doctor")
    assert ran.code == 1 and "✗ error" in ran.out and "the index operation_claim is missing" in ran.out
    assert "`nutstate doctor --fix` puts it right." in ran.out
    assert ran.out.splitlines()[-1] == "Not fit to keep money in. 1 error: rules."
    mended = wallet.run("doctor", "--fix")
    assert mended.code == 0 and "fixed: made the index operation_claim" in mended.out
    again = wallet.run("doctor", "--fix")
    assert again.code == 0 and "Nothing was fixed." in again.out
    change(wallet.file, "DROP INDEX operation_claim")
    assert wallet.run("doctor", "--fix", "--json").json["fixed"] == ["made the index operation_claim"]


@pytest.mark.skipif(os.name == "nt", reason="file modes are those of POSIX")
def test_some_is_mended_and_the_rest_is_said(wallet: Wallet) -> None:
    wallet.file.chmod(0o644)
    change(wallet.file, "DROP TABLE dedup")
    ran = wallet.run("doctor", "--store", wallet.url)
    assert f"`nutstate doctor --fix --store {wallet.url}` puts 1 of these errors right" in ran.out
    mended = wallet.run("doctor", "--fix")
    assert mended.code == 1 and "fixed: took the access" in mended.out and "the table dedup" in mended.out


def test_a_hint_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nutstate.storage.mongo.doctor.examine.CONNECT_S", 0.5)
    ran = doctor("mongodb://127.0.0.1:1/db?w=1&journal=false&readPreference=nearest")
    assert ran.out.count("! warning  url") == 3 and ran.out.count("nutstate overrides it") == 1


def test_an_option_the_driver_does_not_know_is_refused() -> None:
    ran = doctor("mongodb://127.0.0.1/db?hunter22=1")
    assert ran.code == 1 and "[STORE_UNSUPPORTED]" in ran.err and "hunter22" not in ran.err


def test_memory_is_not_for_money() -> None:
    ran = doctor("memory://")
    assert ran.code == 1 and "i info" in ran.out and ran.out.splitlines()[-1].startswith("Not fit")


@pytest.mark.parametrize("args", [(), ("--json",)])
def test_a_password_is_never_shown(args: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nutstate.storage.mongo.doctor.examine.CONNECT_S", 0.5)
    store = "mongodb://somebody:hunter22@127.0.0.1:1/db?replicaSet=rs0&authSource=admin"
    ran = doctor(store, "--fix", *args)
    assert ran.code == 1 and "does not listen" in ran.out and "Traceback" not in ran.err
    assert "hunter22" not in ran.out + ran.err and "somebody" not in ran.out + ran.err
    if args:
        assert json.loads(ran.out)["url"] == "mongodb://127.0.0.1:1/db?replicaSet=rs0"


@pytest.mark.disk
def test_a_terminal_that_is_narrow_and_hostile_text(wallet: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    change(wallet.file, 'CREATE TRIGGER "evil\x1b[2J" AFTER INSERT ON dedup BEGIN SELECT 1; END')
    ran = wallet.run("doctor")
    assert ran.code == 0 and "\x1b" not in ran.out and "1 warning" in ran.out.splitlines()[-1]


# -- a real MongoDB --------------------------------------------------------------------------------


@pytest.mark.real_mongo
def test_mongodb_from_empty_to_fit(mongo_servers: ReplicaSet) -> None:
    url = mongo_servers.url(f"doctor_{random.getrandbits(40):x}")
    first = doctor(url)
    assert first.code == 1 and "puts all of it right" in first.out
    mended = doctor(url, "--fix")
    assert mended.code == 0 and "fixed: made the collection cashu_tokens" in mended.out
    client: MongoClient[dict[str, object]] = MongoClient(url)
    with client:
        client.get_default_database().tombstones.drop()
        document = doctor(url, "--json").json
        assert document["healthy"] is False and document["verdict"].endswith("1 error: collections.")
        assert doctor(url, "--json", "--fix").json["fixed"] == ["made the collection tombstones"]
        client.drop_database(client.get_default_database())


@pytest.mark.real_mongo
def test_mongodb_with_a_password_shows_none_of_it(tmp_path: Path) -> None:
    with replica_set(tmp_path, auth=True) as servers:
        password = servers.url().partition("@")[0].rpartition(":")[2]
        for args in (("--fix",), ("--json",), ()):
            ran = doctor(servers.url(), *args)
            assert ran.code == 0 and password not in ran.out + ran.err
        wrong = servers.url().replace(password, "hunter22")
        ran = doctor(wrong)
        assert ran.code == 1 and "refuses the user or the password" in ran.out and "hunter22" not in ran.out


@pytest.mark.real_mongo
def test_r589_the_way_to_a_cluster(mongo_servers: ReplicaSet) -> None:
    """R589: ``doctor --shard plan`` shows the way on one replica set too; ``apply`` changes nothing there and
    says what it needs; ``verify`` says that nothing is sharded."""
    url = mongo_servers.url(f"doctor_{random.getrandbits(40):x}")
    assert doctor(url, "--fix").code == 0
    shown = doctor(url, "--shard", "plan")
    assert (
        shown.code == 0
        and "shard it by {npub: 1}" in shown.out
        and "apply needs: a connection to mongos" in (" ".join(shown.out.split()))
    )
    plan = doctor(url, "--shard", "plan", "--json").json
    assert plan["state"] == "replica set" and len(plan["collections"]) == 6 and plan["healthy"]
    refused = doctor(url, "--shard", "apply")
    assert refused.code == 1 and "nothing was changed" in refused.err and "mongos" in refused.err
    wrong = doctor(url, "--shard", "verify")
    assert wrong.code == 1 and wrong.out.splitlines()[0] == "The cluster is not as it must be."
    assert "is not sharded" in wrong.out and "shard it by" not in wrong.out
    assert doctor(url, "--shard", "plan", "--fix").code == 2
    with MongoClient[dict[str, object]](url) as client:
        client.drop_database(client.get_default_database())


@pytest.mark.real_mongo
def test_r622_shard_says_once_why_doctor_must_fix_first(mongo_servers: ReplicaSet) -> None:
    """R622: on an empty database ``plan`` and ``apply`` name ``doctor --fix`` once, with the first reasons
    and the number of the others."""
    url = mongo_servers.url(f"doctor_{random.getrandbits(40):x}")
    shown = " ".join(doctor(url, "--shard", "plan").out.split())
    assert shown.count("`nutstate doctor --fix` first") == 1
    assert "first: the schema version is not recorded; " in shown
    assert re.search(r"; and \d+ more", shown)
    refused = doctor(url, "--shard", "apply")
    assert refused.code == 1 and "nothing was changed" in refused.err
    assert refused.err.count("`nutstate doctor --fix` first") == 1


def test_r589_only_a_mongodb_is_sharded(wallet: Wallet) -> None:
    """R589: SQLite is told so."""
    ran = wallet.run("doctor", "--shard", "plan")
    assert ran.code == 1 and "only a MongoDB can be sharded" in ran.err


WAY = Collection("operations", {"npub": 1}, True, ())


@pytest.mark.parametrize(
    "report, shown",
    [
        (ShardReport("url", "sharded", (WAY,)), ["The cluster is as it must be.", "url: sharded"]),
        (
            ShardReport(
                "url", "sharded", (WAY, attrs.evolve(WAY, name="dedup", steps=("make the index x",))),
                faults=("the index x is missing",),
            ),
            [
                "The cluster is not as it must be.", "url: sharded", "✗ wrong: the index x is missing",
                "dedup", "  make the index x",
            ],
        ),
        (
            ShardReport("url", "replica set", (attrs.evolve(WAY, steps=("shard it",)),), faults=("no",)),
            ["The cluster is not as it must be.", "url: replica set", "✗ wrong: no"],
        ),
    ],
    ids=["good", "an index is missing", "not sharded"],
)  # fmt: skip
def test_r553_verify_begins_with_its_verdict(
    report: ShardReport, shown: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """R553: the verdict, what is wrong, and the way only where the cluster differs. ``plan`` shows it all."""
    monkeypatch.setattr(shard, "shard", lambda url, action, machines: report)
    ran = doctor("mongodb://host/db", "--shard", "verify")
    assert ran.out.splitlines() == shown and ran.code == (0 if report.healthy else 1)
    assert "operations" in doctor("mongodb://host/db", "--shard", "plan").out
