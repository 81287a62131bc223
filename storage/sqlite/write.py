"""Applies one batch to an open SQLite transaction: compare-and-set updates, then inserts."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from ...machines.token.table import STATUS_OF_STATE
from ..batch import Advance, Batch, DedupTake, IndexInsert, IndexMove, Insert
from ..errors import Conflict
from ..port import CountFailure, DropLease, KeepLease, Note, Reschedule, TakeLease
from ..records import Operation, Token, Tombstone
from ..rules.batch import gains_proofs
from ..rules.codec import to_plain
from ..rules.plain import dump_json
from .rows import audit_row, lease_row, operation_row, token_row, tombstone_row
from .schema import AUDIT_COLUMNS, OPERATION_COLUMNS, TOKEN_COLUMNS
from .written import WRITTEN

_AUDIT: Final = (*AUDIT_COLUMNS, "doc")
_INDEX: Final = ("key", "token_id", "operation_id")
_ROWS_MAX: Final = 50
"""Rows of one statement. Between two statements another thread of the program may take its turn, and all
others wait for our write lock meanwhile: few statements keep that short."""


def apply_batch(connection: sqlite3.Connection, batch: Batch, audit_texts: Sequence[str]) -> None:
    """Every change of the batch; raises Conflict or sqlite3.Error, the caller rolls back.

    Proofs leave a token before another one takes them, and operation and dedup come first, so
    that a lost race is named by what it was about.
    """
    operation_id = batch.operation.after.id
    if isinstance(batch.operation, Insert):
        _insert(connection, "operations", operation_row(batch.operation.after))
    else:
        _advance_operation(connection, batch.operation)
    if batch.dedup is not None:
        _take_dedup(connection, batch.dedup)
    changes = sorted(batch.tokens, key=lambda change: change.after.transaction_id)
    stored = [change for change in changes if isinstance(change, Advance)]
    for advance in sorted(stored, key=gains_proofs):  # what loses proofs first
        _advance_token(connection, advance)
    for move in batch.index:
        if isinstance(move, IndexMove):
            _move_proofs(connection, move, operation_id)
    for change in changes:
        if isinstance(change, Insert):
            _insert(connection, "tokens", token_row(change.after))
    for entry in batch.index:
        if isinstance(entry, IndexInsert):
            rows = [(key, entry.token_id, operation_id) for key in sorted(entry.keys)]
            _insert_all(connection, "proof_index", _INDEX, rows)
    rows = [audit_row(record, text) for record, text in zip(batch.audit, audit_texts, strict=True)]
    _insert_all(connection, "audit", _AUDIT, rows)


def _insert(connection: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> None:
    connection.execute(
        f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values())
    )


def _insert_all(
    connection: sqlite3.Connection, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    one = f"({', '.join('?' * len(columns))})"
    for first in range(0, len(rows), _ROWS_MAX):
        part = rows[first : first + _ROWS_MAX]
        connection.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([one] * len(part))}",
            [value for row in part for value in row],
        )


def _update(connection: sqlite3.Connection, sql: str, values: Sequence[Any]) -> bool:
    return connection.execute(sql, values).rowcount == 1


def _advance_operation(connection: sqlite3.Connection, change: Advance[Operation]) -> None:
    before, after = change.before, change.after
    row = operation_row(after)
    written = {name: row[name] for name in OPERATION_COLUMNS if getattr(before, name) != row[name]}
    written["doc"] = row["doc"]
    if before.lease != after.lease:
        written |= lease_row(None if after.lease is None else attrs.asdict(after.lease))
    if not _update(
        connection,
        f"UPDATE operations SET {', '.join(f'{name} = ?' for name in written)}"
        " WHERE id = ? AND state = ? AND version = ?",
        (*written.values(), before.id, before.state, before.version),
    ):
        raise Conflict(f"operation:{before.id}")


def _advance_token(connection: sqlite3.Connection, change: Advance[Token]) -> None:
    before, after = change.before, change.after
    written = {
        name: getattr(after, name) for name in TOKEN_COLUMNS if getattr(before, name) != getattr(after, name)
    }
    if "state" in written:
        written["status"] = STATUS_OF_STATE[after.state]
    if before.proofs != after.proofs or before.metadata != after.metadata:
        document = to_plain(after)
        written |= {name: dump_json(document[name]) for name in ("proofs", "metadata")}
        WRITTEN.note_proofs(after.transaction_id, written["proofs"], after.proofs)
    if not _update(
        connection,
        f"UPDATE tokens SET {', '.join(f'{name} = ?' for name in written)}"
        " WHERE transaction_id = ? AND state = ? AND version = ?",
        (*written.values(), before.transaction_id, before.state, before.version),
    ):
        raise Conflict(f"token:{before.transaction_id}")


def _move_proofs(connection: sqlite3.Connection, move: IndexMove, operation_id: str) -> None:
    moved = connection.execute(
        "UPDATE proof_index SET token_id = ?, operation_id = ?"
        " WHERE key IN (SELECT value FROM json_each(?)) AND token_id = ?",
        (move.to_token, operation_id, json.dumps(move.keys), move.from_token),
    ).rowcount
    if move.keys and moved != len(move.keys):
        raise Conflict(f"token:{move.from_token}")


def _take_dedup(connection: sqlite3.Connection, take: DedupTake) -> None:
    record, previous = take.record, take.previous
    if previous is None:
        _insert(connection, "dedup", to_plain(record))
    elif not _update(
        connection,
        "UPDATE dedup SET operation_id = ?, expires_at = ?"
        " WHERE key = ? AND operation_id = ? AND expires_at = ?",
        (record.operation_id, record.expires_at, record.key, previous.operation_id, previous.expires_at),
    ):
        raise Conflict(f"dedup:{record.key}")


def apply_note(connection: sqlite3.Connection, note: Note) -> bool:
    """Apply a note to an open transaction; False when its term does not hold."""
    held = " WHERE id = ? AND lease_worker = ? AND lease_term = ?"
    match note:
        case TakeLease():
            worker, term = note.breaking or (None, None)
            return _update(
                connection,
                "UPDATE operations SET lease_worker = ?, lease_until = ?, lease_term = lease_term + 1"
                " WHERE id = ? AND (lease_worker IS NULL OR lease_until <= ? OR lease_until > ?"
                " OR (lease_worker = ? AND lease_term = ?))",
                (note.worker, note.until, note.operation_id, note.now, note.beyond, worker, term),
            )
        case KeepLease():
            return _update(
                connection,
                "UPDATE operations SET lease_until = ?" + held,
                (note.until, note.operation_id, note.worker, note.term),
            )
        case DropLease():
            return _update(
                connection,
                "UPDATE operations SET lease_worker = NULL, lease_until = NULL" + held,
                (note.operation_id, note.worker, note.term),
            )
        case Reschedule():
            return _update(
                connection,
                "UPDATE operations SET next_check_at = ?" + held,
                (note.next_check_at, note.operation_id, note.worker, note.term),
            )
        case CountFailure():
            return _update(
                connection,
                "UPDATE operations SET doc = json_set(doc, '$.failures', json_extract(doc, '$.failures') + 1)"
                + held,
                (note.operation_id, note.worker, note.term),
            )


def bury(connection: sqlite3.Connection, tombstone: Tombstone) -> int:
    """The tombstone in place of the records; how many went. Conflict if the trail is another one."""
    name, end = tombstone.operation_id, (tombstone.last_seq, tombstone.last_hash)
    there = connection.execute(
        "SELECT last_seq, last_hash FROM tombstones WHERE operation_id = ?", (name,)
    ).fetchone()
    if there is not None:
        if there != end:
            raise Conflict(f"tombstone:{name}")
        return 0
    ended = connection.execute(
        "SELECT json_extract(doc, '$.audit_seq'), json_extract(doc, '$.audit_hash') FROM operations"
        " WHERE id = ? AND json_extract(doc, '$.finished_at') IS NOT NULL",
        (name,),
    ).fetchone()
    if ended != end:
        raise Conflict(f"operation:{name}")
    _insert(connection, "tombstones", tombstone_row(tombstone))
    gone = connection.execute(
        "DELETE FROM audit WHERE operation_id = ? AND seq <= ?", (name, tombstone.last_seq)
    ).rowcount
    if gone != tombstone.records:
        raise Conflict(f"operation:{name}")
    return gone
