"""What an engine can tell about an operation beside what it is."""

from __future__ import annotations

from ..storage.port import AuditQuery
from .core import Core
from .report import PerformanceReport, performance


class Reports(Core):
    """Reports about stored operations."""

    def report(self, operation_id: str) -> PerformanceReport:
        """Where an operation's time went, and what to do about it. Codes: NOT_FOUND, INVALID_FORMAT."""
        op = self._stored(operation_id)
        trail = self.store.audit(AuditQuery(operation_id=op.id))
        return performance(op, trail, self.clock.now())
