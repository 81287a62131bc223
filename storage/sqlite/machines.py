"""The machines that a SQLite file knows, and the triggers that hold every step to them. Opening a store only
adds machines; one that is there never changes, so programs of two releases can use one file."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Final

from ..rules.machines import Machines, Version

# An edge is looked up by its ends first: audit records name the machine in one text, tokens name no version.
# (The columns stand in the order of the key: some releases of SQLite take another order for damage.)
MACHINE_TABLES: Final = """
CREATE TABLE machines (
  name TEXT NOT NULL, version INTEGER NOT NULL, hash TEXT NOT NULL,
  sealed INTEGER NOT NULL CHECK (sealed IN (0, 1)),
  PRIMARY KEY (name, version)
) WITHOUT ROWID;

CREATE TABLE edges (
  source TEXT NOT NULL, dest TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL,
  PRIMARY KEY (source, dest, name, version)
) WITHOUT ROWID;

CREATE TABLE states (
  name TEXT NOT NULL, version INTEGER NOT NULL, state TEXT NOT NULL, kind TEXT NOT NULL, ends TEXT NOT NULL,
  PRIMARY KEY (name, version, state)
) WITHOUT ROWID;
"""

_IS_KNOWN: Final = (
    "EXISTS (SELECT 1 FROM machines WHERE name = NEW.kind AND version = NEW.machine_version"
    " AND hash = NEW.machine_hash AND sealed = 1)"
)
_IS_EDGE: Final = (
    "EXISTS (SELECT 1 FROM edges WHERE source = coalesce(NEW.prev_state, 'none') AND dest = NEW.state"
    " AND name = NEW.kind AND version = NEW.machine_version)"
)
_IS_STATE: Final = (
    "EXISTS (SELECT 1 FROM states WHERE name = NEW.kind AND version = NEW.machine_version"
    " AND state = NEW.state AND kind = NEW.kind_of_state AND ends = NEW.ends)"
)
_IS_TOKEN_EDGE: Final = (
    "EXISTS (SELECT 1 FROM edges WHERE source = coalesce(NEW.prev_state, 'none') AND dest = NEW.state"
    " AND name = 'token')"
)
_IS_RECORDED_EDGE: Final = (
    "EXISTS (SELECT 1 FROM edges WHERE source = json_extract(NEW.doc, '$.from_state')"
    " AND dest = json_extract(NEW.doc, '$.to_state')"
    " AND name || '@' || version = json_extract(NEW.doc, '$.machine')"
    " AND (name = 'token') = (NEW.entity LIKE 'token:%'))"
)


def _refuse(sentence: str) -> str:
    return f"BEGIN SELECT RAISE(ABORT, '{sentence}'); END;"


def _fixed(table: str, name: str) -> str:
    """Rows of the table are added while their machine is open, and then stay."""
    return f"""
CREATE TRIGGER {name}_of_open_machine BEFORE INSERT ON {table}
WHEN NOT EXISTS (SELECT 1 FROM machines WHERE name = NEW.name AND version = NEW.version AND sealed = 0)
{_refuse(f"{table} are added with their machine, and to no other")}

CREATE TRIGGER {name}_fixed BEFORE UPDATE ON {table}
{_refuse("a stored machine never changes")}

CREATE TRIGGER {name}_kept BEFORE DELETE ON {table}
{_refuse("a stored machine is never removed")}
"""


# A machine is added open, gets its edges and states, and is sealed for good: all in one transaction.
_MACHINE_IS_FIXED: Final = f"""
CREATE TRIGGER machine_once BEFORE INSERT ON machines
WHEN NEW.sealed <> 0 OR EXISTS (SELECT 1 FROM machines WHERE name = NEW.name AND version = NEW.version)
{_refuse("UNIQUE constraint failed: machines.name, machines.version")}

CREATE TRIGGER machine_fixed BEFORE UPDATE ON machines
WHEN OLD.sealed <> 0 OR NEW.sealed <> 1
  OR NEW.name IS NOT OLD.name OR NEW.version IS NOT OLD.version OR NEW.hash IS NOT OLD.hash
{_refuse("a stored machine never changes")}

CREATE TRIGGER machine_kept BEFORE DELETE ON machines
{_refuse("a stored machine is never removed")}
"""

MACHINE_RULES: Final = f"""
CREATE TRIGGER operation_step_on_insert BEFORE INSERT ON operations
WHEN NOT {_IS_KNOWN} OR NOT {_IS_EDGE} OR NOT {_IS_STATE}
{_refuse("legal_step: no edge of the machine that the operation names")}

CREATE TRIGGER operation_step_on_update BEFORE UPDATE OF
  kind, state, prev_state, kind_of_state, ends, version, machine_version, machine_hash ON operations
WHEN NOT {_IS_KNOWN} OR NOT {_IS_EDGE} OR NOT {_IS_STATE}
{_refuse("legal_step: no edge of the machine that the operation names")}

CREATE TRIGGER operation_machine_fixed BEFORE UPDATE OF kind, machine_version, machine_hash ON operations
WHEN NEW.kind IS NOT OLD.kind OR NEW.machine_version IS NOT OLD.machine_version
  OR NEW.machine_hash IS NOT OLD.machine_hash
{_refuse("the machine of an operation never changes")}

CREATE TRIGGER token_step_on_insert BEFORE INSERT ON tokens
WHEN NOT {_IS_TOKEN_EDGE}
{_refuse("legal_step: no edge of the token machine")}

CREATE TRIGGER token_step_on_update BEFORE UPDATE OF state, prev_state, version ON tokens
WHEN NOT {_IS_TOKEN_EDGE}
{_refuse("legal_step: no edge of the token machine")}

CREATE TRIGGER audit_step BEFORE INSERT ON audit
WHEN NOT {_IS_RECORDED_EDGE}
{_refuse("legal_step: no edge of the machine that the record names")}
{_MACHINE_IS_FIXED}
{_fixed("edges", "edge")}
{_fixed("states", "state")}
"""


def stored_hashes(connection: sqlite3.Connection) -> Mapping[str, str]:
    """The content hash of every machine in the file, by label."""
    rows = connection.execute("SELECT name, version, hash FROM machines ORDER BY name, version")
    return {f"{name}@{version}": found for name, version, found in rows}


def stored_machines(connection: sqlite3.Connection) -> Machines:
    """Every machine in the file, whole."""
    edges = connection.execute("SELECT name, version, source, dest FROM edges").fetchall()
    states = connection.execute("SELECT name, version, state, kind, ends FROM states").fetchall()
    return Machines(
        Version(
            name,
            number,
            content_hash,
            frozenset((source, dest) for n, v, source, dest in edges if (n, v) == (name, number)),
            {state: (kind, ends) for n, v, state, kind, ends in states if (n, v) == (name, number)},
        )
        for name, number, content_hash in connection.execute("SELECT name, version, hash FROM machines")
    )


def add_machines(connection: sqlite3.Connection, machines: Machines) -> tuple[str, ...]:
    """Add the machines that the file lacks, all or none; the labels of those that were added. Code
    MACHINE_CHANGED when the file has one of them with another content. Raises sqlite3.Error."""
    if not machines.missing_in(stored_hashes(connection)):
        return ()
    connection.execute("BEGIN IMMEDIATE")  # another program may be adding the same: look again
    missing = machines.missing_in(stored_hashes(connection))
    for version in missing:
        insert_machine(connection, version)
    connection.execute("COMMIT")
    return tuple(version.label for version in missing)


def insert_machine(connection: sqlite3.Connection, version: Version) -> None:
    """The rows of one machine: its own, which is open, those of its edges and states, and then the seal."""
    name, number = version.name, version.number
    connection.execute(
        "INSERT INTO machines (name, version, hash, sealed) VALUES (?, ?, ?, 0)", (name, number, version.hash)
    )
    connection.executemany(
        "INSERT INTO edges (name, version, source, dest) VALUES (?, ?, ?, ?)",
        [(name, number, source, dest) for source, dest in sorted(version.edges)],
    )
    connection.executemany(
        "INSERT INTO states (name, version, state, kind, ends) VALUES (?, ?, ?, ?, ?)",
        [(name, number, state, kind, ends) for state, (kind, ends) in sorted(version.states.items())],
    )
    connection.execute("UPDATE machines SET sealed = 1 WHERE name = ? AND version = ?", (name, number))
