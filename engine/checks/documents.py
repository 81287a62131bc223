"""The stored documents of one operation, read at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import field, frozen

from ...storage.records import AuditRecord, Operation, Token, Tombstone

if TYPE_CHECKING:
    from .tally import KindChecks


@frozen
class Born:
    """A token's first record with value, by the operation that made it."""

    amount: int
    proof_count: int


@frozen
class WalletSums:
    """One wallet's value by state, as the store sums it up and as its proofs add up."""

    told: Mapping[str, int]
    counted: Mapping[str, int]


@frozen
class Documents:
    """The stored documents of an operation. ``strays`` are tokens that call it their parent or holder,
    or bear an id of its, and that nothing accounts for. ``tombstone`` stands for a trail that was purged."""

    operation: Operation
    trail: tuple[AuditRecord, ...] = field(repr=False)
    tokens: Mapping[str, Token] = field(repr=False)
    made: tuple[str, ...]  # ids of the tokens it must have made
    strays: tuple[str, ...]
    owners: Mapping[str, str] = field(repr=False)
    born: Mapping[str, Born]
    checks: KindChecks = field(repr=False)  # what its kind adds
    wallet: WalletSums | None = None
    snapshot_ms: float = 0.0
    unreadable: str | None = None  # what does not decode, if anything
    tombstone: Tombstone | None = None
