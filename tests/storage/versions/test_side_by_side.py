"""Programs of two releases use one store at the same time. An operation keeps the version it began with."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from queue import SimpleQueue
from typing import Any

import attrs
import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure, WriteError

from nutstate import Store, open_store
from nutstate.machines.melt.table import MELT
from nutstate.storage.batch import Batch
from nutstate.storage.errors import InvalidBatch, StoreUnsupported
from nutstate.storage.mongo import store as mongo_store
from nutstate.storage.mongo.rules import named_in
from nutstate.storage.mongo.setup import problems, put_rules_right, stored_machines
from nutstate.storage.rules.audit_hash import audit_canonical
from nutstate.storage.rules.batch import check_batch
from nutstate.storage.rules.machines import Machines, Version
from nutstate.storage.sqlite import store as sqlite_store
from nutstate.storage.sqlite.machines import stored_machines as stored_in_file
from nutstate.storage.testing.records import batch_for, make_operation, make_token
from tests.support.releases import (
    CHANGED,
    FAULTY,
    MELT_2,
    NEW_EDGE,
    NEXT,
    TOKEN_2,
    N,
    advanced,
    begun,
    given_back,
    goes,
    ref_of,
)

real = pytest.mark.real_mongo


def test_r410_a_store_of_release_n_is_opened_by_the_next_one(url: str) -> None:
    """R410: N+1 takes the edge that only it has, and N goes on with the same store all the while."""
    with open_store(url, machines=N) as old:
        first = begun(old, machines=N)
        with open_store(url, machines=NEXT) as new:
            later = goes(new, begun(new, MELT_2), "quoted")
            first = goes(old, first, "quoted", N)
            later = goes(new, later, NEW_EDGE[1])
            assert goes(old, first, "prepared", N).state == "prepared"
            assert new.operation(later.id) == later and old.operation(later.id) == later
            assert (later.kind_of_state, later.ends) == ("parked", "")


def test_r410_an_old_program_opens_between_two_commits_of_a_newer_one(url: str) -> None:
    """R410: it adds nothing, and takes nothing away."""
    with open_store(url, machines=NEXT) as new:
        op = goes(new, begun(new, MELT_2), "quoted")
        with open_store(url, machines=N) as old:
            old_op = goes(old, begun(old, machines=N), "quoted", N)
            op = goes(new, op, NEW_EDGE[1])
            assert goes(old, old_op, "prepared", N).version == 3
        open_store(url, machines=N).close()
        assert new.operation(goes(new, op, "unknown").id) is not None


def test_r410_an_operation_goes_on_under_the_version_it_began_with(url: str) -> None:
    """R410: N+1 drives what N began, under the machine of N."""
    with open_store(url, machines=N) as old:
        op = begun(old, machines=N)
    with open_store(url, machines=NEXT) as new:
        stored = new.operation(op.id)
        assert stored is not None and stored.machine == ref_of(MELT)
        assert goes(new, stored, "quoted").machine == ref_of(MELT)
        moved = attrs.evolve(begun(new), machine=ref_of(MELT_2), state="quoted")
        with pytest.raises(InvalidBatch, match=r"machine never changes"):
            advanced(new, moved, new.operation(moved.id))


# -- judged by name, version and hash -----------------------------------------------------------------------


def batch_on_the_new_edge(store: Any) -> Batch:
    """A melt@1 operation takes the edge that only melt@2 has."""
    op = goes(store, begun(store), "quoted")
    return batch_for(attrs.evolve(op, state=NEW_EDGE[1]), op, machines=FAULTY)


def test_r411_an_edge_of_another_version_is_refused(url: str) -> None:
    """R411: the union of all versions is not what an operation of one of them may do."""
    with open_store(url, machines=NEXT) as store:
        batch = batch_on_the_new_edge(store)
        with pytest.raises(InvalidBatch, match=r"quoted to attention is no edge of melt@1"):
            store.commit(batch)
        assert store.operation(batch.operation.after.id) == batch.operation.before  # type: ignore[union-attr]


def test_r411_the_database_itself_refuses_it(ruled_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """R411: a program that forgot the check, or one that is not of ours, cannot store it either."""
    with open_store(ruled_url, machines=NEXT) as store:
        batch = batch_on_the_new_edge(store)
        texts = tuple("{}" for _ in batch.audit)
        for module in (sqlite_store, mongo_store):
            monkeypatch.setattr(module, "check_batch", lambda batch, machines: texts)
        with pytest.raises(InvalidBatch):
            store.commit(batch)
        assert store.operation(batch.operation.after.id) == batch.operation.before  # type: ignore[union-attr]


OTHERS: dict[str, dict[str, Any]] = {
    "a version that this program does not have": {"machine": attrs.evolve(ref_of(MELT_2), version=3)},
    "another hash": {"machine": attrs.evolve(ref_of(MELT), hash="0" * 64)},
    "the machine of tokens": {"machine": ref_of(TOKEN_2), "kind": "token"},
    "the machine of another kind": {"machine": ref_of(MELT), "kind": "mint"},
    "another kind of state": {"kind_of_state": "final"},
    "an end that it has not": {"ends": "good"},
}


@pytest.mark.parametrize("what", OTHERS)
def test_r411_r418_the_check_names_what_does_not_fit_the_machine(what: str) -> None:
    """R411, R418: name, version and hash together, and what the machine says of the state."""
    batch = batch_for(make_operation(machines=N), machines=N)
    wrong = attrs.evolve(batch, operation=attrs.evolve(batch.operation, after=attrs.evolve(
        batch.operation.after, **OTHERS[what])))  # fmt: skip
    with pytest.raises(InvalidBatch):
        check_batch(wrong, N)
    check_batch(batch, N)


@pytest.mark.parametrize("what", OTHERS)
def test_r411_r418_the_database_refuses_what_does_not_fit_the_machine(
    ruled_url: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R411, R418: the same from a program without the check."""
    for module in (sqlite_store, mongo_store):
        monkeypatch.setattr(module, "check_batch", lambda batch, machines: tuple("{}" for _ in batch.audit))
    with open_store(ruled_url, machines=N) as store:
        batch = batch_for(make_operation(machines=N), machines=N)
        after = attrs.evolve(batch.operation.after, **OTHERS[what])
        with pytest.raises(InvalidBatch):
            store.commit(attrs.evolve(batch, operation=attrs.evolve(batch.operation, after=after)))
        assert store.operation(after.id) is None


# -- tokens ------------------------------------------------------------------------------------------------


def test_r415_a_step_of_a_token_is_judged_by_the_version_that_its_record_names(url: str) -> None:
    """R415: a token has no version of its own; each audit record says under which one the step was made."""
    with open_store(url, machines=NEXT) as new:
        op = begun(new, MELT_2)
        token = make_token("t", state="outstanding", transaction_type="sent")
        batch = batch_for(attrs.evolve(op, state="quoted"), op, machines=NEXT, tokens=[token])
        new.commit(batch)
        op, token = batch.operation.after, batch.tokens[0].after
        back = (token, given_back(token))
        with open_store(url, machines=N) as old:
            with pytest.raises(InvalidBatch, match="this program does not have its machine"):
                goes(old, op, NEW_EDGE[1], NEXT, back)
            mine = begun(old, machines=N)
            with pytest.raises(InvalidBatch, match="outstanding to unspent is no edge of token@1"):
                goes(old, mine, "quoted", N, back)
        stored = goes(new, op, NEW_EDGE[1], NEXT, back)
        read = new.token("t")
        assert stored.version == 3 and read is not None and read.state == "unspent"


def test_r415_the_database_holds_the_record_to_the_version_it_names(
    ruled_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R415: an edge of token@2 in a record that names token@1 is refused, also without the check."""
    with open_store(ruled_url, machines=NEXT) as store:
        op = begun(store, MELT_2)
        token = make_token("t", state="outstanding", transaction_type="sent")
        batch = batch_for(attrs.evolve(op, state="quoted"), op, machines=NEXT, tokens=[token])
        store.commit(batch)
        op, token = batch.operation.after, batch.tokens[0].after
        back = (token, given_back(token))
        wrong = batch_for(attrs.evolve(op, state=NEW_EDGE[1]), op, tokens=[back], machines=FAULTY)

        texts = tuple(audit_canonical(record) for record in wrong.audit)
        for module in (sqlite_store, mongo_store):
            monkeypatch.setattr(module, "check_batch", lambda batch, machines: texts)
        assert [record.machine for record in wrong.audit] == ["melt@2", "token@1"]
        with pytest.raises(InvalidBatch):
            store.commit(wrong)
        stored = store.token("t")
        assert stored is not None and stored.state == "outstanding"


# -- a released machine never changes -----------------------------------------------------------------------


def test_r412_another_content_under_a_known_version_is_refused(url: str) -> None:
    """R412: MACHINE_CHANGED names the machine and what to do; the store stays as it is, and usable."""
    with open_store(url, machines=N) as store:
        op = begun(store, machines=N)
        for create in (True, False):
            with pytest.raises(StoreUnsupported) as caught:
                open_store(url, machines=CHANGED, create=create)
            assert caught.value.code == "MACHINE_CHANGED" and caught.value.details["machine"] == "melt@1"
            assert "melt@1" in caught.value.message and "give the changed machine the next version" in str(
                caught.value
            )
        assert goes(store, op, "quoted", N).state == "quoted"
    open_store(url, machines=N, create=False).close()


def test_r412_two_machines_of_one_name_and_version_are_no_value() -> None:
    """R412: nor is a token state whose status no reader would know."""
    (own,) = (version for version in N.versions if version.label == "melt@1")
    with pytest.raises(ValueError, match="melt@1"):
        Machines((*N.versions, attrs.evolve(own, hash="0" * 64)))
    with pytest.raises(ValueError, match="frozen"):
        Machines((Version("token", 9, "0" * 64, frozenset({("none", "frozen")}), {"frozen": ("live", "")}),))
    assert Version.from_data(own.as_data()) == own


SEALED = (
    "INSERT INTO edges (name, version, source, dest) VALUES ('melt', 1, 'quoted', 'reconciled')",
    "INSERT OR REPLACE INTO machines VALUES ('melt', 1, 'other', 0)",
    "INSERT OR REPLACE INTO machines VALUES ('melt', 1, 'other', 1)",
    "INSERT INTO edges (name, version, source, dest) VALUES ('melt', 9, 'quoted', 'reconciled')",
    "INSERT OR IGNORE INTO edges (name, version, source, dest) VALUES ('loan', 1, 'none', 'lent')",
    "INSERT INTO states VALUES ('loan', 1, 'lent', 'final', 'good')",
    "INSERT INTO machines VALUES ('loan', 1, 'hash', 1)",
    "UPDATE machines SET sealed = 0",
    "INSERT INTO states VALUES ('melt', 1, 'melted', 'final', 'good')",
    "UPDATE machines SET hash = 'other'",
    "UPDATE edges SET dest = 'reconciled' WHERE source = 'quoted'",
    "UPDATE OR REPLACE states SET kind = 'final'",
    "DELETE FROM machines",
    "DELETE FROM edges WHERE name = 'melt'",
    "DELETE FROM states",
)


@pytest.mark.parametrize("statement", SEALED)
def test_r412_a_machine_in_a_file_is_sealed(tmp_path: Any, statement: str) -> None:
    """R412, R533: with plain ``sqlite3`` no edge or state is added to a machine that is there, nor to one
    that is not, and none goes."""
    open_store(f"sqlite:///{tmp_path}/w.db", machines=N).close()
    with closing(sqlite3.connect(tmp_path / "w.db", isolation_level=None)) as raw:
        with pytest.raises(sqlite3.IntegrityError):
            raw.execute(statement)
        assert stored_in_file(raw).by_label == N.by_label


def test_r533_a_machine_that_is_not_sealed_steps_nothing(tmp_path: Any) -> None:
    """R533: edges can be added while their machine is open; until it is sealed no operation may name it, and
    afterwards no edge is added."""
    store = open_store(f"sqlite:///{tmp_path}/w.db", machines=N)
    begun(store, machines=N)
    store.close()
    with closing(sqlite3.connect(tmp_path / "w.db", isolation_level=None)) as raw:
        columns = [row[1] for row in raw.execute("PRAGMA table_info(operations)")]
        new = {"id": "'tx_another'", "machine_version": "9", "idempotency_key": "NULL", "claim": "NULL"}
        copied = ", ".join(new.get(column, column) for column in columns)
        copy = f"INSERT INTO operations ({', '.join(columns)}) SELECT {copied} FROM operations"
        raw.execute("INSERT INTO machines SELECT name, 9, hash, 0 FROM machines WHERE name = 'melt'")
        raw.execute("INSERT INTO edges SELECT source, dest, name, 9 FROM edges WHERE name = 'melt'")
        raw.execute("INSERT INTO states SELECT name, 9, state, kind, ends FROM states WHERE name = 'melt'")
        with pytest.raises(sqlite3.IntegrityError, match="legal_step"):
            raw.execute(copy)
        raw.execute("UPDATE machines SET sealed = 1 WHERE version = 9")
        with pytest.raises(sqlite3.IntegrityError, match="added with their machine"):
            raw.execute("INSERT INTO edges VALUES ('quoted', 'reconciled', 'melt', 9)")
        raw.execute(copy)  # the seal was all that it lacked


# -- several openers at once --------------------------------------------------------------------------------

_OPEN = """
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from nutstate import Store, open_store
from tests.support.releases import N, NEXT
with open_store(sys.argv[1], machines={"N": N, "NEXT": NEXT}[sys.argv[2]]) as store:
    pass
"""


def stored_labels(url: str) -> list[str]:
    """The machines that the store holds, by its own word."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as raw:
            return sorted(stored_in_file(raw).by_label)
    with MongoClient[dict[str, Any]](url) as client:
        return sorted(stored_machines(client.get_default_database()).by_label)


@pytest.mark.parametrize("there_before", [False, True], ids=["a new store", "a store of N"])
def test_r413_openers_of_two_releases_leave_the_union(ruled_url: str, there_before: bool) -> None:
    """R413: six processes of two releases open one store at once; afterwards each can use it."""
    if there_before:
        open_store(ruled_url, machines=N).close()
    releases = ("N", "NEXT", "N", "NEXT", "N", "N")
    processes = [
        subprocess.Popen([sys.executable, "-c", _OPEN, ruled_url, release], stderr=subprocess.PIPE, text=True)
        for release in releases
    ]
    ended = [(process.communicate()[1], process.returncode) for process in processes]
    assert [code for _, code in ended] == [0] * len(releases), ended
    assert stored_labels(ruled_url) == sorted(NEXT.by_label)
    with open_store(ruled_url, machines=NEXT, create=False) as new:
        goes(new, goes(new, begun(new, MELT_2), "quoted"), NEW_EDGE[1])
    with open_store(ruled_url, machines=N, create=False) as old:
        goes(old, begun(old, machines=N), "quoted", N)


@real
def test_r413_the_rules_change_only_where_an_own_edge_is_missing(fresh_database: str) -> None:
    """R413: an old program that opens a newer database does not touch the validators."""
    open_store(fresh_database, machines=NEXT).close()
    with MongoClient[dict[str, Any]](fresh_database) as client:
        database = client.get_default_database()
        before = {info["name"]: info["options"] for info in database.list_collections()}
        open_store(fresh_database, machines=N).close()
        assert not put_rules_right(database, N) and problems(database, N) == []
        assert {info["name"]: info["options"] for info in database.list_collections()} == before
        assert named_in(before["operations"]["validator"]) >= {"melt@1", "melt@2"}


@real
def test_r413_a_stale_opener_is_undone_by_the_one_whose_edge_it_took(fresh_database: str) -> None:
    """R413: two openers read the machines before either has set the rules; whichever sets them last wants
    every stored machine in them, and a program that is refused meanwhile sets them and commits."""
    open_store(fresh_database, machines=N).close()
    with MongoClient[dict[str, Any]](fresh_database) as client:
        database = client.get_default_database()
        old = database.operations.options()["validator"]
        with open_store(fresh_database, machines=NEXT) as new:
            op = goes(new, begun(new, MELT_2), "quoted")
            database.command({"collMod": "operations", "validator": old})  # what a stale opener did
            with pytest.raises((WriteError, OperationFailure)):
                database.operations.update_one({"_id": op.id}, {"$set": {"amount": 101}})
            op = goes(new, op, NEW_EDGE[1])
            assert new.operation(op.id) == op
        assert "melt@2" in named_in(database.operations.options()["validator"])
        assert problems(database, NEXT) == [] == problems(database, N)


@real
def test_r413_a_machine_that_rules_and_is_not_stored_stops_an_older_program(fresh_database: str) -> None:
    """R413: another program dropped the collection of machines: only the release that has them puts them
    back."""
    open_store(fresh_database, machines=NEXT).close()
    with MongoClient[dict[str, Any]](fresh_database) as client:
        client.get_default_database().drop_collection("machines")
    with pytest.raises(StoreUnsupported, match="which is not stored"):
        open_store(fresh_database, machines=N)
    open_store(fresh_database, machines=NEXT).close()
    open_store(fresh_database, machines=N, create=False).close()


@real
def test_r414_without_create_a_newer_program_reads_and_says_what_it_cannot_write(fresh_database: str) -> None:
    """R414: opening changes nothing; what needs the missing machine is refused before anything is written."""
    with open_store(fresh_database, machines=N) as old:
        op = begun(old, machines=N)
    with MongoClient[dict[str, Any]](fresh_database) as client:
        before = {info["name"]: info["options"] for info in client.get_default_database().list_collections()}
        with open_store(fresh_database, machines=NEXT, create=False) as new:
            assert new.operation(op.id) == op
            with pytest.raises(StoreUnsupported, match=r"melt@2.*nutstate doctor --fix") as caught:
                begun(new, MELT_2)
            assert caught.value.details["machine"] == "melt@2"
            without = Machines(v for v in NEXT.versions if v.label != "token@2")
            assert goes(new, op, "quoted", without).state == "quoted"
        after = {info["name"]: info["options"] for info in client.get_default_database().list_collections()}
        assert after == before


@real
def test_r413_rules_of_another_program_are_not_overruled_by_a_commit(fresh_database: str) -> None:
    """R413: only rules of ours that lack a machine are set by a commit; the doctor tells of all others."""
    with (
        open_store(fresh_database, machines=NEXT) as store,
        MongoClient[dict[str, Any]](fresh_database) as client,
    ):
        op = begun(store, MELT_2)
        database = client.get_default_database()
        database.command({"collMod": "operations", "validator": {"theirs": True}})
        with pytest.raises(InvalidBatch):
            goes(store, op, "quoted")
        assert database.operations.options()["validator"] == {"theirs": True}


@real
def test_r413_commits_go_on_while_a_newer_program_opens(fresh_database: str) -> None:
    """R413: rules that change under a program that commits all the time refuse none of its commits."""
    told: SimpleQueue[str | Exception] = SimpleQueue()
    stop = threading.Event()

    def commit(store: Store) -> None:
        try:
            while not stop.is_set():
                told.put(goes(store, begun(store, machines=N), "quoted", N).id)
        except Exception as error:  # noqa: BLE001 - the test wants to see any
            told.put(error)

    with open_store(fresh_database, machines=N) as old, ThreadPoolExecutor(3) as pool:
        for _ in range(3):
            pool.submit(commit, old)
        before = [told.get() for _ in range(5)]
        open_store(fresh_database, machines=NEXT).close()
        after = [told.get() for _ in range(15)]
        stop.set()
        for name in (*before, *after):
            assert isinstance(name, str), name
            assert old.operation(name) is not None
