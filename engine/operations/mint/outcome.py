"""How a funding stands: what is at stake while a person must look."""

from __future__ import annotations

from ....storage.catalogue import FUNDING_FAILURE
from ....storage.records import Operation


def alarm_of(op: Operation) -> str | None:
    """CRITICAL_FUNDING_FAILURE when the mint called the invoice PAID."""
    return FUNDING_FAILURE if op.paid_seen_at is not None else None
