"""Coin selection of a melt: where the coins among which it chooses come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .....storage.port import Store, TokenQuery
from .....storage.records import Operation, Token
from .....storage.secret import Secret
from ....loop.evidence import Selection
from .candidates import candidates, largest
from .choice import BYTES_MAX, Shortfall, choose
from .whole_wallet import choose_of_all


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
) -> Selection | Shortfall:
    """Choose among the wallet's unspent tokens, or among the sources the caller named.

    Reads a few candidates of each size (:func:`candidates`), at most ``tokens_max``. Only when those do not
    cover it, the largest ones, up to the proof limit, and then the whole wallet, a page at a time. Each look
    is of one moment: a token split between two reads would offer the same proof twice. ``fees`` takes ids of
    keysets and may raise MintSilent."""
    limits: dict[str, Any] = {"count_max": count_max, "bytes_max": bytes_max, "without": without}
    if op.policy.sources:
        tokens = tuple(store.tokens(TokenQuery(ids=op.policy.sources, limit=len(op.policy.sources))))
        return choose(tokens, need, _ppk(tokens, fees), **limits)
    for queries in (candidates(op, need, tokens_max), largest(op, need, count_max)):
        tokens = tuple(store.tokens_of(queries))
        found = choose(tokens, need, _ppk(tokens, fees), **limits)
        if isinstance(found, Selection):
            return found
    return choose_of_all(store, op, need, fees, limits)


def _ppk(tokens: Iterable[Token], fees: Callable[[Iterable[str]], Mapping[str, int]]) -> Mapping[str, int]:
    return fees({proof.id for token in tokens for proof in token.proofs})
