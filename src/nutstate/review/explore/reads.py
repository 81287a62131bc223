"""The answers of the model's store to the reads of the engine's code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...storage.port import OperationQuery, TokenQuery
from .labels import name_of
from .stored import Stored, StoredToken
from .world import World


def _operation(world: World, operation_id: str) -> Stored | None:
    return next((op for op in world.ops if op is not None and op.id == operation_id), None)


def _claim(world: World, claim: str) -> Stored | None:
    return next((op for op in world.ops if op is not None and op.record.claim == claim), None)


def _operations(world: World, query: OperationQuery) -> tuple[Stored, ...]:
    found = [
        op
        for op in world.ops
        if op is not None
        and query.kind in (None, op.kind)
        and (not query.states or op.state in query.states)
        and query.parent_id in (None, op.record.parent_id)
    ]
    return tuple(found[: query.limit])


def _tokens(world: World, query: TokenQuery) -> tuple[StoredToken, ...]:
    """As the stores have it: all given fields must match."""
    found = [
        token
        for token in world.tokens
        if (not query.ids or token.id in query.ids)
        and (not query.states or token.state in query.states)
        and query.reserved_by in (None, token.holder)
        and (query.min_total is None or token.total >= query.min_total)
        and (query.max_total is None or token.total <= query.max_total)
        and (query.after is None or token.id > query.after)
    ]
    if query.largest_first or query.smallest_first:
        found.sort(key=lambda token: (token.total, token.id), reverse=query.largest_first)
    return tuple(found[: query.limit])


def _tokens_of(world: World, queries: tuple[TokenQuery, ...]) -> tuple[StoredToken, ...]:
    found = {token.id: token for query in queries for token in _tokens(world, query)}
    return tuple(found.values())


def _owners(world: World, *keys: str) -> tuple[tuple[str, str], ...]:
    names = {name_of(key): key for key in keys}
    return tuple(
        (names[name], token.id) for token in world.tokens for name in sorted(token.names) if name in names
    )


def _touched(world: World, entity: str) -> frozenset[str]:
    name = entity.partition(":")[2]
    return next((token.touched for token in world.tokens if token.id == name), frozenset())


READS: Mapping[str, Callable[..., Any]] = {
    "operation": _operation, "claim": _claim, "operations": _operations, "tokens": _tokens,
    "tokens_of": _tokens_of, "owners": _owners, "touched": _touched,
}  # fmt: skip
"""By what is read."""
