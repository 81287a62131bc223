"""The default store: one SQLite file in WAL mode, every commit on the disk before it returns."""

from __future__ import annotations

import math
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeVar

from ..ahead import Read
from ..batch import Batch
from ..errors import CommitUnknown, Conflict, Duplicate, InvalidBatch, StoreUnavailable, StoreUnsupported
from ..port import Note, Reader
from ..read_back import ReadBack
from ..records import Operation, Tombstone
from ..rules.batch import check_batch, check_tombstone
from ..rules.machines import BUILT_IN, Machines
from .file import BUSY_TIMEOUT_S, Link, check_version, meaning, prepare, primary_code
from .read import SqliteReads
from .rows import OPERATION_SELECT, operation_from_row
from .write import apply_batch, apply_note, bury

R = TypeVar("R")

READ_TIMEOUT_S: Final = 10.0
IDLE_MAX: Final = 8  # connections kept for the next snapshots
# A COMMIT that ends so has certainly not written its last frame, without which the others do not
# count; after any other error the file must tell.
_NOTHING_WRITTEN: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL)

_HELD: Final = """SELECT EXISTS (SELECT 1 FROM audit WHERE batch_id = ?) OR EXISTS (
  SELECT 1 FROM tombstones, json_each(tombstones.spans) AS span, json_each(span.value, '$.batches') AS named
  WHERE tombstones.operation_id = ? AND named.value = ?)"""


def sqlite_path(url: str) -> Path:
    """The file of ``sqlite:///relative.db`` or ``sqlite:////absolute/path.db``, made absolute."""
    scheme, _, rest = url.partition("://")
    path = rest.removeprefix("/")
    if scheme != "sqlite" or not rest.startswith("/") or path in ("", ":memory:"):
        raise StoreUnsupported("a SQLite store needs a file: sqlite:///wallet.db or sqlite:////srv/wallet.db")
    if "?" in path or "\0" in path:
        raise StoreUnsupported("a SQLite store has no URL options")
    return Path(path).absolute()


class _OneTransaction(SqliteReads):
    """Reads inside the transaction that is open on a connection: a snapshot, or what a commit has written."""

    def __init__(self, path: Path, link: Link) -> None:
        self._path = path
        self._link = link

    def _rows(self, sql: str, values: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
        return _fetch(self._link, self._path, sql, values)


def _fetch(
    link: Link, path: Path, sql: str, values: Sequence[Any] | Mapping[str, Any]
) -> list[tuple[Any, ...]]:
    link.deadline = time.monotonic() + READ_TIMEOUT_S
    try:
        return link.connection.execute(sql, values).fetchall()
    except sqlite3.Error as error:
        raise meaning(error, path) from error
    except (UnicodeError, OverflowError):
        refusal = StoreUnavailable(f"{path}: the query holds a value that cannot be stored")
    finally:
        link.deadline = math.inf
    raise refusal  # outside the handler: the cause shows the value


class SqliteStore(SqliteReads):
    """A :class:`~nutstate.storage.port.Store` in one file. Safe to share between threads and, each
    with its own instance, between processes. ``url`` never holds credentials."""

    def __init__(self, url: str, *, create: bool = True, machines: Machines = BUILT_IN) -> None:
        self.url = url
        self.machines = machines
        self._path = sqlite_path(url)
        self._local = threading.local()
        self._links: list[tuple[threading.Thread, Link]] = []
        self._abandoned: list[object] = []
        self._idle: list[Link] = []  # of snapshots that have ended
        self._guard = threading.Lock()  # protects _links and _idle
        self._writing = threading.Lock()  # our own threads queue here, fairly, not in SQLite's busy loop
        self._closed = False
        self._pid = os.getpid()
        prepare(self._path, create, machines)

    # -- connections -----------------------------------------------------------------------------

    def _link(self) -> Link:
        if self._pid != os.getpid():
            self._after_fork()
        link: Link | None = getattr(self._local, "link", None)
        if link is not None and not self._closed:
            return link
        try:
            with self._guard:
                if self._closed:
                    raise StoreUnavailable(f"{self._path}: the store is closed")
                self._drop_dead_threads()
                link = Link(self._path)
                self._links.append((threading.current_thread(), link))
        except sqlite3.Error as error:
            raise meaning(error, self._path) from error
        self._local.link = link
        return link

    def _after_fork(self) -> None:
        # A connection must not cross a fork, not even to be closed: keep it alive and untouched.
        self._abandoned.append((self._local, self._links, self._idle))
        self._local, self._links, self._idle = threading.local(), [], []
        self._guard, self._writing = threading.Lock(), threading.Lock()
        self._pid = os.getpid()

    def _drop_dead_threads(self) -> None:
        for thread, link in self._links:
            if not thread.is_alive():
                link.connection.close()
        self._links = [(thread, link) for thread, link in self._links if thread.is_alive()]

    def close(self) -> None:
        """Close the connections of every thread. Reads and commits then raise StoreUnavailable."""
        with self._guard:
            self._closed = True
            for link in (*(link for _, link in self._links), *self._idle):
                link.connection.close()
            self._links, self._idle = [], []

    def __enter__(self) -> SqliteStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- reads -----------------------------------------------------------------------------------

    def _rows(self, sql: str, values: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
        return _fetch(self._link(), self._path, sql, values)

    @contextmanager
    def snapshot(self, ahead: Sequence[Read] = ()) -> Iterator[Reader]:
        """Reads that all see the moment at which the block was entered."""
        link, pid = self._idle_link(), os.getpid()
        try:
            _fetch(link, self._path, "BEGIN", ())
            _fetch(link, self._path, "SELECT 1 FROM meta", ())  # the first read fixes the moment
            yield _OneTransaction(self._path, link)
        finally:
            self._give_back(link, pid)

    def _idle_link(self) -> Link:
        """A connection that this call has for itself: opening one costs more than most snapshots read."""
        if self._pid != os.getpid():
            self._after_fork()
        with self._guard:
            if self._closed:
                raise StoreUnavailable(f"{self._path}: the store is closed")
            if self._idle:
                return self._idle.pop()
        try:
            return Link(self._path)
        except sqlite3.Error as error:
            raise meaning(error, self._path) from error

    def _give_back(self, link: Link, pid: int) -> None:
        if pid != os.getpid():  # the block was left by a fork, too: it is the other process's connection
            self._abandoned.append(link)
            return
        link.rollback()
        with self._guard:
            if not self._closed and len(self._idle) < IDLE_MAX and not link.connection.in_transaction:
                self._idle.append(link)
                return
        link.connection.close()

    # -- writes ----------------------------------------------------------------------------------

    @contextmanager
    def _writer(self) -> Iterator[Link]:
        """The thread's connection, with our own write lock held and nothing left open after."""
        link = self._link()
        writing = self._writing
        if not writing.acquire(timeout=BUSY_TIMEOUT_S):
            raise StoreUnavailable(f"{self._path}: the store is busy")
        try:
            yield link
        finally:
            link.rollback()
            writing.release()

    def _apply(self, link: Link, work: Callable[[sqlite3.Connection], R]) -> R:
        """BEGIN IMMEDIATE and ``work``; leaves the transaction open. sqlite3.Error is translated."""
        try:
            link.connection.execute("BEGIN IMMEDIATE")
            check_version(link.connection, self._path)  # another program may have migrated it meanwhile
            return work(link.connection)
        except sqlite3.Error as error:
            raise meaning(error, self._path) from error
        except (UnicodeError, OverflowError):
            refusal = InvalidBatch("the batch holds a value that cannot be stored")
        raise refusal  # outside the handler: the cause shows the value

    def _finish(self, connection: sqlite3.Connection) -> None:
        """The COMMIT itself (a seam: tests lose its answer here)."""
        connection.execute("COMMIT")

    def commit(self, batch: Batch, read_back: ReadBack | None = None) -> None:
        """See :meth:`nutstate.storage.port.Store.commit`. On return the batch is on the disk."""
        audit_texts = check_batch(batch, self.machines)

        def work(connection: sqlite3.Connection) -> None:
            apply_batch(connection, batch, audit_texts)
            if read_back is not None:
                read_back.ask(_OneTransaction(self._path, link))

        with self._writer() as link:
            try:
                self._apply(link, work)
            except (Conflict, Duplicate):
                link.rollback()  # first, or our own audit records would be found
                if not self._holds(link, batch):
                    raise
                return
            try:
                self._finish(link.connection)
            except sqlite3.Error as error:
                link.rollback()
                if primary_code(error) in _NOTHING_WRITTEN or not self._settle(batch):
                    raise meaning(error, self._path) from error

    def _holds(self, link: Link, batch: Batch) -> bool:
        """Whether the batch was applied before: its records are there, or the tombstone that took their
        place names it (CommitUnknown if the file does not say)."""
        try:
            found = link.connection.execute(_HELD, (batch.id, batch.operation.after.id, batch.id))
            return bool(found.fetchone()[0])
        except sqlite3.Error as error:
            raise CommitUnknown(batch.id, str(meaning(error, self._path))) from error

    def _settle(self, batch: Batch) -> bool:
        """After a COMMIT that failed: is the batch in the file? Asked on a fresh connection.

        Frames of a failed COMMIT can still lie in the log and be found after a crash. So "no" is
        only said after another write has been made durable over them.
        """
        link = None
        try:
            link = Link(self._path)
            link.connection.execute("BEGIN IMMEDIATE")
            if self._holds(link, batch):
                return True
            link.connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'settled'")
            self._finish(link.connection)
            return False
        except sqlite3.Error as error:
            raise CommitUnknown(batch.id, str(meaning(error, self._path))) from error
        finally:
            if link is not None:
                link.rollback()
                link.connection.close()

    def note(self, note: Note) -> Operation | None:
        """See :meth:`nutstate.storage.port.Store.note`."""
        with self._writer() as link:
            if not self._apply(link, lambda connection: apply_note(connection, note)):
                return None
            try:
                row = link.connection.execute(
                    f"SELECT {OPERATION_SELECT} FROM operations WHERE id = ?", (note.operation_id,)
                ).fetchone()
                operation = operation_from_row(row)
                self._finish(link.connection)
            except sqlite3.Error as error:
                raise meaning(error, self._path) from error
            return operation

    def purge(self, tombstone: Tombstone) -> int:
        """See :meth:`nutstate.storage.port.Store.purge`."""
        check_tombstone(tombstone)
        with self._writer() as link:
            gone = self._apply(link, lambda connection: bury(connection, tombstone))
            try:
                self._finish(link.connection)
            except sqlite3.Error as error:
                meant = meaning(error, self._path)
                if primary_code(error) in _NOTHING_WRITTEN:
                    raise meant from error
                raise CommitUnknown(f"purge:{tombstone.operation_id}", str(meant)) from error
            return gone
