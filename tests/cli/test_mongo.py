"""The command line on a real MongoDB: the demo, the other commands, and how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nutstate import open_store
from nutstate.cli.output import Output
from nutstate.cli.session import Session
from nutstate.storage.port import OperationQuery
from tests.servers.mongod import require_mongod

from .conftest import NPUB, Wallet

pytestmark = pytest.mark.real_mongo


@pytest.fixture(autouse=True)
def _there_is_a_server() -> None:
    require_mongod()


@pytest.fixture
def mongod(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """What ``nutstate mongod --json`` says while it runs."""
    command = [sys.executable, "-m", "nutstate", "mongod", "--json", "--dir", str(tmp_path / "mongodb")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    text = ""
    while not text.endswith("\n}\n"):
        line = process.stdout.readline()
        assert line, process.communicate()
        text += line
    yield json.loads(text)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0 and err == "", (out, err)


def test_the_demo_on_mongodb_twice_in_one_folder(empty: Wallet) -> None:
    first = empty.process("demo", "--mongo", "--dir", str(empty.folder))
    assert first.code == 0 and first.err == "", first
    for words in ("replica set of one node", "Funding", "melt reconciled", "holds", "nutstate mongod --dir"):
        assert words in first.out
    second = empty.process("demo", "--mongo", "--dir", str(empty.folder), "--outcome", "lost", "--json")
    document = second.json
    assert second.code == 0 and document["operation"]["state"] == "reconciled"
    assert document["balance_before"] == 898 and document["store"].startswith("mongodb://127.0.0.1:")


@pytest.mark.parametrize(
    "more", [("--store", "memory://"), ("--mint", "https://mint.example")], ids=["store", "mint"]
)
def test_what_does_not_go_together(empty: Wallet, more: tuple[str, str]) -> None:
    ran = empty.run("demo", "--mongo", "--dir", str(empty.folder), *more)
    assert ran.code == 2 and "--mongo" in ran.err


def test_the_commands_on_a_server_that_runs(wallet: Wallet, mongod: dict[str, Any]) -> None:
    assert len(mongod["nodes"]) == 1 and os.path.isdir(mongod["dir"])
    there = {"NUTSTATE_STORE": mongod["url"]}
    state = ("--mint-state", str(wallet.folder / "other.mint.db"))
    assert wallet.run("mint", "500", *state, env=there).code == 0
    (row,) = wallet.run("balance", "--json", env=there).json["wallets"]
    assert row["states"] == {"unspent": 500}
    with open_store(mongod["url"], create=False) as store:
        (operation,) = store.operations(OperationQuery(npub=NPUB))
    assert operation.state == "issued"
    assert wallet.run("show", operation.id, env=there).code == 0


def test_a_server_that_is_not_there_is_said_in_one_sentence(empty: Wallet) -> None:
    store = "mongodb://someone:hunter2@127.0.0.1:9/wallet?serverSelectionTimeoutMS=300"
    ran = empty.run("balance", "--store", store)
    assert ran.code == 1 and ran.out == "" and "hunter2" not in ran.err and "Traceback" not in ran.err
    assert "MongoDB" in ran.err


def test_a_password_in_the_url_is_never_repeated() -> None:
    session = Session("mongodb://me:hunter2@host:1/db?replicaSet=r", True, None, Output(False))
    assert session.store_shown == "mongodb://…@host:1/db?replicaSet=r"
    assert "hunter2" not in session.command("recover") and "--store" not in session.command("recover")


WAITS = """
import sys, threading
from nutstate.storage.mongo.session import SessionWrites
original = SessionWrites.insert_many
def insert_many(self, collection, documents):
    original(self, collection, documents)
    if collection == "operations":
        print("inside the transaction", file=sys.stderr, flush=True)
        threading.Event().wait(2)
SessionWrites.insert_many = insert_many
from nutstate.cli import main
main()
"""


def test_sigterm_inside_a_transaction_aborts_it(wallet: Wallet, mongo_urls: Callable[[], str]) -> None:
    url = mongo_urls()
    state = ("--mint-state", str(wallet.folder / "other.mint.db"))
    process = wallet.start("mint", "500", "--store", url, *state, program=("-c", WAITS))
    assert process.stderr is not None and process.stderr.readline() == "inside the transaction\n"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130 and "interrupted" in err, (out, err)
    with open_store(url) as store:
        assert list(store.operations(OperationQuery())) == []
        assert store._gateway._client.admin.command("serverStatus")["transactions"]["currentOpen"] == 0  # type: ignore[attr-defined]
