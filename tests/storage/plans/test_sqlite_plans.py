"""Every statement that a service, its operators and its command line run on SQLite walks an index, and sorts
nothing. The statements are those that really ran."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from nutstate import configure_logging, open_store
from nutstate.storage.sqlite import file
from tests.support.life import Life, command_line, past

SMALL = ("meta", "machines", "edges", "states", "sqlite_master", "json_each", "dropped")
"""A handful of rows each."""
GROUPS = (
    "FROM wallets CROSS JOIN tokens",
    "SELECT kind, state, count(*) FROM operations GROUP BY +kind",
    "AS keyset_id, sum(",
)
"""Sums whose groups SQLite keeps in a tree of its own: one entry for each group, not for each row."""
_SCAN = re.compile(r"SCAN (?!\d+ CONSTANT ROWS)(\w+)(?! USING (COVERING )?INDEX)( |$)")


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Every statement, by its shape."""
    configure_logging("off")
    seen: dict[str, str] = {}

    def note(sql: str) -> None:
        seen.setdefault(re.sub(r"'[^']*'|\b\d+\b", "?", sql), sql)

    class Traced(file.Link):
        def __init__(self, path: Path) -> None:
            super().__init__(path)
            self.connection.set_trace_callback(note)

    for module in ("store", "file", "doctor"):
        monkeypatch.setattr(f"nutstate.storage.sqlite.{module}.Link", Traced)
    yield seen


def wrong_in(connection: sqlite3.Connection, sql: str) -> list[str]:
    """The steps of the plan that read or sort more than they give."""
    steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")]
    scans = [step for step in steps if (found := _SCAN.match(step)) and found[1] not in SMALL]
    grouped = any(words in sql for words in GROUPS)
    sorts = [step for step in steps if "TEMP B-TREE" in step and not (grouped and "GROUP BY" in step)]
    return scans + sorts


def test_r541_every_statement_on_sqlite_walks_an_index(tmp_path: Path, ran: dict[str, str]) -> None:
    """No SCAN of a table, no TEMP B-TREE."""
    url = f"sqlite:///{tmp_path}/wallet.db"
    with open_store(url) as store:
        life = Life(store)
        past(store, life.mint.url)
        ran.clear()
        for run in life.parts().values():
            run()
        some = life.engine.operations(kind="melt", limit=1)[0].id
        said = command_line(url, some)
        assert max(said.values()) <= 1, said
    looked_at = 0
    wrong = {}
    with sqlite3.connect(tmp_path / "wallet.db") as connection:
        for sql in ran.values():
            if re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE)\b", sql):
                looked_at += 1
                if steps := wrong_in(connection, sql):
                    wrong[sql[:300]] = steps
    assert looked_at > 60, "the trace heard the workload"
    assert not wrong, wrong


def test_a_statement_without_an_index_is_found(tmp_path: Path) -> None:
    """The look itself."""
    open_store(f"sqlite:///{tmp_path}/wallet.db").close()
    with sqlite3.connect(tmp_path / "wallet.db") as connection:
        assert wrong_in(connection, "SELECT * FROM tokens WHERE unit = 'usd'")
        assert wrong_in(connection, "SELECT * FROM tokens WHERE npub = 'n' ORDER BY updated_at")
        assert not wrong_in(connection, "SELECT * FROM tokens WHERE transaction_id = 'n'")
