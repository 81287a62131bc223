"""Killed processes and lost answers: what was acknowledged is there, and nothing is half there."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from attrs import evolve

from nutstate.storage.errors import CommitUnknown, StoreUnavailable
from nutstate.storage.port import AuditQuery, OperationQuery
from nutstate.storage.sqlite.store import SqliteStore
from nutstate.storage.testing.records import NPUB, batch_for, make_operation, make_proofs, make_token

pytestmark = pytest.mark.disk

WRITER = """
import sys
from nutstate._open_store import open_store
from nutstate.storage.testing.records import batch_for, make_operation, make_proofs, make_token
store, run = open_store(sys.argv[1]), sys.argv[2]
for n in range(100_000):
    name = f"{run}-{n}"
    tokens = [make_token(f"{name}-{t}", proofs=make_proofs(f"{name}-{t}", 1, 2)) for t in "ab"]
    store.commit(batch_for(make_operation(f"tx-{name}"), tokens=tokens))
    print(n, flush=True)
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(f"sqlite:///{tmp_path}/wallet.db") as opened:
        yield opened


def test_nothing_acknowledged_is_lost_when_the_writer_is_killed(store: SqliteStore) -> None:
    for run in range(10):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, store.url, str(run)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        last = int(child.stdout.readline())
        time.sleep(0.005 * run)
        child.send_signal(signal.SIGKILL)
        said = child.stdout.read().split("\n")
        last = max([last, *(int(line) for line in said[:-1])])
        child.wait()
        child.stdout.close()
        ids = {o.id for o in store.operations(OperationQuery(limit=1_000_000))}
        mine = [f"tx-{run}-{n}" for n in range(last + 2)]
        assert ids.issuperset(mine[:-1])  # perhaps one more, committed and not said any more
        assert len([name for name in ids if name.startswith(f"tx-{run}-")]) in (last + 1, last + 2)
        with store.snapshot() as reads:
            written = len(ids)
            assert sum(held.amount for held in reads.balance(NPUB)) == 6 * written
            assert len(reads.audit(AuditQuery(limit=1_000_000))) == 3 * written
    assert store._rows("PRAGMA integrity_check", ()) == [("ok",)]


class Failing(SqliteStore):
    """A store whose COMMIT fails as told, before or after it really happens."""

    script: list[str] = []  # noqa: RUF012 - set on the instance

    def _finish(self, connection: sqlite3.Connection) -> None:
        word = self.script.pop(0) if self.script else "ok"
        if word == "before":
            raise sqlite3.OperationalError("disk I/O error")
        super()._finish(connection)
        if word == "after":
            raise sqlite3.OperationalError("disk I/O error")


@pytest.fixture
def failing(tmp_path: Path) -> Iterator[Failing]:
    opened = Failing(f"sqlite:///{tmp_path}/wallet.db")
    yield opened
    opened.close()


def test_a_commit_that_happened_though_it_reported_an_error_returns_quietly(failing: Failing) -> None:
    failing.script = ["after"]
    failing.commit(batch_for(make_operation(), tokens=[make_token("a")]))
    assert failing.operation("tx-1") is not None and failing.token("a") is not None


def test_a_commit_that_certainly_did_not_happen_is_unavailable(failing: Failing) -> None:
    batch = batch_for(make_operation(), tokens=[make_token("a")])
    failing.script = ["before"]
    with pytest.raises(StoreUnavailable):
        failing.commit(batch)
    assert failing.operation("tx-1") is None
    failing.commit(batch)
    assert failing.operation("tx-1") == batch.operation.after


@pytest.mark.parametrize("script", [["before", "before"], ["before", "after"]])
def test_a_commit_of_which_nobody_can_tell_is_unknown(failing: Failing, script: list[str]) -> None:
    batch = batch_for(make_operation())
    failing.script = script
    with pytest.raises(CommitUnknown) as caught:
        failing.commit(batch)
    assert caught.value.batch_id == batch.id
    failing.commit(batch)
    assert failing.operation("tx-1") == batch.operation.after


def test_a_commit_is_unknown_while_another_program_blocks_the_answer(
    failing: Failing, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nutstate.storage.sqlite import file as sqlite_file

    monkeypatch.setattr(sqlite_file, "BUSY_TIMEOUT_S", 0.05)
    batch = batch_for(make_operation())

    def blocked(connection: sqlite3.Connection) -> None:
        connection.execute("COMMIT")
        other.execute("BEGIN IMMEDIATE")
        raise sqlite3.OperationalError("disk I/O error")

    path = failing._path
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        with monkeypatch.context() as patched:
            patched.setattr(failing, "_finish", blocked)
            with pytest.raises(CommitUnknown):
                failing.commit(batch)
        other.execute("ROLLBACK")
    failing.commit(batch)  # found: applied already
    assert failing.operation("tx-1") == batch.operation.after


def test_an_interrupt_inside_a_commit_leaves_nothing_open(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(connection: sqlite3.Connection) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(store, "_finish", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.commit(batch_for(make_operation()))
    assert store.operation("tx-1") is None
    store.commit(batch_for(make_operation(), batch_id="again"))


def test_closing_while_a_snapshot_is_open_does_not_hang(tmp_path: Path) -> None:
    store = SqliteStore(f"sqlite:///{tmp_path}/wallet.db")
    store.commit(batch_for(make_operation()))
    with store.snapshot() as reads:
        store.close()
        assert reads.operation("tx-1") is not None
    with pytest.raises(StoreUnavailable):
        store.operation("tx-1")


def test_the_log_of_a_killed_process_stays_private(store: SqliteStore) -> None:
    child = subprocess.Popen([sys.executable, "-c", WRITER, store.url, "x"], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    child.kill()
    child.wait()
    child.stdout.close()
    folder = store._path.parent
    assert all(os.stat(name).st_mode & 0o077 == 0 for name in folder.iterdir())


def test_a_stale_writer_after_a_kill_conflicts(store: SqliteStore) -> None:
    batch = batch_for(make_operation(), tokens=[make_token("a", proofs=make_proofs("a", 1))])
    store.commit(batch)
    with SqliteStore(store.url) as other:
        operation = batch.operation.after
        other.commit(batch_for(evolve(operation, state="quoted"), operation, batch_id="other"))
        assert store.operation("tx-1") == other.operation("tx-1")
