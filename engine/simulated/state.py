"""Where the simulated mint keeps what it knows: documents and queues in a SQLite file of its own.

Each request is one transaction, committed before it is answered, so that a process killed at any
moment finds the same mint again. The file is no part of any wallet's store.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

Document = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
  kind TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS queue (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS queue_name ON queue (name, seq);
"""


class SimulatedState:
    """Documents by (kind, key) and first-in-first-out queues by name. Use inside ``transaction``;
    one thread at a time, several processes may share the file."""

    def __init__(self, path: str | Path | None = None, *, busy_timeout_s: float = 10.0) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._db = sqlite3.connect(
            ":memory:" if path is None else str(path),
            timeout=busy_timeout_s,
            isolation_level=None,
            check_same_thread=False,
        )
        # a killed process loses nothing that was committed; a power cut is not what is simulated
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; nested uses join the outer one."""
        with self._lock:
            if self._depth == 0:
                self._db.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._db.execute("ROLLBACK")
                raise
            self._depth -= 1
            if self._depth == 0:
                self._db.execute("COMMIT")

    def get(self, kind: str, key: str) -> Document | None:
        """The document, or None."""
        row = self._db.execute("SELECT body FROM documents WHERE kind=? AND key=?", (kind, key)).fetchone()
        return None if row is None else _load(row[0])

    def put(self, kind: str, key: str, body: Document) -> None:
        """Write or replace the document."""
        text = json.dumps(body, separators=(",", ":"))
        self._db.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", (kind, key, text))

    def delete(self, kind: str, key: str) -> None:
        """Remove the document, if there is one."""
        self._db.execute("DELETE FROM documents WHERE kind=? AND key=?", (kind, key))

    def all(self, kind: str) -> list[tuple[str, Document]]:
        """Every (key, document) of a kind, by key."""
        rows = self._db.execute("SELECT key, body FROM documents WHERE kind=? ORDER BY key", (kind,))
        return [(key, _load(body)) for key, body in rows.fetchall()]

    def count(self, name: str) -> int:
        """Add one to a counter and return its new value (1 the first time)."""
        value = int((self.get("counter", name) or {"n": 0})["n"]) + 1
        self.put("counter", name, {"n": value})
        return value

    def push(self, name: str, body: Document) -> None:
        """Append to a queue."""
        text = json.dumps(body, separators=(",", ":"))
        self._db.execute("INSERT INTO queue (name, body) VALUES (?, ?)", (name, text))

    def pop(self, name: str) -> Document | None:
        """Take the oldest of a queue, or None."""
        row = self._db.execute(
            "SELECT seq, body FROM queue WHERE name=? ORDER BY seq LIMIT 1", (name,)
        ).fetchone()
        if row is None:
            return None
        self._db.execute("DELETE FROM queue WHERE seq=?", (row[0],))
        return _load(row[1])

    def queued(self, name: str) -> list[Document]:
        """Everything in a queue, oldest first, left in place."""
        rows = self._db.execute("SELECT body FROM queue WHERE name=? ORDER BY seq", (name,))
        return [_load(body) for (body,) in rows.fetchall()]

    def clear(self, prefix: str) -> None:
        """Empty every queue whose name starts with ``prefix``."""
        self._db.execute("DELETE FROM queue WHERE substr(name, 1, ?)=?", (len(prefix), prefix))

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._db.close()

    def __del__(self) -> None:
        with suppress(AttributeError, sqlite3.Error):
            self._db.close()


def _load(text: str) -> Document:
    body: Document = json.loads(text)
    return body
