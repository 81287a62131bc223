"""Integer arithmetic of ecash: fees, blanks, denominations. Amounts in the token's unit."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate, pairwise
from math import gcd

AMOUNT_MAX = 2**53 - 1
"""Largest amount any JSON reader keeps exactly."""
PARTS_MAX = 1000
"""Most outputs one amount is split into, and most blanks one melt carries."""
SPLIT_NODES_MAX = 4000


class NotSplittable(ValueError):
    """No sum of the keyset's amounts, or none of at most PARTS_MAX parts, makes this amount."""

    def __init__(self, amount: int) -> None:
        super().__init__(f"the keyset has no keys that make up {amount}")


def is_amount(value: object, least: int = 1) -> bool:
    """A real integer (no bool, no float) from ``least`` to 2^53−1."""
    return type(value) is int and least <= value <= AMOUNT_MAX


def input_fee(ppk: Iterable[int]) -> int:
    """NUT-02 fee of spending proofs: the sum of their keysets' ppk, rounded up to whole units."""
    return (sum(ppk) + 999) // 1000


def blanks_needed(owed_max: int, available: Iterable[int] | None = None) -> int:
    """How many blank outputs (NUT-08) can carry any change up to ``owed_max``.

    ``available`` are the amounts the keyset has keys for; None means all powers of two, and where those
    exist the number is that of NUT-08. Other amounts can need more than PARTS_MAX, which no request carries.
    """
    if owed_max <= 0:
        return 0
    least = max((owed_max - 1).bit_length(), 1)
    if available is None:
        return least
    usable = sorted({amount for amount in available if 0 < amount <= owed_max})
    if usable == [1 << bit for bit in range(owed_max.bit_length())]:
        return least
    # Largest first: of one amount never as many as make up the next larger one.
    between = sum((larger - 1) // smaller for smaller, larger in pairwise(usable))
    return between + (owed_max // usable[-1] if usable else 0)


def denominations(amount: int, available: Iterable[int] | None = None) -> tuple[int, ...]:
    """The amounts of the keys that sum to ``amount``, smallest first.

    ``available`` are the amounts the keyset has keys for; None means all powers of two. Largest first where
    that comes out even, else another way within a bounded search. Raises :class:`NotSplittable`.
    """
    if available is None:
        return tuple(1 << bit for bit in range(amount.bit_length()) if amount >> bit & 1)
    keys = sorted({key for key in available if 0 < key <= amount}, reverse=True)
    counts = _counts(amount, keys)
    if counts is None:
        raise NotSplittable(amount)
    parts = (part for key, count in zip(keys, counts, strict=True) for part in [key] * count)
    return tuple(sorted(parts))


def _counts(amount: int, keys: list[int]) -> list[int] | None:
    """How many of each key (largest first) make up the amount, at most PARTS_MAX together. Goes down with as
    many of each as fit; when a rest stays, it takes the last key of those back that can be spared."""
    steps = list(accumulate(reversed(keys), gcd))[::-1]  # what sums of this key and all smaller ones are
    counts = [0] * len(keys)
    at = parts = 0
    rest = amount
    for _ in range(len(keys) + SPLIT_NODES_MAX):
        if rest == 0:
            return counts
        if at < len(keys) and rest % steps[at] == 0 and parts < PARTS_MAX:
            counts[at] = min(rest // keys[at], PARTS_MAX - parts)
            rest, parts, at = rest - counts[at] * keys[at], parts + counts[at], at + 1
            continue
        at -= 1
        while at >= 0 and counts[at] == 0:
            at -= 1
        if at < 0:
            return None
        counts[at], rest, parts, at = counts[at] - 1, rest + keys[at], parts - 1, at + 1
    return None


def owed_max(inputs: int, amount: int, fee: int) -> int:
    """Change if Lightning cost nothing: inputs − amount − input fee."""
    return inputs - amount - fee


def owed_min(inputs: int, amount: int, fee: int, fee_reserve: int) -> int:
    """Change if Lightning took the whole reserve."""
    return max(0, owed_max(inputs, amount, fee) - fee_reserve)


def conserved(sources: int, *parts: int) -> bool:
    """Whether value is conserved: the sources equal the sum of the parts, and no part is negative."""
    return all(type(part) is int and part >= 0 for part in parts) and sources == sum(parts)
