"""The tokens among which coins are chosen: a bounded number, however many the wallet holds."""

from __future__ import annotations

from .....machines.token.states import UNSPENT
from .....storage.evolve import evolve
from .....storage.port import TokenQuery
from .....storage.records import Operation

ALONE_MAX = 4
"""Tokens that would do alone: the smallest of them."""
EACH_MAX = 2
"""Tokens of each size: 1, 2 to 3, 4 to 7, and so on; the largest of each."""


def candidates(op: Operation, need: int, limit: int) -> list[TokenQuery]:
    """The first look: the smallest tokens that would do alone, and a few of each size below ``need``, at most
    ``limit`` together. A wallet with a coin of each size pays exactly with them; their number grows with the
    logarithm of ``need`` and not with the wallet."""
    wallet = wallet_of(op)
    sizes = max(1, need - 1).bit_length()
    each = max(1, min(EACH_MAX, limit // (sizes + 1)))
    queries = [evolve(wallet, min_total=need, smallest_first=True, limit=min(ALONE_MAX, limit))]
    for low in (1 << size for size in reversed(range(sizes)) if 1 << size < need):
        high = min(2 * low, need) - 1
        queries.append(evolve(wallet, min_total=low, max_total=high, largest_first=True, limit=each))
    return queries


def largest(op: Operation, need: int, limit: int) -> list[TokenQuery]:
    """The second look: the smallest tokens that would do alone, and the largest of the others."""
    wallet = wallet_of(op)
    return [
        evolve(wallet, min_total=need, smallest_first=True, limit=ALONE_MAX),
        evolve(wallet, max_total=need - 1, largest_first=True, limit=limit),
    ]


def wallet_of(op: Operation) -> TokenQuery:
    """The free tokens of the operation's wallet."""
    return TokenQuery(
        npub=op.npub, wallet_id=op.wallet_id, mint_url=op.mint_url, unit=op.unit, states=(UNSPENT,)
    )
