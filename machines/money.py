"""Integer arithmetic of ecash: fees, blanks, denominations. Amounts in the token's unit."""

from __future__ import annotations

from collections.abc import Iterable

AMOUNT_MAX = 2**53 - 1
"""Largest amount any JSON reader keeps exactly."""


def is_amount(value: object, least: int = 1) -> bool:
    """A real integer (no bool, no float) from ``least`` to 2^53−1."""
    return type(value) is int and least <= value <= AMOUNT_MAX


def input_fee(ppk: Iterable[int]) -> int:
    """NUT-02 fee of spending proofs: the sum of their keysets' ppk, rounded up to whole units."""
    return (sum(ppk) + 999) // 1000


def blanks_needed(owed_max: int) -> int:
    """NUT-08: how many blank outputs can carry any change up to ``owed_max``."""
    return 0 if owed_max <= 0 else max((owed_max - 1).bit_length(), 1)


def denominations(amount: int) -> tuple[int, ...]:
    """The powers of two that sum to ``amount``, smallest first."""
    return tuple(1 << bit for bit in range(amount.bit_length()) if amount >> bit & 1)


def owed_max(inputs: int, amount: int, fee: int) -> int:
    """Change if Lightning cost nothing: inputs − amount − input fee."""
    return inputs - amount - fee


def owed_min(inputs: int, amount: int, fee: int, fee_reserve: int) -> int:
    """Change if Lightning took the whole reserve."""
    return max(0, owed_max(inputs, amount, fee) - fee_reserve)


def conserved(sources: int, *parts: int) -> bool:
    """Value is conserved: what went in is exactly what came out, and no part is negative."""
    return all(type(part) is int and part >= 0 for part in parts) and sources == sum(parts)
