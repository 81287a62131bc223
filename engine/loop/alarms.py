"""When an operation needs a person at once, because money left or may have left."""

from __future__ import annotations

from ...storage.catalogue import FUNDING_FAILURE, MELT_FAILURE
from ...storage.records import Operation


def alarm_of(op: Operation) -> str | None:
    """The alarm of a parked operation, else None. CRITICAL_MELT_FAILURE: its payment is proven or possible,
    that is, its request may have been sent, or the caller recorded that it paid. CRITICAL_FUNDING_FAILURE:
    the mint called its invoice PAID."""
    if op.kind == "mint":
        alarm = FUNDING_FAILURE if op.paid_seen_at is not None else None
    elif op.kind == "melt":
        alarm = MELT_FAILURE if op.payment is not None or op.sent_at is not None else None
    else:
        alarm = None
    return alarm if alarm and op.kind_of_state == "parked" else None
