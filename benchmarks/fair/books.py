"""The database of a wallet that is written by hand: what one transaction holds, and what is asked of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from attrs import define, field, frozen

from .documents import Plain

ALONE, EACH = 4, 2
"""Candidates that would do alone, and of each size below, as the engine reads them."""


def sizes_below(need: int) -> list[tuple[int, int]]:
    """1, 2 to 3, 4 to 7, and so on, below ``need``."""
    lows = (1 << size for size in range(need.bit_length()) if 1 << size < need)
    return [(low, min(2 * low, need) - 1) for low in lows]


class Lost(Exception):
    """Another program was faster, or changed what was written."""


@frozen
class Changed:
    """A stored token: its state and version before, and the names of the fields that are new."""

    state: str
    version: int
    token: Plain
    names: tuple[str, ...]


@define
class Commit:
    """One transaction."""

    operation: Plain
    records: Sequence[tuple[Plain, str, str]]
    before: tuple[str, int] | None = None  # None: the operation is new
    names: tuple[str, ...] = ()  # fields of the operation that are new
    changed: list[Changed] = field(factory=list)
    born: list[Plain] = field(factory=list)
    moved: list[tuple[list[str], str, str]] = field(factory=list)  # keys, from token, to token
    entered: list[tuple[list[str], str]] = field(factory=list)  # keys, token
    dedup: tuple[str, int, tuple[str, int] | None] | None = None  # key, expires at, who had it


class Books(Protocol):
    """A database, opened by the product before."""

    def dedup(self, key: str) -> tuple[str, int] | None:
        """The operation that holds the key, and until when."""
        ...

    def candidates(self, npub: str, mint_url: str, unit: str, need: int) -> list[Plain]:
        """Unspent tokens: the smallest that would do alone, and the largest of each size below."""
        ...

    def commit(self, commit: Commit) -> None:
        """All of it or nothing; :class:`Lost` when a stored document is not as it was."""
        ...

    def agrees(self, operation: Plain, tokens: Sequence[Plain], records: Sequence[Any]) -> bool:
        """Whether operation, tokens, their proof index and audit records, read at one moment, are these."""
        ...
