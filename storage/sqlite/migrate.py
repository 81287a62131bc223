"""From an older schema of a SQLite store to that of this release. The whole file is copied first, then all
steps are one transaction: after any interruption the file is as it was, or migrated."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from ..errors import StorageError
from ..migration import Migration, Step, operation_of_schema_2, unknown_machines, way
from ..rules.codec import load_json
from ..rules.machines import Machines
from ..rules.plain import dump_json
from .file import Link, meaning, schema_version
from .machines import insert_machine
from .rows import OPERATION_SELECT, operation_from_row
from .schema import OPERATION_COLUMNS, SQLITE_SCHEMA_VERSION, statements

SqliteStep = Step[sqlite3.Connection]


def migrate(path: Path, machines: Machines, reached: Callable[[str], None] = lambda name: None) -> Migration:
    """Bring the file to the schema of this release. ``reached`` is told the name of each part before it
    begins.

    Raises StoreUnsupported with code UNKNOWN_MACHINE when an operation runs under a machine that is not among
    ``machines``; StoreUnavailable, CorruptRecord. Then nothing was changed."""
    try:
        with closing(Link(path).connection) as connection, _transaction(connection):
            # The version is read behind the write lock: another program may be migrating the file as well.
            start = schema_version(connection, path)
            steps = way(STEPS, start, SQLITE_SCHEMA_VERSION)
            if not steps:
                return Migration(start, start, ())
            _check_machines(connection, machines)
            reached("copy")
            copy = _copy(path, start)
            for step in steps:
                reached(step.name)
                step.run(connection, machines)
            reached("check")
            _check(connection)
            change = "UPDATE meta SET value = ? WHERE key = 'schema_version'"
            connection.execute(change, (SQLITE_SCHEMA_VERSION,))
            reached("commit")
            connection.execute("COMMIT")
        return _told(steps, start, copy, done=True)
    except sqlite3.Error as error:
        raise meaning(error, path) from error
    except OSError as error:
        raise StorageError(f"{path} cannot be copied: {error.strerror}; nothing was changed") from error


def planned(connection: sqlite3.Connection, path: Path) -> Migration | None:
    """The migration that :func:`migrate` would make; None when the schema is not an older one."""
    start = schema_version(connection, path)
    if start >= SQLITE_SCHEMA_VERSION:
        return None
    return _told(way(STEPS, start, SQLITE_SCHEMA_VERSION), start, _place(path, start), done=False)


def _told(steps: tuple[SqliteStep, ...], start: int, copy: Path, *, done: bool) -> Migration:
    return Migration(start, SQLITE_SCHEMA_VERSION, tuple(step.text for step in steps), done, str(copy))


def _place(path: Path, start: int) -> Path:
    return path.with_name(f"{path.name}.schema-{start}")


def _copy(path: Path, start: int) -> Path:
    """A copy of the whole store, readable by its owner only. It replaces the one that an interrupted
    migration left, which may be older."""
    place = _place(path, start)
    unfinished = place.with_name(place.name + ".unfinished")
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    with closing(Link(path).connection) as source, closing(sqlite3.connect(unfinished)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
    with unfinished.open("rb+") as file:
        os.fsync(file.fileno())
    unfinished.replace(place)
    return place


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _check(connection: sqlite3.Connection) -> None:
    """Every operation decodes as this release stores it. Raises CorruptRecord."""
    for row in connection.execute(f"SELECT {OPERATION_SELECT} FROM operations"):
        operation_from_row(row)


# -- from 1 to 2: machines are rows, and triggers hold every step to them -----------------------------------

_REBUILT: Final = ("operations", "tokens")  # SQLite cannot take a CHECK out of a table
_NEW: Final = (*_REBUILT, "machines", "edges", "states")


def _check_machines(connection: sqlite3.Connection, machines: Machines) -> None:
    """Only of a machine that this program has is it known what a state is, and where it leads."""
    rows = connection.execute(
        "SELECT id, json_extract(doc, '$.machine.name'), json_extract(doc, '$.machine.version'),"
        " json_extract(doc, '$.machine.hash') FROM operations ORDER BY id"
    )
    unknown: dict[str, list[str]] = {}
    for name, machine, version, content_hash in rows:
        label = f"{machine}@{version}"
        if machines.hashes.get(label) != content_hash:
            unknown.setdefault(label, []).append(str(name))
    if unknown:
        raise unknown_machines(unknown)


def _set_aside(connection: sqlite3.Connection, machines: Machines) -> None:
    connection.execute("CREATE TEMP TABLE dropped (name TEXT, sql TEXT)")
    triggers = "SELECT name, sql FROM main.sqlite_master WHERE type = 'trigger'"
    connection.execute(f"INSERT INTO dropped {triggers}")
    for name, _ in connection.execute(triggers).fetchall():
        connection.execute(f'DROP TRIGGER "{name}"')
    indexes = "SELECT name FROM main.sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    for (name,) in connection.execute(indexes).fetchall():
        connection.execute(f'DROP INDEX "{name}"')
    for table in _REBUILT:
        connection.execute(f"ALTER TABLE {table} RENAME TO {table}_before")


def _make_tables(connection: sqlite3.Connection, machines: Machines) -> None:
    # With schema 3, the statements of schema 2 stay here.
    for statement in statements():
        if statement.startswith(tuple(f"CREATE TABLE {name} " for name in _NEW)):
            connection.execute(statement)
    for version in machines.versions:
        insert_machine(connection, version)


def _move_operations(connection: sqlite3.Connection, machines: Machines) -> None:
    old = _columns(connection, "operations_before")
    for row in connection.execute(f"SELECT {', '.join(old)} FROM operations_before"):
        found: dict[str, Any] = dict(zip(old, row, strict=True))
        document = load_json(found.pop("doc"), f"operation:{found['id']}", "doc")
        machine = document["machine"]
        version = machines.by_label[f"{machine['name']}@{machine['version']}"]
        document = operation_of_schema_2(document | {"state": found["state"]}, version)
        found["lease_term"] = found.pop("lease_fence")
        for name in (*OPERATION_COLUMNS, "machine", "lease"):
            value = document.pop(name, None)
            if name in ("kind_of_state", "ends"):
                found[name] = value
        found |= {"machine_version": version.number, "machine_hash": version.hash, "doc": dump_json(document)}
        names, marks = ", ".join(found), ", ".join("?" * len(found))
        connection.execute(f"INSERT INTO operations ({names}) VALUES ({marks})", tuple(found.values()))


def _move_tokens(connection: sqlite3.Connection, machines: Machines) -> None:
    columns = ", ".join(_columns(connection, "tokens_before"))
    connection.execute(f"INSERT INTO tokens ({columns}) SELECT {columns} FROM tokens_before")


def _make_rules(connection: sqlite3.Connection, machines: Machines) -> None:
    for table in _REBUILT:
        counts = [
            connection.execute(f"SELECT count(*) FROM {name}").fetchone()
            for name in (table, f"{table}_before")
        ]
        if counts[0] != counts[1]:
            raise StorageError(f"not every row of {table} was moved; nothing was changed")
        connection.execute(f"DROP TABLE {table}_before")
    for statement in statements():
        if statement.startswith("CREATE TRIGGER ") or " INDEX " in statement.splitlines()[0]:
            connection.execute(statement)
    # Perhaps triggers of another program: the doctor names them.
    for (sql,) in connection.execute(
        "SELECT sql FROM dropped WHERE name NOT IN (SELECT name FROM main.sqlite_master)"
    ).fetchall():
        connection.execute(sql)
    connection.execute("DROP TABLE temp.dropped")


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    """The columns that hold data of their own: generated ones are not among them."""
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]


STEPS: Final = (
    SqliteStep(1, "set aside", "set the tables of operations and tokens aside, with their rules", _set_aside),
    SqliteStep(
        1, "tables", "make them anew, and tables for machines with all that this program has", _make_tables
    ),
    SqliteStep(
        1, "operations", "move the operations; each says now what kind of state it is in", _move_operations
    ),
    SqliteStep(1, "tokens", "move the tokens", _move_tokens),
    SqliteStep(1, "rules", "make indexes and rules: each step must be an edge of its machine", _make_rules),
)
"""Every step there ever was, by the schema it begins with."""
OLDEST: Final = STEPS[0].start
