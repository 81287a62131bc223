"""Queries that must not read every coin, shown by SQLite's own plan and by counting its work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from nutstate.engine.operations.melt.actions.candidates import candidates
from nutstate.storage.port import AuditQuery, OperationQuery, TokenQuery
from nutstate.storage.sqlite.read import (
    audit_sql,
    balance_sql,
    count_sql,
    operation_sql,
    token_sql,
    tokens_sql,
)
from nutstate.storage.sqlite.store import SqliteStore
from nutstate.storage.testing.records import MINT, NPUB, batch_for, make_operation, make_proofs, make_token

COINS = 10_000
PER_BATCH = 500


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteStore]:
    """A wallet of 10,000 coins."""
    with SqliteStore(f"sqlite:///{tmp_path_factory.mktemp('plans')}/wallet.db") as opened:
        for start in range(0, COINS, PER_BATCH):
            tokens = [
                make_token(f"t{n}", proofs=make_proofs(f"t{n}", 2 ** (n % 12)))
                for n in range(start, start + PER_BATCH)
            ]
            opened.commit(batch_for(make_operation(f"tx-{start}"), tokens=tokens))
        yield opened


def plan(store: SqliteStore, sql: str, values: Any) -> str:
    return " | ".join(row[3] for row in store._rows(f"EXPLAIN QUERY PLAN {sql}", values))


def steps(store: SqliteStore, sql: str, values: Any) -> int:
    """Virtual machine instructions that the query takes, in hundreds."""
    count = 0

    def tick() -> int:
        nonlocal count
        count += 1
        return 0

    connection = store._link().connection
    connection.set_progress_handler(tick, 100)
    try:
        connection.execute(sql, values).fetchall()
    finally:
        connection.set_progress_handler(None, 0)
    return count


READY = TokenQuery(npub=NPUB, mint_url=MINT, unit="sat", states=("unspent",), largest_first=True, limit=20)


def test_choosing_by_size_walks_the_index_and_stops(store: SqliteStore) -> None:
    text = plan(store, *token_sql(READY))
    assert "token_by_size (npub=? AND mint_url=? AND unit=? AND state=?)" in text
    assert "COVERING INDEX token_by_size" in text and "SCAN tokens" not in text
    assert steps(store, *token_sql(READY)) < 20  # about 70 instructions a coin, 20 coins, not 10,000
    assert [t.total_amount for t in store.tokens(READY)] == [2048] * 20


def test_choosing_inside_bounds_stops_as_well(store: SqliteStore) -> None:
    query = TokenQuery(
        npub=NPUB, mint_url=MINT, unit="sat", states=("unspent",), largest_first=True, max_total=64, limit=20
    )
    assert "total_amount<?" in plan(store, *token_sql(query))
    assert steps(store, *token_sql(query)) < 20


def test_r581_a_balance_jumps_over_what_is_spent(store: SqliteStore) -> None:
    """With states it reads only their tokens, also of several mints and units: 10,000 others cost nothing."""
    others = [
        make_token("r1", 8, state="reserved"),
        make_token("r2", 4, state="reserved", unit="usd"),
        make_token("r3", 2, state="reserved", mint_url="https://zz.example"),
        make_token("r4", 1, state="reserved", mint_url="https://aa.example"),
    ]
    store.commit(batch_for(make_operation("tx-1"), tokens=others))
    sql, values = balance_sql(NPUB, None, ("reserved",))
    assert "SCAN tokens" not in plan(store, sql, values)
    assert steps(store, sql, values) < 10 < steps(store, *balance_sql(NPUB, None, ())) / 20
    held = store.balance(NPUB, states=("reserved", "stranded", "no such state"))
    assert [(h.mint_url, h.unit, h.amount) for h in held] == [
        ("https://aa.example", "sat", 1),
        (MINT, "sat", 8),
        (MINT, "usd", 4),
        ("https://zz.example", "sat", 2),
    ]
    assert [h.amount for h in store.balance(NPUB, MINT, ("reserved",))] == [8, 4]
    assert list(store.balance(NPUB, "https://none.example", ("reserved",))) == []
    everything = [h for h in store.balance(NPUB) if h.state == "reserved"]
    assert everything == store.balance(NPUB, states=("reserved",))


def test_r580_the_candidates_of_a_payment_are_read_from_the_index(store: SqliteStore) -> None:
    """A few tokens of each size, however many there are: no scan, no sort, and a bounded amount of work."""
    owner = make_operation("tx-1", wallet_id="wallet-1")
    queries = candidates(owner, 700, 200)
    text = plan(store, *tokens_sql(queries))
    assert "SCAN tokens" not in text and "TEMP B-TREE" not in text
    assert text.count("COVERING INDEX token_by_size") == len(queries) == 11
    assert steps(store, *tokens_sql(queries)) < 40  # for 24 of 10,000 coins
    assert len(store.tokens_of(queries)) == 24


@pytest.mark.parametrize(
    "index, query",
    [
        (
            "token_by_size",
            TokenQuery(
                npub=NPUB, mint_url=MINT, unit="sat", states=("unspent", "reserved"), largest_first=True
            ),
        ),
        (
            "token_of_state",
            TokenQuery(npub=NPUB, mint_url=MINT, unit="sat", states=("unspent",), limit=20),
        ),
        (
            "token_of_state",
            TokenQuery(npub=NPUB, mint_url=MINT, unit="sat", states=("unspent", "reserved"), limit=20),
        ),
        ("token_by_id", TokenQuery(npub=NPUB, mint_url=MINT, unit="sat", limit=20)),
        ("token_by_id", TokenQuery(npub=NPUB, mint_url=MINT, limit=1)),
    ],
    ids=["two states", "by id", "two states by id", "any state by id", "any unit"],
)
def test_other_orders_have_an_index_of_their_own(store: SqliteStore, index: str, query: TokenQuery) -> None:
    text = plan(store, *token_sql(query))
    assert f"COVERING INDEX {index}" in text and "SCAN tokens" not in text and "TEMP B-TREE" not in text


@pytest.mark.parametrize(
    "query, index",
    [
        (TokenQuery(reserved_by="tx-1"), "token_of_holder"),
        (TokenQuery(parent="tx-1"), "token_of_parent"),
        (TokenQuery(ids=("t1", "t2")), "sqlite_autoindex_tokens_1"),
    ],
)
def test_other_token_queries_use_their_index(store: SqliteStore, query: TokenQuery, index: str) -> None:
    assert index in plan(store, *token_sql(query))
    assert steps(store, *token_sql(query)) < 20


@pytest.mark.parametrize(
    "query, index",
    [
        (OperationQuery(), "operation_newest"),
        (OperationQuery(npub=NPUB), "operation_owner"),
        (OperationQuery(states=("attention",)), "operation_state"),
        (OperationQuery(states=("attention", "pending")), "operation_state"),
        (OperationQuery(npub=NPUB, states=("attention",)), "operation_owner_state (npub=? AND state=?)"),
        (OperationQuery(npub=NPUB, states=("attention", "pending")), "operation_owner_state"),
        (OperationQuery(after=(5, "tx-1")), "operation_newest ((created_at,id)<(?,?))"),
        (OperationQuery(npub=NPUB, after=(5, "tx-1")), "operation_owner (npub=? AND (created_at,id)<(?,?))"),
        (OperationQuery(since=5, until=9), "operation_newest (created_at>? AND created_at<?"),
        (OperationQuery(parent_id="tx-1"), "operation_parent"),
        (OperationQuery(kind="mint"), "operation_kind (kind=?"),
        (OperationQuery(npub=NPUB, kind="mint"), "operation_owner_kind (npub=? AND kind=?"),
        (
            OperationQuery(npub=NPUB, kind="mint", after=(5, "tx-1")),
            "operation_owner_kind (npub=? AND kind=? AND (",
        ),
    ],
)
def test_operation_queries_use_their_index(store: SqliteStore, query: OperationQuery, index: str) -> None:
    text = plan(store, *operation_sql(query))
    assert index in text and "TEMP B-TREE" not in text


@pytest.mark.parametrize(
    "query, index",
    [
        (AuditQuery(operation_id="o"), "audit_chain"),
        (AuditQuery(entity="e"), "audit_entity"),
        (AuditQuery(batch_id="b"), "audit_batch"),
        (AuditQuery(after=("o", 5)), "audit_chain ((operation_id,seq)>(?,?))"),
        (AuditQuery(levels=("CRITICAL",)), "audit_level (compliance_level=?"),
        (
            AuditQuery(levels=("CRITICAL",), after=("o", 5)),
            "audit_level (compliance_level=? AND (operation_id",
        ),
        (AuditQuery(levels=("CRITICAL", "HIGH")), "audit_level (compliance_level=?"),
        (AuditQuery(since=5, until=9), "audit_time (at>? AND at<?"),
        (AuditQuery(since=5, levels=("CRITICAL", "HIGH")), "audit_time (at>?"),
        (AuditQuery(since=5, after=("o", 5)), "audit_time (at>?"),
        (AuditQuery(operation_id="o", since=5, levels=("HIGH",)), "audit_chain (operation_id=?"),
    ],
)
def test_audit_queries_use_their_index(store: SqliteStore, query: AuditQuery, index: str) -> None:
    text = plan(store, *audit_sql(query))
    assert index in text and "TEMP B-TREE" not in text


def test_a_page_of_tokens_does_not_start_from_the_beginning(store: SqliteStore) -> None:
    late = TokenQuery(after="t9990", limit=20)
    assert "transaction_id>?" in plan(store, *token_sql(late))
    assert steps(store, *token_sql(late)) < 20
    assert [t.transaction_id for t in store.tokens(late)] == [f"t{n}" for n in range(9991, 10_000)]


@pytest.mark.parametrize("npub", [None, "n"])
def test_counting_reads_the_index_only(store: SqliteStore, npub: str | None) -> None:
    assert "COVERING INDEX operation_count" in plan(store, *count_sql(npub))


@pytest.mark.parametrize(
    "sql, index",
    [
        ("SELECT id FROM operations WHERE next_check_at <= 5 ORDER BY next_check_at, id", "operation_due"),
        ("SELECT id FROM operations WHERE npub = 'n' AND idempotency_key = 'k'", "operation_key"),
        ("SELECT id FROM operations WHERE claim = 'c'", "operation_claim"),
        ("SELECT sum(total_amount) FROM tokens WHERE npub = 'n' AND mint_url = 'm'", "token_by_size"),
    ],
)
def test_single_lookups_use_their_index(store: SqliteStore, sql: str, index: str) -> None:
    text = plan(store, sql, [])
    assert index in text and "TEMP B-TREE" not in text
