"""The result of a sweep of recovery: numbers of everything, and bounded lists."""

from __future__ import annotations

from typing import TypeVar

import attrs
from attrs import define, field, frozen

from ...machines.shown import shown
from ...storage.records import Operation

T = TypeVar("T")

KEPT_MAX = 100
"""Operations of one sweep that are kept whole, for the caller to look at."""
NAMED_MAX = 1_000
"""Operations of one sweep that are named by their id, in each of its lists."""


@frozen
class RecoveryNumbers:
    """How many operations a sweep has gone over, and what they are now. Each that it has gone over is one of
    ``ended``, ``waiting`` (for its caller), ``parked`` and ``open``."""

    total: int = 0
    """Open operations when the sweep began."""
    gone_over: int = 0
    looked_after: int = 0
    ended: int = 0
    waiting: int = 0
    parked: int = 0
    open: int = 0
    not_due: int = 0
    """Open and parked ones that were not looked after, because their next look is later."""
    left: int = 0
    """Those that were not asked about, because their mint answers nothing."""
    failed: int = 0
    """Those with trouble of their own, such as a machine that this program does not have."""
    unreadable: int = 0
    """Documents that do not decode."""

    __repr__ = shown

    def as_dict(self) -> dict[str, int]:
        """JSON-ready."""
        return attrs.asdict(self)


@define(eq=False)
class Swept:
    """The result of a sweep. Its size does not grow with the number of operations."""

    numbers: RecoveryNumbers = field(factory=RecoveryNumbers)
    operations: list[Operation] = field(factory=list)
    """The first that were looked after, as they are now."""
    others: list[Operation] = field(factory=list)
    """The first that were not due."""
    open_ids: list[str] = field(factory=list)  # live or parked, and not waiting for their caller
    parked_ids: list[str] = field(factory=list)
    failed_ids: list[str] = field(factory=list)
    unreadable: list[str] = field(factory=list)
    first_due_at: int | None = None  # of those that were not due

    __repr__ = shown

    def looked_after(self, op: Operation, word: str, *, left: bool = False, failed: bool = False) -> None:
        """One more operation, which is ``ended``, ``waiting``, ``parked`` or ``open`` now."""
        self._count(op, word)
        numbers = self.numbers
        self.numbers = attrs.evolve(
            numbers,
            looked_after=numbers.looked_after + 1,
            left=numbers.left + left,
            failed=numbers.failed + failed,
        )
        if failed:
            _keep(self.failed_ids, op.id, NAMED_MAX)
        _keep(self.operations, op, KEPT_MAX)

    def not_due(self, op: Operation, word: str) -> None:
        """One more operation that is looked after later, or waits for its caller."""
        self._count(op, word)
        if word == "waiting":
            return
        self.numbers = attrs.evolve(self.numbers, not_due=self.numbers.not_due + 1)
        if op.next_check_at is not None:
            self.first_due_at = min(op.next_check_at, self.first_due_at or op.next_check_at)
        _keep(self.others, op, KEPT_MAX)

    def not_read(self, message: str) -> None:
        """One more document that does not decode."""
        numbers = self.numbers
        self.numbers = attrs.evolve(
            numbers, gone_over=numbers.gone_over + 1, unreadable=numbers.unreadable + 1
        )
        _keep(self.unreadable, message, NAMED_MAX)

    def _count(self, op: Operation, word: str) -> None:
        numbers = self.numbers
        grown = {"gone_over": numbers.gone_over + 1, word: getattr(numbers, word) + 1}
        self.numbers = attrs.evolve(numbers, **grown)
        if word in ("parked", "open"):
            _keep(self.open_ids, op.id, NAMED_MAX)
        if word == "parked":
            _keep(self.parked_ids, op.id, NAMED_MAX)


def _keep(there: list[T], one: T, most: int) -> None:
    if len(there) < most:
        there.append(one)
