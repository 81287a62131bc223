"""When an operation needs a person at once, because money left or may have left."""

from __future__ import annotations

from ...storage.records import Operation
from ..operations import hooks


def alarm_of(op: Operation) -> str | None:
    """The alarm of a parked operation, else None. CRITICAL_MELT_FAILURE: its payment is proven or possible.
    CRITICAL_FUNDING_FAILURE: the mint called its invoice PAID."""
    alarm = hooks.alarm_of(op)
    return alarm if alarm and op.kind_of_state == "parked" else None
