"""The reads of the port in SQL. Where the rows come from is the subclass's business."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ...machines.token.table import STATUS_OF_STATE
from ..errors import decoded
from ..port import AuditQuery, Chain, Counted, Held, HeldCoins, OperationQuery, TokenQuery, TombstoneQuery
from ..records import AuditRecord, DedupRecord, Operation, Token, Tombstone
from ..rules.batch import TOKEN_TYPES
from ..rules.codec import from_plain
from .rows import (
    AUDIT_SELECT,
    OPERATION_SELECT,
    TOKEN_SELECT,
    TOMBSTONE_SELECT,
    audit_from_row,
    operation_from_row,
    token_from_row,
    tombstone_from_row,
)
from .schema import OPERATION_COLUMNS, TOKEN_COLUMNS, listed

# A document of another type or state was forced past the rules, and counts as nothing (R212).
_IS_MONEY: Final = f"transaction_type IN ({listed(TOKEN_TYPES)}) AND state IN ({listed(STATUS_OF_STATE)})"


_CREATED_AT: Final = OPERATION_COLUMNS.index("created_at")
_NEXT_CHECK_AT: Final = OPERATION_COLUMNS.index("next_check_at")
_TOTAL: Final = TOKEN_COLUMNS.index("total_amount")


class _Where:
    """Conditions that must all hold, with their values."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.values: list[Any] = []

    def add(self, condition: str, *values: Any) -> None:
        self.parts.append(condition)
        self.values.extend(values)

    def equal(self, **columns: Any) -> None:
        for column, value in columns.items():
            if value is not None:
                self.add(f"{column} = ?", value)

    def between(self, column: str, since: int | None, until: int | None) -> None:
        if since is not None:
            self.add(f"{column} >= ?", since)
        if until is not None:
            self.add(f"{column} < ?", until)

    def __str__(self) -> str:
        return f" WHERE {' AND '.join(self.parts)}" if self.parts else ""


class _Merged:
    """Parts of one SELECT, each for one of the values of ``column``: SQLite walks their indexes side by side,
    and sorts nothing. Without values there is one part."""

    def __init__(self, select: str, where: _Where, column: str, values: Sequence[str]) -> None:
        parts = [f"{select}{where}"]
        self.values = list(where.values)
        if values:
            one = f"{select}{where}{' AND' if where.parts else ' WHERE'} {column} = ?"
            parts = [one] * len(set(values))
            self.values = [value for each in dict.fromkeys(values) for value in (*where.values, each)]
        self.sql = " UNION ALL ".join(parts)

    def ordered(self, order: str, limit: int) -> tuple[str, list[Any]]:
        return f"{self.sql} ORDER BY {order} LIMIT ?", [*self.values, max(limit, 0)]


def token_sql(query: TokenQuery) -> tuple[str, list[Any]]:
    """The token query. Ids come first, from the index alone; only those few rows are then read, in the order
    in which they were found."""
    chosen, values = _chosen(query)
    # CROSS JOIN keeps SQLite from reading tokens first.
    return f"SELECT {TOKEN_SELECT} FROM ({chosen}) CROSS JOIN tokens ON transaction_id = chosen", values


def tokens_sql(queries: Sequence[TokenQuery]) -> tuple[str, list[Any]]:
    """Several token queries as one; a token that two of them find comes twice."""
    parts = [_chosen(query) for query in queries]
    chosen = " UNION ALL ".join(f"SELECT chosen FROM ({sql})" for sql, _ in parts)
    sql = f"SELECT {TOKEN_SELECT} FROM ({chosen}) CROSS JOIN tokens ON transaction_id = chosen"
    return sql, [value for _, values in parts for value in values]


def _chosen(query: TokenQuery) -> tuple[str, list[Any]]:
    """The ids of a token query, as the column ``chosen``."""
    where = _Where()
    where.equal(
        npub=query.npub,
        mint_url=query.mint_url,
        unit=query.unit,
        wallet_id=query.wallet_id,
        reserved_by=query.reserved_by,
        parent=query.parent,
    )
    if query.ids:
        where.add("transaction_id IN (SELECT value FROM json_each(?))", json.dumps(query.ids))
    if query.min_total is not None:
        where.add("total_amount >= ?", query.min_total)
    if query.max_total is not None:
        where.add("total_amount <= ?", query.max_total)
    if query.after is not None:
        where.add("transaction_id > ?", query.after)
    order = "chosen"
    if query.largest_first:
        order = "size DESC, chosen DESC"
    elif query.smallest_first:
        order = "size, chosen"
    size = ", total_amount AS size" if order != "chosen" else ""  # which only one of the indexes holds
    select = f"SELECT transaction_id AS chosen{size} FROM tokens"
    return _Merged(select, where, "state", query.states).ordered(order, query.limit)


def _in_order(query: TokenQuery, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The rows in the order of the query: SQL gives a join no order, and sorting there copies all of them."""
    if query.largest_first or query.smallest_first:
        return sorted(rows, key=lambda row: (row[_TOTAL], row[0]), reverse=query.largest_first)
    return sorted(rows, key=lambda row: row[0])


# Two halves: the sum of a few thousand 53-bit amounts would not fit SQLite's 64 bits.
_SUMS: Final = "sum(total_amount >> 32), sum(total_amount & 4294967295), count(*)"
_IN_ORDER: Final = "GROUP BY mint_url, unit, state ORDER BY mint_url, unit, state"
# Each mint and unit of an owner, found by jumping to the next one in the index.
_WALLETS: Final = """WITH RECURSIVE wallets (mint, its_unit) AS (
  SELECT * FROM (SELECT mint_url, unit FROM tokens WHERE npub = :npub AND mint_url >= :from_mint
    ORDER BY mint_url, unit LIMIT 1)
  UNION ALL
  SELECT next.mint_url, next.unit FROM wallets JOIN tokens AS next ON next.rowid = coalesce(
    (SELECT rowid FROM tokens WHERE npub = :npub AND mint_url = mint AND unit > its_unit
      ORDER BY unit LIMIT 1),
    (SELECT rowid FROM tokens WHERE npub = :npub AND mint_url > mint ORDER BY mint_url, unit LIMIT 1)))"""


def balance_sql(
    npub: str, mint_url: str | None, states: Sequence[str]
) -> tuple[str, list[Any] | dict[str, Any]]:
    """The sums of an owner's tokens; with ``states`` the others are jumped over."""
    if not states:
        where = _Where()
        where.equal(npub=npub, mint_url=mint_url)
        where.add(_IS_MONEY)
        return f"SELECT mint_url, unit, state, {_SUMS} FROM tokens{where} {_IN_ORDER}", where.values
    known = listed({*states} & {*STATUS_OF_STATE})
    only = "" if mint_url is None else " AND mint = :mint_url"
    sql = (
        f"{_WALLETS} SELECT mint_url, unit, state, {_SUMS} FROM wallets CROSS JOIN tokens ON npub = :npub"
        f" AND mint_url = mint AND unit = its_unit AND +transaction_type IN ({listed(TOKEN_TYPES)})"
        f" AND state IN ({known}){only} {_IN_ORDER}"
    )
    return sql, {"npub": npub, "mint_url": mint_url, "from_mint": mint_url or ""}


def operation_sql(query: OperationQuery) -> tuple[str, list[Any]]:
    """The operation query, newest first."""
    where = _Where()
    where.equal(npub=query.npub, kind=query.kind, mint_url=query.mint_url, parent_id=query.parent_id)
    where.between("created_at", query.since, query.until)
    if query.after is not None:
        where.add("(created_at, id) < (?, ?)", *query.after)
    select = f"SELECT {OPERATION_SELECT} FROM operations"
    return _Merged(select, where, "state", query.states).ordered("created_at DESC, id DESC", query.limit)


def count_sql(npub: str | None) -> tuple[str, list[Any]]:
    """How many operations there are of each kind and state, from one index alone."""
    if npub is not None:
        return "SELECT kind, state, count(*) FROM operations WHERE npub = ? GROUP BY kind, state", [npub]
    # The plus keeps SQLite from the index of kinds, which does not hold the state.
    return "SELECT kind, state, count(*) FROM operations GROUP BY +kind, +state", []


def live_sql(due_before: int, limit: int, after: tuple[int, str] | None) -> tuple[str, list[Any]]:
    """The query of recovery, the longest overdue first."""
    where = _Where()
    where.add("next_check_at <= ?", due_before)
    if after is not None:
        where.add("(next_check_at, id) > (?, ?)", *after)
    sql = f"SELECT {OPERATION_SELECT} FROM operations{where} ORDER BY next_check_at, id LIMIT ?"
    return sql, [*where.values, max(limit, 0)]


def audit_sql(query: AuditQuery) -> tuple[str, list[Any]]:
    """The audit query: an entity by version, a span of time by time, anything else by operation and seq."""
    where = _Where()
    where.equal(operation_id=query.operation_id, entity=query.entity, batch_id=query.batch_id)
    # A plus before a column keeps SQLite from an index that has another order than the answer.
    merged = not query.by_time and (query.operation_id, query.entity, query.batch_id) == (None, None, None)
    if query.levels and not merged:
        where.add(f"+compliance_level IN ({', '.join('?' * len(query.levels))})", *query.levels)
    where.between("at" if query.by_time else "+at", query.since, query.until)
    where.between("expires_at", None, query.expired_before)
    if query.after is not None and query.by_time:
        where.add("(at, operation_id, seq) > (?, ?, ?)", query.since, *query.after)
    elif query.after is not None:
        where.add("(operation_id, seq) > (?, ?)", *query.after)
    if query.above is not None:
        where.add("version > ?", query.above)
    order = "operation_id, seq"
    if query.entity is not None:
        order = "entity, version"
    elif query.by_time:
        order = "at, operation_id, seq"
    levels = query.levels if merged else ()
    select = f"SELECT {AUDIT_SELECT} FROM audit"
    return _Merged(select, where, "compliance_level", levels).ordered(order, query.limit)


class SqliteReads(ABC):
    """Implements :class:`~nutstate.storage.port.Reader` over :meth:`_rows`."""

    @abstractmethod
    def _rows(self, sql: str, values: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """All rows; StoreUnavailable or CorruptRecord, never sqlite3.Error."""

    def _operation_where(self, condition: str, *values: Any) -> Operation | None:
        rows = self._rows(f"SELECT {OPERATION_SELECT} FROM operations WHERE {condition}", values)
        return operation_from_row(rows[0]) if rows else None

    def operation(self, operation_id: str, home: str | None = None) -> Operation | None:
        return self._operation_where("id = ?", operation_id)

    def operation_by_key(self, npub: str, key: str) -> Operation | None:
        return self._operation_where("npub = ? AND idempotency_key = ?", npub, key)

    def operation_by_claim(self, claim: str) -> Operation | None:
        return self._operation_where("claim = ?", claim)

    def operations(self, query: OperationQuery) -> Sequence[Operation]:
        rows = self._rows(*operation_sql(query))
        return decoded(rows, operation_from_row, lambda row: (row[_CREATED_AT], row[0]))

    def count_operations(self, npub: str | None = None) -> Sequence[Counted]:
        sql, values = count_sql(npub)
        return [Counted(*row) for row in sorted(self._rows(sql, values))]

    def live_operations(
        self, due_before: int, limit: int, after: tuple[int, str] | None = None
    ) -> Sequence[Operation]:
        rows = self._rows(*live_sql(due_before, limit, after))
        return decoded(rows, operation_from_row, lambda row: (row[_NEXT_CHECK_AT], row[0]))

    def count_live(self) -> int:
        rows = self._rows("SELECT count(*) FROM operations WHERE next_check_at IS NOT NULL", ())
        return int(rows[0][0])

    def dedup(self, key: str, home: str | None = None) -> DedupRecord | None:
        rows = self._rows("SELECT key, operation_id, expires_at FROM dedup WHERE key = ?", (key,))
        if not rows:
            return None
        names = ("key", "operation_id", "expires_at")
        return from_plain(DedupRecord, dict(zip(names, rows[0], strict=True)), "dedup record")

    def token(self, transaction_id: str, home: str | None = None) -> Token | None:
        rows = self._rows(f"SELECT {TOKEN_SELECT} FROM tokens WHERE transaction_id = ?", (transaction_id,))
        return token_from_row(rows[0]) if rows else None

    def tokens(self, query: TokenQuery) -> Sequence[Token]:
        rows = _in_order(query, self._rows(*token_sql(query)))
        return decoded(rows, token_from_row, lambda row: row[0])

    def tokens_of(self, queries: Sequence[TokenQuery]) -> Sequence[Token]:
        if not queries:
            return []
        found = {row[0]: row for row in self._rows(*tokens_sql(queries))}
        return decoded(list(found.values()), token_from_row, lambda row: row[0])

    def proof_owners(self, keys: Iterable[str], home: str | None = None) -> Mapping[str, str]:
        rows = self._rows(
            "SELECT key, token_id FROM proof_index WHERE key IN (SELECT value FROM json_each(?))",
            (json.dumps(list(keys)),),
        )
        return dict(rows)

    def balance(self, npub: str, mint_url: str | None = None, states: Sequence[str] = ()) -> Sequence[Held]:
        rows = self._rows(*balance_sql(npub, mint_url, states))
        return [Held(mint, unit, state, (high << 32) + low, n) for mint, unit, state, high, low, n in rows]

    def coins_by_keyset(
        self, npub: str, mint_url: str | None = None, wallet_id: str | None = None
    ) -> Sequence[HeldCoins]:
        where = _Where()
        where.equal(npub=npub, mint_url=mint_url, wallet_id=wallet_id)
        where.add("state IN ('unspent', 'stranded')")
        amount = "json_extract(value, '$.amount')"
        rows = self._rows(
            "SELECT mint_url, unit, state, json_extract(value, '$.id') AS keyset_id,"
            f" sum({amount} >> 32), sum({amount} & 4294967295) FROM tokens, json_each(tokens.proofs){where}"
            " GROUP BY mint_url, unit, state, keyset_id ORDER BY mint_url, unit, state, keyset_id",
            where.values,
        )
        return [
            HeldCoins(mint, unit, state, keyset_id, (high << 32) + low)
            for mint, unit, state, keyset_id, high, low in rows
        ]

    def audit(self, query: AuditQuery) -> Sequence[AuditRecord]:
        return decoded(self._rows(*audit_sql(query)), audit_from_row)

    def audit_operations(self, after: str = "", limit: int = 1000) -> Sequence[Chain]:
        end = "(SELECT hash FROM audit WHERE operation_id = name AND seq = last)"
        never = "CASE WHEN count(expires_at) = count(*) THEN max(expires_at) END"
        rows = self._rows(
            f"SELECT name, records, first, last, {end}, expiry FROM (SELECT operation_id AS name,"
            f" count(*) AS records, min(seq) AS first, max(seq) AS last, {never} AS expiry FROM audit"
            " WHERE operation_id > ? GROUP BY operation_id ORDER BY operation_id LIMIT ?)",
            (after, max(limit, 0)),
        )
        return [Chain(*row) for row in rows]

    def tombstones(self, query: TombstoneQuery) -> Sequence[Tombstone]:
        where = _Where()
        if query.operation_ids:
            where.add("operation_id IN (SELECT value FROM json_each(?))", json.dumps(query.operation_ids))
        if query.entity is not None:
            found = "SELECT operation_id FROM tombstone_entities WHERE entity = ?"
            where.add(f"operation_id IN ({found})", query.entity)
        if query.after is not None:
            where.add("operation_id > ?", query.after)
        sql = f"SELECT {TOMBSTONE_SELECT} FROM tombstones{where} ORDER BY operation_id LIMIT ?"
        rows = self._rows(sql, (*where.values, max(query.limit, 0)))
        return decoded(rows, tombstone_from_row, lambda row: row[0])
