"""What an engine can tell about an operation beside what it is."""

from __future__ import annotations

from typing import Protocol

from ..storage.port import AuditQuery, Store
from ..storage.records import Operation
from .ports import Clock
from .report import PerformanceReport, performance


class Reads(Protocol):
    """What :class:`Reports` needs of the engine it is part of."""

    store: Store
    clock: Clock

    def _stored(self, operation_id: object) -> Operation: ...


class Reports:
    """Reports about stored operations; a base of the engine."""

    def report(self: Reads, operation_id: str) -> PerformanceReport:
        """Where an operation's time went, and what to do about it. Codes: NOT_FOUND, INVALID_FORMAT."""
        op = self._stored(operation_id)
        trail = self.store.audit(AuditQuery(operation_id=op.id))
        return performance(op, trail, self.clock.now())
