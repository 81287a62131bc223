"""The SQLite file: who can read it, which URLs and files are refused, and its connections."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from nutstate._open_store import open_store
from nutstate.storage.errors import CorruptRecord, StoreUnavailable, StoreUnsupported
from nutstate.storage.port import OperationQuery, TokenQuery
from nutstate.storage.sqlite.store import IDLE_MAX, SqliteStore
from nutstate.storage.testing.records import batch_for, make_operation, make_token

pytestmark = pytest.mark.disk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "wallet.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(f"sqlite:///{path}") as opened:
        yield opened


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_nobody_else_can_read_the_file_nor_its_log(store: SqliteStore, path: Path) -> None:
    store.commit(batch_for(make_operation(), tokens=[make_token("a")]))
    assert {p.name: mode(p) for p in path.parent.iterdir()} == {
        "wallet.db": 0o600, "wallet.db-wal": 0o600, "wallet.db-shm": 0o600,
    }  # fmt: skip


def test_there_is_no_moment_at_which_others_can_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file exists with its final mode before SQLite touches it, whatever the umask."""
    seen: list[int] = []
    connect = sqlite3.connect

    def watching(*arguments: object, **options: object) -> sqlite3.Connection:
        seen.append(mode(path))
        return connect(*arguments, **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(sqlite3, "connect", watching)
    old = os.umask(0)
    try:
        SqliteStore(f"sqlite:///{path}").close()
    finally:
        os.umask(old)
    assert seen and set(seen) == {0o600}


def test_missing_folders_are_made_for_the_owner_only(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        SqliteStore(f"sqlite:///{tmp_path}/a/b/wallet.db").close()
    finally:
        os.umask(old)
    assert mode(tmp_path / "a") == mode(tmp_path / "a" / "b") == 0o700


def test_an_existing_file_that_others_can_read_is_tightened(path: Path) -> None:
    SqliteStore(f"sqlite:///{path}").close()
    path.chmod(0o644)
    SqliteStore(f"sqlite:///{path}").close()
    assert mode(path) == 0o600


def test_wal_and_full_are_really_set(store: SqliteStore, path: Path) -> None:
    def pragmas() -> tuple[object, ...]:
        connection = store._link().connection
        names = ("journal_mode", "synchronous", "busy_timeout", "application_id")
        return tuple(connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names)

    expected = ("wal", 2, 5000, 0x6E757473)
    assert pragmas() == expected
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(pragmas()))
    thread.start()
    thread.join()
    assert found == [expected]


def test_the_connections_of_all_threads_are_closed(path: Path) -> None:
    store = SqliteStore(f"sqlite:///{path}")
    ready, leave = threading.Barrier(4), threading.Event()

    def use() -> None:
        store.tokens(TokenQuery())
        ready.wait()
        leave.wait()

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    ready.wait()
    links = [link for _, link in store._links]
    assert len(links) == 3
    store.close()
    leave.set()
    for thread in threads:
        thread.join()
    for link in links:
        with pytest.raises(sqlite3.ProgrammingError):
            link.connection.execute("SELECT 1")
    assert not path.with_name("wallet.db-wal").exists()  # the last one tidies up: all are closed


def test_connections_of_threads_that_ended_are_closed(store: SqliteStore) -> None:
    for _ in range(5):
        thread = threading.Thread(target=store.tokens, args=(TokenQuery(),))
        thread.start()
        thread.join()
    store.tokens(TokenQuery())
    assert len(store._links) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_gets_connections_of_its_own(store: SqliteStore) -> None:
    store.commit(batch_for(make_operation(), tokens=[make_token("a")]))
    child = os.fork()
    if child == 0:
        try:
            store.commit(batch_for(make_operation("tx-child")))
            os._exit(0 if store.token("a") is not None else 2)
        except BaseException:  # noqa: BLE001 - a child must never return into pytest
            os._exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.operation("tx-child") is not None
    store.commit(batch_for(make_operation("tx-parent")))


def test_snapshots_use_idle_connections_again(store: SqliteStore) -> None:
    """R562: one after the other they share one connection, which holds no transaction in between; at the same
    time each has its own moment; only a few connections stay open."""
    for n in range(3):
        store.commit(batch_for(make_operation(f"tx-{n}-of-three")))
        with store.snapshot() as reads:
            assert len(reads.operations(OperationQuery())) == n + 1
        (idle,) = store._idle
        assert not idle.connection.in_transaction
    with store.snapshot() as first:
        store.commit(batch_for(make_operation("tx-meanwhile")))
        with store.snapshot() as second:
            assert second.operation("tx-meanwhile") is not None
            assert first.operation("tx-meanwhile") is None
    with ExitStack() as stack:
        for _ in range(IDLE_MAX + 3):
            stack.enter_context(store.snapshot())
    assert len(store._idle) == IDLE_MAX


def test_a_snapshot_that_outlives_its_store_closes_its_connection(path: Path) -> None:
    """R562: nothing stays open behind a store that was closed meanwhile."""
    store = SqliteStore(f"sqlite:///{path}")
    with store.snapshot():
        pass
    with store.snapshot():
        store.close()
    assert store._idle == []
    assert not path.with_name("wallet.db-wal").exists()
    with pytest.raises(StoreUnavailable), store.snapshot():
        pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_takes_no_idle_connection_along(store: SqliteStore) -> None:
    """R562: neither one that was idle nor one whose snapshot the fork interrupted."""
    with store.snapshot():
        pass
    (parents,) = store._idle
    snapshot = store.snapshot()
    snapshot.__enter__()
    child = os.fork()
    if child == 0:
        try:
            with store.snapshot() as reads:
                reads.operations(OperationQuery())
            snapshot.__exit__(None, None, None)
            os._exit(0 if all(link is not parents for link in store._idle) and len(store._idle) == 1 else 2)
        except BaseException:  # noqa: BLE001 - a child must never return into pytest
            os._exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    snapshot.__exit__(None, None, None)
    assert store._idle == [parents]


def test_relative_paths_stay_where_they_were_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with SqliteStore("sqlite:///wallet.db") as store:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        with store.snapshot() as reads:
            assert list(reads.operations(OperationQuery())) == []
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["wallet.db"]


@pytest.mark.parametrize("name", ["with space.db", "hash#.db", "percent%20.db", "ünï.db", "quote'.db"])
def test_odd_file_names(tmp_path: Path, name: str) -> None:
    SqliteStore(f"sqlite:///{tmp_path}/{name}").close()
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    "url",
    ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite://host/x.db", "sqlite://x.db",
     "sqlite:///x.db?mode=ro", "sqlite:////tmp/a\0b"],
)  # fmt: skip
def test_urls_without_a_file_are_refused(url: str) -> None:
    with pytest.raises(StoreUnsupported):
        open_store(url)


def test_create_false_makes_nothing(path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        open_store(f"sqlite:///{path}", create=False)
    assert not path.exists()
    open_store(f"sqlite:///{path}").close()
    open_store(f"sqlite:///{path}", create=False).close()


def test_create_false_refuses_an_empty_file(path: Path) -> None:
    path.touch()
    with pytest.raises(StoreUnsupported):
        open_store(f"sqlite:///{path}", create=False)
    assert path.stat().st_size == 0


def test_a_file_left_empty_by_a_crash_is_finished(path: Path) -> None:
    path.touch(0o600)
    with SqliteStore(f"sqlite:///{path}") as store:
        assert store.operation("x") is None


def test_a_newer_schema_is_refused_and_left_alone(path: Path) -> None:
    SqliteStore(f"sqlite:///{path}").close()
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE meta SET value = 3 WHERE key = 'schema_version'")
    with pytest.raises(StoreUnsupported) as caught:
        SqliteStore(f"sqlite:///{path}")
    assert caught.value.details == {"schema_version": 3, "wanted": 2}


@pytest.mark.parametrize("meta", [False, True])
def test_somebody_elses_database_is_refused_and_left_alone(path: Path, meta: bool) -> None:
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("CREATE TABLE meta (key, value)" if meta else "CREATE TABLE notes (x)")
    before = path.read_bytes()
    with pytest.raises(StoreUnsupported):
        SqliteStore(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"this is a text file, and a rather long one at that " * 50)
    with pytest.raises(CorruptRecord):
        SqliteStore(f"sqlite:///{path}")


def test_a_folder_is_not_a_store(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        SqliteStore(f"sqlite:///{tmp_path}")


def test_two_processes_can_create_one_store_at_once(path: Path) -> None:
    code = "import sys; from nutstate._open_store import open_store; open_store(sys.argv[1]).close()"
    children = [subprocess.Popen([sys.executable, "-c", code, f"sqlite:///{path}"]) for _ in range(4)]
    assert [child.wait() for child in children] == [0, 0, 0, 0]
    SqliteStore(f"sqlite:///{path}", create=False).close()
