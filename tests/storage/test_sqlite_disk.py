"""What a damaged, full, locked or read-only disk looks like: a clear error, and nothing half done."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from attrs import evolve

from nutstate.storage.errors import CorruptRecord, InvalidBatch, StoreUnavailable
from nutstate.storage.port import AuditQuery, OperationQuery, TokenQuery
from nutstate.storage.records import DedupRecord
from nutstate.storage.sqlite import store as module
from nutstate.storage.sqlite.store import SqliteStore
from nutstate.storage.testing.records import NPUB, batch_for, make_operation, make_proofs, make_token


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "wallet.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(f"sqlite:///{path}") as opened:
        yield opened


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_damaged_file_is_reported_as_such(path: Path) -> None:
    with SqliteStore(f"sqlite:///{path}") as store:
        for n in range(50):
            store.commit(batch_for(make_operation(f"tx-{n}"), tokens=[make_token(f"t{n}")]))
    content = bytearray(path.read_bytes())
    content[8192:] = os.urandom(len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises((CorruptRecord, StoreUnavailable)) as caught:
        with SqliteStore(f"sqlite:///{path}") as store:
            store.tokens(TokenQuery())
            store.operations(OperationQuery())
    assert isinstance(caught.value, CorruptRecord) and str(path) in str(caught.value)


@pytest.mark.parametrize(
    "change, document, field",
    [
        ("UPDATE tokens SET proofs = '[{\"amount\": 7}]'", "token:a", "proofs[0].id"),
        ("UPDATE tokens SET metadata = '[]'", "token:a", "metadata"),
        ("UPDATE tokens SET npub = x'00'", "token:a", "npub"),
        ("UPDATE tokens SET spent_at = NULL, updated_at = 99999999999999999", "token:a", "updated_at"),
        ("UPDATE operations SET doc = '{}'", "operation:tx-1", "wallet_id"),
        ("UPDATE operations SET doc = '[]'", "operation:tx-1", "doc"),
        ("UPDATE operations SET next_check_at = 'soon'", "operation:tx-1", "next_check_at"),
        ("UPDATE audit SET doc = '[]' WHERE seq = 1", "audit record batch-tx-1-1-1", "doc"),
        ("UPDATE audit SET version = 9 WHERE seq = 1", "audit record batch-tx-1-1-1", "version"),
        ("UPDATE dedup SET expires_at = 'never'", "dedup record", "expires_at"),
    ],
)
def test_a_record_that_does_not_decode_is_named(
    store: SqliteStore, path: Path, change: str, document: str, field: str
) -> None:
    store.commit(batch_for(make_operation(), tokens=[make_token("a")], dedup=DedupRecord("k", "tx-1", 9)))
    with closing(sqlite3.connect(path)) as raw, raw:
        triggers = raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in triggers:  # they would refuse: this is what a writer does who took them away
            raw.execute(f"DROP TRIGGER {name}")
        raw.execute("PRAGMA ignore_check_constraints = ON")
        assert raw.execute(change).rowcount == 1
    with pytest.raises(CorruptRecord) as caught:
        store.token("a")
        store.operation("tx-1")
        store.audit(AuditQuery())
        store.dedup("k")
    assert caught.value.details == {"document": document, "field": field}


def test_a_locked_store_is_busy_not_broken(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store._link().connection.execute("PRAGMA busy_timeout = 50")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="busy"):
            store.commit(batch_for(make_operation()))
        assert store.operation("tx-1") is None  # reading still works
        other.execute("ROLLBACK")
    store.commit(batch_for(make_operation()))
    monkeypatch.setattr(module, "BUSY_TIMEOUT_S", 0.05)
    with store._writing:
        with pytest.raises(StoreUnavailable, match="busy"):
            store.commit(batch_for(make_operation("tx-2")))


def test_a_read_that_takes_too_long_is_stopped(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READ_TIMEOUT_S", 0.05)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(StoreUnavailable, match="too long"):
        store._rows(endless, ())
    assert store.operation("x") is None


def _fill(store: SqliteStore) -> int:
    """Commit until the store refuses; how many were acknowledged."""
    for n in range(100_000):
        try:
            token = make_token(f"t{n}", proofs=make_proofs(f"t{n}", *[1] * 20))
            store.commit(batch_for(make_operation(f"tx-{n}"), tokens=[token]))
        except StoreUnavailable as error:
            assert "disk full" in str(error)
            return n
    raise AssertionError("never full")


def _check_full(store: SqliteStore, acknowledged: int) -> None:
    for n in range(acknowledged):
        assert store.operation(f"tx-{n}") is not None and store.token(f"t{n}") is not None
    assert store.operation(f"tx-{acknowledged}") is None and store.token(f"t{acknowledged}") is None
    assert sum(held.amount for held in store.balance(NPUB)) == 20 * acknowledged


def test_a_full_file_refuses_and_keeps_what_was_acknowledged(store: SqliteStore) -> None:
    connection = store._link().connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 40}")
    acknowledged = _fill(store)
    assert acknowledged > 0
    _check_full(store, acknowledged)
    connection.execute("PRAGMA max_page_count = 100000")
    store.commit(batch_for(make_operation(f"tx-{acknowledged}")))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB, if we may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except OSError:
        done = False
    if not done:
        pytest.skip("cannot mount a small file system here; max_page_count covers the same error")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_refuses_and_keeps_what_was_acknowledged(small_disk: Path) -> None:
    with SqliteStore(f"sqlite:///{small_disk}/wallet.db") as store:
        acknowledged = _fill(store)
        assert acknowledged > 0
        _check_full(store, acknowledged)
    with SqliteStore(f"sqlite:///{small_disk}/wallet.db") as store:
        _check_full(store, acknowledged)


READ_ONLY = """
import os, sys, tempfile
from nutstate._open_store import open_store
from nutstate.storage.errors import StoreUnavailable
from nutstate.storage.testing.records import batch_for, make_operation
with tempfile.TemporaryDirectory() as ours, open_store(f"sqlite:///{ours}/wallet.db") as store:
    store.commit(batch_for(make_operation("tx-new")))  # all modules are loaded while we may read them
if os.geteuid() == 0:
    os.setgid(65534); os.setuid(65534)
url = sys.argv[1]
try:
    with open_store(url) as store:
        store.commit(batch_for(make_operation("tx-new")))
except StoreUnavailable as error:
    print(error)
    raise SystemExit(0)
raise SystemExit("not refused")
"""


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that another user can reach (pytest's own cannot be)."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder) / "shared"


def test_a_store_that_we_may_only_read_is_refused_clearly(shared: Path) -> None:
    folder = shared
    folder.mkdir()
    path = folder / "wallet.db"
    with SqliteStore(f"sqlite:///{path}") as store:
        store.commit(batch_for(make_operation()))
    before = path.read_bytes()
    path.chmod(0o444)
    folder.chmod(0o555)
    command = [sys.executable, "-c", READ_ONLY, f"sqlite:///{path}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        folder.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert str(path) in done.stdout and path.read_bytes() == before


def test_write_refusals_of_the_file_reach_the_caller(store: SqliteStore) -> None:
    store._link().connection.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreUnavailable, match="read-only"):
        store.commit(batch_for(make_operation()))
    store._link().connection.execute("PRAGMA query_only = OFF")
    store.commit(batch_for(make_operation()))


def test_half_a_character_in_a_query_is_refused_without_showing_it(store: SqliteStore) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        store.operation("MARKER\ud800")
    assert caught.value.__context__ is None and "MARKER" not in str(caught.value)


def test_rules_of_the_file_bind_us_as_well(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were a rule missing in check_batch, the file would still refuse (control for F10)."""
    monkeypatch.setattr(module, "check_batch", lambda batch, machines: tuple("{}" for _ in batch.audit))
    with pytest.raises(InvalidBatch):
        store.commit(batch_for(make_operation(), tokens=[make_token("a", transaction_type="melted")]))
    assert store.operation("tx-1") is None
    broken = evolve(make_token("a"), total_amount=99)
    with pytest.raises(InvalidBatch):
        store.commit(batch_for(make_operation(), tokens=[broken]))
