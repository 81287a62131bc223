"""The file of a SQLite store: making it, opening connections to it, naming what went wrong."""

from __future__ import annotations

import math
import os
import sqlite3
import time
from pathlib import Path
from typing import Final

from ..errors import CorruptRecord, Duplicate, InvalidBatch, StorageError, StoreUnavailable, StoreUnsupported
from ..migration import wrong_schema
from ..rules.machines import Machines
from .machines import add_machines
from .schema import APPLICATION_ID, SQLITE_OLDEST, SQLITE_SCHEMA_VERSION, UNIQUE_KEYS, statements

BUSY_TIMEOUT_S: Final = 5.0
_PROGRESS_STEPS: Final = 20_000  # virtual machine instructions between two looks at the deadline

_MEANINGS: Final = {
    sqlite3.SQLITE_BUSY: "the store is busy: another program holds its write lock",
    sqlite3.SQLITE_LOCKED: "the store is busy: a table is locked",
    sqlite3.SQLITE_FULL: "no space left for the store (disk full)",
    sqlite3.SQLITE_READONLY: "the store is read-only",
    sqlite3.SQLITE_PERM: "no permission to open the store",
    sqlite3.SQLITE_CANTOPEN: "the store file cannot be opened",
    sqlite3.SQLITE_IOERR: "the disk of the store reports an error",
    sqlite3.SQLITE_INTERRUPT: "the read took too long and was stopped",
    sqlite3.SQLITE_NOMEM: "out of memory",
}


class Link:
    """A connection and the moment (monotonic) at which its running read is to be stopped."""

    def __init__(self, path: Path) -> None:
        # mode=rw: SQLite must never create the file itself, it would be readable by others.
        self.connection = sqlite3.connect(
            f"{path.as_uri()}?mode=rw",
            uri=True,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,  # close() closes the connections of every thread
            cached_statements=256,
        )
        self.deadline = math.inf
        self.connection.set_progress_handler(self._late, _PROGRESS_STEPS)
        try:
            self.connection.execute("PRAGMA synchronous = FULL")  # the first look at the file
        except sqlite3.Error:
            self.connection.close()
            raise

    def _late(self) -> bool:
        return time.monotonic() > self.deadline

    def rollback(self) -> None:
        """Leave the transaction, if there still is one."""
        try:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
        except sqlite3.Error:
            # SQLite has rolled back by itself, or the file is gone; nothing is left to undo here.
            return


def create_file(path: Path) -> None:
    """Make the empty file, and missing folders, for the owner only. SQLite gives ``-wal`` and
    ``-shm`` the mode of the file, so there is no moment at which others can read."""
    for folder in reversed([p for p in path.parents if not p.exists()]):
        folder.mkdir(mode=0o700, exist_ok=True)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return
    if os.name == "posix":  # the name must survive a power cut as well
        folder_fd = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder_fd)
        finally:
            os.close(folder_fd)


def tighten(path: Path) -> None:
    """Remove the access of all other users to an existing store."""
    if os.name != "posix":
        return
    for name in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        try:
            if name.stat().st_mode & 0o077:
                name.chmod(0o600)
        except FileNotFoundError:
            continue


def prepare(path: Path, create: bool, machines: Machines) -> None:
    """Make sure that ``path`` is a store of this schema version, in WAL mode, and holds ``machines``.

    Raises StoreUnsupported for a foreign file and for another schema (it is left as it is), or with code
    MACHINE_CHANGED; StoreUnavailable when there is none and ``create`` is False; CorruptRecord when it is no
    SQLite file.
    """
    if sqlite3.sqlite_version_info < SQLITE_OLDEST:
        raise StoreUnsupported(f"SQLite {sqlite3.sqlite_version} is too old: 3.31 or later is needed")
    try:
        if not path.exists():
            if not create:
                raise StoreUnavailable(f"there is no store at {path}")
            create_file(path)
        tighten(path)
    except OSError as error:
        raise StoreUnavailable(f"cannot open {path}: {error.strerror or type(error).__name__}") from error
    link = None
    try:
        link = Link(path)
        _check_kind(link.connection, path, create)
        _to_wal(link.connection, path)
        if create:
            _create_tables(link.connection)
        check_version(link.connection, path)
        add_machines(link.connection, machines)
    except sqlite3.Error as error:
        raise meaning(error, path) from error
    finally:
        if link is not None:
            link.rollback()
            link.connection.close()


def _check_kind(connection: sqlite3.Connection, path: Path, create: bool) -> None:
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if (tables and "meta" not in tables) or (not tables and not create):
        raise StoreUnsupported(f"{path} is not a nutstate store")
    if tables:
        check_version(connection, path)


def _to_wal(connection: sqlite3.Connection, path: Path) -> None:
    # SQLite does not wait for the lock that this change of mode needs, so wait here.
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    if mode != "wal":
        raise StoreUnsupported(f"{path}: this place cannot keep a write-ahead log (a network drive?)")


def _create_tables(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
        for statement in statements():
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.executemany(
            "INSERT INTO meta (key, value) VALUES (?, ?)",
            [("schema_version", SQLITE_SCHEMA_VERSION), ("settled", 0)],
        )
    connection.execute("COMMIT")


def schema_version(connection: sqlite3.Connection, path: Path) -> int:
    """The schema number of the file. StoreUnsupported when it names none."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
    if row is None or type(row[0]) is not int:
        raise StoreUnsupported(f"{path} is not a nutstate store")
    return int(row[0])


def check_version(connection: sqlite3.Connection, path: Path) -> None:
    """StoreUnsupported, with what to do, unless the file has the schema of this release."""
    found = schema_version(connection, path)
    if found != SQLITE_SCHEMA_VERSION:
        raise wrong_schema(str(path), found, SQLITE_SCHEMA_VERSION, f"sqlite:///{path}")


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's primary result code, or -1 when the error came from Python's side."""
    code = getattr(error, "sqlite_errorcode", None)
    return -1 if code is None else int(code) & 0xFF


def meaning(error: sqlite3.Error, path: Path) -> StorageError:
    """The meaning of an SQLite error for a caller. SQLite's messages hold names, never values."""
    code = primary_code(error)
    if code == sqlite3.SQLITE_CONSTRAINT:
        columns = str(error).partition("UNIQUE constraint failed: ")[2]
        if columns in UNIQUE_KEYS:
            return Duplicate(UNIQUE_KEYS[columns])
        return InvalidBatch(f"the store refuses this change: {error}")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return CorruptRecord(f"{path} is damaged or no SQLite file", document=str(path), field="")
    if code in _MEANINGS:
        return StoreUnavailable(f"{path}: {_MEANINGS[code]}")
    if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
        return StoreUnavailable(f"{path}: the store is closed")
    return StoreUnavailable(f"{path}: {type(error).__name__}: {error}")
