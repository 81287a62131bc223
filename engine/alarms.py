"""When an operation needs a person at once, because money left or may have left."""

from __future__ import annotations

from ..storage.catalogue import MELT_FAILURE
from ..storage.records import Operation
from .known import machine_of


def alarm_of(op: Operation) -> str | None:
    """CRITICAL_MELT_FAILURE for a parked operation whose payment is proven or possible, else None. A
    melt's is possible once its request may have been sent; what a caller records, he has paid."""
    paid = op.payment is not None or op.sent_at is not None
    if op.kind != "melt" or not paid:
        return None
    return MELT_FAILURE if machine_of(op).state(op.state).kind == "parked" else None
