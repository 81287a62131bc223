"""The hand-written melt on plain ``sqlite3``, in a file that the product has made."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nutstate.machines.token.table import STATUS_OF_STATE

from .books import ALONE, EACH, Commit, Lost, sizes_below
from .documents import Plain, sha

_dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

# What the product keeps in columns of their own; every other field lies in ``doc``.
_HEAD = (
    "id", "kind", "state", "prev_state", "kind_of_state", "ends", "version", "npub", "mint_url", "created_at",
    "next_check_at",
)  # fmt: skip
_INSERT_OPERATION = (
    f"INSERT INTO operations ({', '.join(_HEAD)}, machine_version, machine_hash, lease_worker, lease_until,"
    f" lease_term, doc) VALUES ({', '.join('?' * (len(_HEAD) + 6))})"
)
_UPDATE_OPERATION = (
    "UPDATE operations SET state = ?, prev_state = ?, kind_of_state = ?, ends = ?, version = ?,"
    " next_check_at = ?, lease_worker = ?, lease_until = ?, doc = ?"
    " WHERE id = ? AND state = ? AND version = ?"
)
_TOKEN = (
    "transaction_id", "npub", "wallet_id", "mint_url", "unit", "transaction_type", "state", "version",
    "total_amount", "created_at", "updated_at", "prev_state", "reserved_by", "spent_at", "schema_version",
)  # fmt: skip
_INSERT_TOKEN = (
    f"INSERT INTO tokens ({', '.join(_TOKEN)}, status, proofs, metadata)"
    f" VALUES ({', '.join('?' * (len(_TOKEN) + 3))})"
)
_SELECT_TOKEN = f"SELECT {', '.join(_TOKEN)}, proofs, metadata FROM tokens"
_OF_WALLET = "npub = ? AND mint_url = ? AND unit = ? AND state = 'unspent' AND wallet_id = ?"
_ALONE = f"{_SELECT_TOKEN} WHERE {_OF_WALLET} AND total_amount >= ? ORDER BY total_amount LIMIT {ALONE}"
_EACH = (
    f"{_SELECT_TOKEN} WHERE {_OF_WALLET} AND total_amount BETWEEN ? AND ?"
    f" ORDER BY total_amount DESC LIMIT {EACH}"
)
_LIST = "(SELECT value FROM json_each(?))"
_MOVE_PROOFS = f"UPDATE proof_index SET token_id = ?, operation_id = ? WHERE key IN {_LIST} AND token_id = ?"


class SqliteBooks:
    """A connection for each thread, and one lock in which they write, as the product has them."""

    def __init__(self, path: Path) -> None:
        self._path, self._local, self._writing = path, threading.local(), threading.Lock()
        self._all: list[sqlite3.Connection] = []

    @property
    def db(self) -> sqlite3.Connection:
        """The connection of this thread."""
        db: sqlite3.Connection | None = getattr(self._local, "db", None)
        if db is None:
            db = sqlite3.connect(
                self._path, timeout=5, isolation_level=None, check_same_thread=False, cached_statements=256
            )
            db.execute("PRAGMA synchronous = FULL")
            self._local.db = db
            self._all.append(db)
        return db

    def close(self) -> None:
        for db in self._all:
            db.close()

    def dedup(self, key: str) -> tuple[str, int] | None:
        found: tuple[str, int] | None = self.db.execute(
            "SELECT operation_id, expires_at FROM dedup WHERE key = ?", (key,)
        ).fetchone()
        return found

    def candidates(self, npub: str, mint_url: str, unit: str, need: int) -> list[Plain]:
        wallet = (npub, mint_url, unit, npub)
        parts = [_ALONE]
        values: list[Any] = [*wallet, need]
        for low, high in sizes_below(need):
            parts.append(_EACH)
            values += (*wallet, low, high)
        sql = " UNION ALL ".join(f"SELECT * FROM ({part})" for part in parts)
        return [_token(row) for row in self.db.execute(sql, values)]

    def commit(self, commit: Commit) -> None:
        db = self.db
        with self._writing:
            db.execute("BEGIN IMMEDIATE")
            try:
                _write(db, commit)
                db.execute("COMMIT")
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

    def agrees(self, operation: Plain, tokens: Sequence[Plain], records: Sequence[Any]) -> bool:
        db, name = self.db, operation["id"]
        keys = {_key: t["transaction_id"] for t in tokens for _key in _keys(t)}
        db.execute("BEGIN")
        try:
            row = db.execute("SELECT state, version, doc FROM operations WHERE id = ?", (name,)).fetchone()
            held = db.execute(
                f"{_SELECT_TOKEN} WHERE reserved_by = ? UNION ALL {_SELECT_TOKEN} WHERE parent = ?",
                (name, name),
            ).fetchall()
            owners = dict(
                db.execute(
                    f"SELECT key, token_id FROM proof_index WHERE key IN {_LIST}", (_dump(list(keys)),)
                ).fetchall()
            )
            trail = db.execute(
                "SELECT hash, doc FROM audit WHERE operation_id = ? ORDER BY seq", (name,)
            ).fetchall()
        finally:
            db.execute("COMMIT")
        written = {
            t["transaction_id"]: (*_columns(t), _dump(t["proofs"]), _dump(t["metadata"])) for t in tokens
        }
        return (
            row == (operation["state"], operation["version"], _doc(operation))
            and {found[0]: found for found in held} == written
            and owners == keys
            and trail == [(digest, text) for _, text, digest in records]
        )


def _write(db: sqlite3.Connection, commit: Commit) -> None:
    op, lease = commit.operation, commit.operation["lease"]
    name = op["id"]
    if commit.before is None:
        machine = (op["machine"]["version"], op["machine"]["hash"])
        held = (lease["worker"], lease["until"], lease["term"])
        db.execute(_INSERT_OPERATION, (*(op[column] for column in _HEAD), *machine, *held, _doc(op)))
    else:
        _once(
            db.execute(
                _UPDATE_OPERATION,
                (
                    *(op["state"], op["prev_state"], op["kind_of_state"], op["ends"], op["version"]),
                    *(op["next_check_at"], lease and lease["worker"], lease and lease["until"], _doc(op)),
                    *(name, *commit.before),
                ),
            )
        )
    if commit.dedup is not None:
        key, until, before = commit.dedup
        if before is None:
            db.execute(
                "INSERT INTO dedup (key, operation_id, expires_at) VALUES (?, ?, ?)", (key, name, until)
            )
        else:
            _once(
                db.execute(
                    "UPDATE dedup SET operation_id = ?, expires_at = ?"
                    " WHERE key = ? AND operation_id = ? AND expires_at = ?",
                    (name, until, key, *before),
                )
            )
    for change in commit.changed:
        token = change.token
        values = {column: token[column] for column in change.names}
        values["status"] = STATUS_OF_STATE[token["state"]]
        if "proofs" in values:
            values["proofs"] = _dump(values["proofs"])
        _once(
            db.execute(
                f"UPDATE tokens SET {', '.join(f'{column} = ?' for column in values)}"
                " WHERE transaction_id = ? AND state = ? AND version = ?",
                (*values.values(), token["transaction_id"], change.state, change.version),
            )
        )
    for keys, source, target in commit.moved:
        if db.execute(_MOVE_PROOFS, (target, name, _dump(keys), source)).rowcount != len(keys):
            raise Lost(source)
    for token in commit.born:
        status = STATUS_OF_STATE[token["state"]]
        db.execute(
            _INSERT_TOKEN, (*_columns(token), status, _dump(token["proofs"]), _dump(token["metadata"]))
        )
    for keys, target in commit.entered:
        _insert_all(db, "proof_index (key, token_id, operation_id)", [(key, target, name) for key in keys])
    _insert_all(
        db,
        "audit (id, operation_id, seq, entity, version, batch_id, hash, doc)",
        [
            (r["id"], name, r["seq"], r["entity"], r["version"], r["batch_id"], digest, text)
            for r, text, digest in commit.records
        ],
    )


def _insert_all(db: sqlite3.Connection, table: str, rows: list[tuple[Any, ...]]) -> None:
    """All rows in one statement: faster than a statement for each."""
    one = f"({', '.join('?' * len(rows[0]))})"
    values = [value for row in rows for value in row]
    db.execute(f"INSERT INTO {table} VALUES {', '.join([one] * len(rows))}", values)


def _once(cursor: sqlite3.Cursor) -> None:
    if cursor.rowcount != 1:
        raise Lost("a stored document is not as it was")


_NOT_IN_DOC = frozenset({*_HEAD, "machine", "lease"})


def _doc(operation: Plain) -> str:
    return _dump({name: value for name, value in operation.items() if name not in _NOT_IN_DOC})


def _columns(token: Plain) -> tuple[Any, ...]:
    return tuple(token[column] for column in _TOKEN)


def _token(row: tuple[Any, ...]) -> Plain:
    token = dict(zip(_TOKEN, row, strict=False))
    token["proofs"], token["metadata"] = json.loads(row[-2]), json.loads(row[-1])
    return token


def _keys(token: Plain) -> list[str]:
    return [sha(proof["secret"]) for proof in token["proofs"]]
