"""How a funding stands: what is at stake while a person must look."""

from __future__ import annotations

from ....storage.catalogue import FUNDING_FAILURE
from ....storage.records import Operation
from ....storage.secret import Secret


def alarm_of(op: Operation) -> str | None:
    """CRITICAL_FUNDING_FAILURE when the mint called the invoice PAID."""
    return FUNDING_FAILURE if op.paid_seen_at is not None else None


def to_pay(op: Operation) -> Secret | None:
    """The mint's invoice while it waits to be paid. None before the quote, and once it is paid or ran out."""
    return op.quote.request if op.state == "quoted" and op.quote is not None else None
