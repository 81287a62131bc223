"""The reports of an engine about one operation: times and recommendations."""

from __future__ import annotations

from ..audit.verify import records_of
from .core import Core
from .report import PerformanceReport, performance


class Reports(Core):
    """Reports about stored operations."""

    def report(self, operation_id: str, *, npub: str | None = None) -> PerformanceReport:
        """The times of an operation, and recommendations. Codes: NOT_FOUND, INVALID_FORMAT."""
        op = self._stored(self._bound(operation_id, npub))
        return performance(op, records_of(self.store, op.id), self.clock.now())
