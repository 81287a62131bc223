"""The queries of the store, each made so that the server walks one index (R540)."""

from __future__ import annotations

from typing import Any, Final, assert_never

from bson import MinKey

from ..ahead import ClaimRead, DedupRead, KeyRead, OperationRead, OwnersRead, Read
from ..port import AuditQuery, OperationQuery, TokenQuery, TombstoneQuery
from .codec import wallet_ids
from .gateway import Document, Find, Sort
from .schema import (
    AUDIT,
    BY_TIME,
    OF_KIND,
    OF_OWNER_AND_KIND,
    OPERATIONS,
    TOKENS,
    TOKENS_OF_STATE,
    TOMBSTONES,
)

NEWEST: Final[Sort] = (("created_at", -1), ("_id", -1))


def equal(**fields: Any) -> Document:
    """A filter for the given values; None means "any". ``$eq`` keeps a value from being read as
    an operator. Two underscores stand for a dot."""
    return {field.replace("__", "."): {"$eq": value} for field, value in fields.items() if value is not None}


def equal_text(**fields: Any) -> Document:
    """The same for fields whose index holds nothing but texts: the server chooses such an index only for a
    filter that says so too."""
    return {field: {**value, "$type": "string"} for field, value in equal(**fields).items()}


def of_wallet(npub: str | None, mint_url: str | None, unit: str | None, wallet_id: str | None) -> Document:
    """The filter of a wallet's tokens."""
    filter = equal(npub=npub, mint_url=mint_url, unit=unit)
    if wallet_id is None:
        return filter
    return filter | {"wallet_id": {"$in": wallet_ids(wallet_id)}}


def token_filter(query: TokenQuery) -> Document:
    """The filter of a token query."""
    filter = of_wallet(query.npub, query.mint_url, query.unit, query.wallet_id)
    filter |= equal_text(reserved_by=query.reserved_by)
    filter |= equal(metadata__parent_transaction_id=query.parent)
    if query.states:
        filter["state"] = {"$in": list(query.states)}
    name: Document = {}
    if query.ids:
        name["$in"] = list(query.ids)
    if query.after is not None:
        name["$gt"] = query.after
    if name:
        filter["transaction_id"] = name
    total: Document = {}
    if query.min_total is not None:
        total["$gte"] = query.min_total
    if query.max_total is not None:
        total["$lte"] = query.max_total
    return filter | ({"total_amount": total} if total else {})


def _between(since: int | None, until: int | None) -> Document:
    bounds: Document = {}
    if since is not None:
        bounds["$gte"] = since
    if until is not None:
        bounds["$lt"] = until
    return bounds


def operation_filter(query: OperationQuery) -> Document:
    """The filter of an operation query."""
    filter = equal(npub=query.npub, kind=query.kind, mint_url=query.mint_url)
    filter |= equal_text(parent_id=query.parent_id)
    if query.states:
        filter["state"] = {"$in": list(query.states)}
    bounds = _between(query.since, query.until)
    if query.npub is None and query.kind is None and not query.states:
        bounds["$gt"] = MinKey()  # any moment: the server compares the mint in the index only so
    if bounds:
        filter["created_at"] = bounds
    if query.after is None:
        return filter
    moment, name = query.after
    return _any_of(
        filter, {"created_at": {"$lt": moment}}, {"created_at": _exactly(moment), "_id": {"$lt": name}}
    )


def operations_of(query: OperationQuery) -> Find:
    """The operations of a query, newest first."""
    hint = ""
    if query.kind is not None and not query.states and query.parent_id is None:
        # With a plan that it made for a kind of many operations, the server would look for a rare one in
        # the whole history.
        hint = OF_KIND if query.npub is None else OF_OWNER_AND_KIND
    return Find(OPERATIONS, operation_filter(query), NEWEST, query.limit, hint=hint)


def live_filter(due_before: int, after: tuple[int, str] | None) -> Document:
    """The filter of recovery. Each branch behind a cursor is a range of the index."""
    if after is None:
        return {"next_check_at": {"$lte": due_before}}
    moment, name = after
    return {
        "$or": [
            {"next_check_at": {"$eq": moment, "$lte": due_before}, "_id": {"$gt": name}},
            {"next_check_at": {"$gt": moment, "$lte": due_before}},
        ]
    }


def _any_of(filter: Document, *cursors: Document) -> Document:
    """The filter with each of the cursors in turn. Each is a walk through the index from where it begins;
    beside a filter an ``$or`` would be compared with whole documents."""
    return {
        "$or": [
            filter | {field: {**filter.get(field, {}), **bounds} for field, bounds in cursor.items()}
            for cursor in cursors
        ]
    }


def _exactly(value: Any) -> Document:
    """``$eq``, in a form that goes together with other conditions on the field."""
    return {"$gte": value, "$lte": value}


def audit_filter(query: AuditQuery) -> Document:
    """The filter of an audit query."""
    filter = equal(operation_id=query.operation_id, entity=query.entity, batch_id=query.batch_id)
    if query.levels:
        filter["compliance_level"] = {"$in": list(query.levels)}
    if bounds := _between(query.since, query.until):
        filter["at"] = bounds
    if query.expired_before is not None:
        filter["expires_at"] = {"$lt": query.expired_before}
    if query.above is not None:
        filter["version"] = {"$gt": query.above}
    if query.after is None:
        return filter
    name, seq = query.after
    behind: list[Document] = [
        {"operation_id": {"$gt": name}},
        {"operation_id": _exactly(name), "seq": {"$gt": seq}},
    ]
    if query.by_time:
        at = {"at": _exactly(query.since)}
        behind = [{"at": {"$gt": query.since}}, *(at | cursor for cursor in behind)]
    return _any_of(filter, *behind)


def tombstone_filter(query: TombstoneQuery) -> Document:
    """The filter of a tombstone query."""
    name: Document = {}
    if query.operation_ids:
        name["$in"] = list(query.operation_ids)
    if query.after is not None:
        name["$gt"] = query.after
    return ({"_id": name} if name else {}) | equal(spans__entity=query.entity)


def find_of(read: Read) -> Find:
    """The documents that a read is about."""
    match read:
        case OperationRead():
            return Find(OPERATIONS, equal(_id=read.operation_id), limit=1)
        case KeyRead():
            filter = equal(npub=read.npub) | equal_text(idempotency__key=read.key)
            return Find(OPERATIONS, filter, limit=1)
        case ClaimRead():
            return Find(OPERATIONS, equal_text(claim=read.claim), limit=1)
        case DedupRead():
            return Find(OPERATIONS, equal_text(dedup__key=read.key), limit=1, fields=("dedup",))
        case OwnersRead():
            wanted = {"$in": list(read.keys), "$type": "string"}
            return Find(TOKENS, {"proof_keys": wanted}, fields=("transaction_id", "proof_keys"))
        case TokenQuery():
            return _tokens(read)
        case AuditQuery():
            return _records(read)
        case TombstoneQuery():
            return Find(TOMBSTONES, tombstone_filter(read), (("_id", 1),), read.limit)
    assert_never(read)


def _tokens(query: TokenQuery) -> Find:
    if query.largest_first or query.smallest_first:
        direction = -1 if query.largest_first else 1
        sort: Sort = (("total_amount", direction), ("transaction_id", direction))
        return Find(TOKENS, token_filter(query), sort, query.limit)
    by_state = query.states and not query.ids and None not in (query.npub, query.mint_url, query.unit)
    hint = TOKENS_OF_STATE if by_state else ""  # for several states the server would rather sort
    return Find(TOKENS, token_filter(query), (("transaction_id", 1),), query.limit, hint=hint)


def _records(query: AuditQuery) -> Find:
    sort: Sort = (("operation_id", 1), ("seq", 1))
    if query.entity is not None:
        sort = (("entity", 1), ("version", 1))
    elif query.by_time:
        sort = (("at", 1), *sort)
    hint = BY_TIME if query.by_time else ""  # the index of levels would need a sort of everything in it
    return Find(AUDIT, audit_filter(query), sort, query.limit, hint=hint)
