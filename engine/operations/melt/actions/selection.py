"""Coin selection of a melt: where the coins among which it chooses come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import frozen

from .....storage.ahead import ClaimRead
from .....storage.port import Store, TokenQuery
from .....storage.records import Operation, Token
from .....storage.secret import Secret
from ....loop.evidence import Selection
from .candidates import candidates, largest
from .choice import BYTES_MAX, Shortfall, choose
from .whole_wallet import choose_of_all


@frozen
class Seen:
    """The first tokens to look at, and the operation that claims the payment, of one moment: a token split
    between two reads would offer the same proof twice."""

    tokens: tuple[Token, ...]
    claim_holder: str | None


def look(store: Store, op: Operation, need: int, limit: int) -> Seen:
    """The sources that the caller named, else the first candidates."""
    ids = op.policy.sources
    queries = [TokenQuery(ids=ids, limit=len(ids))] if ids else candidates(op, need, limit)
    claim = () if op.payment_hash is None else (ClaimRead(op.payment_hash),)
    with store.snapshot((*queries, *claim)) as moment:
        tokens = tuple(moment.tokens_of(queries))
        holder = moment.operation_by_claim(op.payment_hash) if op.payment_hash is not None else None
    return Seen(tokens, holder.id if holder is not None else None)


def select(
    store: Store,
    op: Operation,
    need: int,
    fees: Callable[[Iterable[str]], Mapping[str, int]],
    *,
    tokens_max: int,
    count_max: int,
    bytes_max: int = BYTES_MAX,
    without: frozenset[Secret] = frozenset(),
    first: Seen | None = None,
) -> Selection | Shortfall:
    """Choose among the wallet's unspent tokens, or among the sources the caller named.

    Reads a few candidates of each size (:func:`candidates`), at most ``tokens_max``, unless they are read
    already (``first``). Only when those do not cover it, the largest ones, up to the proof limit, and then
    the whole wallet, a page at a time. Each look is of one moment. ``fees`` takes ids of keysets and may
    raise MintSilent."""
    limits: dict[str, Any] = {"count_max": count_max, "bytes_max": bytes_max, "without": without}
    seen = first or look(store, op, need, tokens_max)
    found = choose(seen.tokens, need, _ppk(seen.tokens, fees), **limits)
    if isinstance(found, Selection) or op.policy.sources:
        return found
    more = tuple(store.tokens_of(largest(op, need, count_max)))
    found = choose(more, need, _ppk(more, fees), **limits)
    return found if isinstance(found, Selection) else choose_of_all(store, op, need, fees, limits)


def _ppk(tokens: Iterable[Token], fees: Callable[[Iterable[str]], Mapping[str, int]]) -> Mapping[str, int]:
    return fees({proof.id for token in tokens for proof in token.proofs})
