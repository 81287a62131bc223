"""The outcome of a payment, its cost, and the amount at stake while a person must look."""

from __future__ import annotations

from ....machines.melt.table import MELT
from ....storage.catalogue import MELT_FAILURE
from ....storage.errors import NutstateError
from ....storage.records import Operation
from ...admission.rejected import rejected_error
from ...errors import Refused


def cost_of(op: Operation) -> int | None:
    """The wallet's loss to fees: Lightning and input fee of a payment, the mint's fee for the fence. None
    until it is known."""
    if op.payment is not None:
        fee = op.payment.lightning_fee
        return None if fee is None else fee + op.input_fee
    if op.fenced_token_id is not None:
        return op.fence_fee
    state = MELT.by_name.get(op.state)
    settled = state is not None and state.settles
    return 0 if op.finished_at is not None or settled else None


def alarm_of(op: Operation) -> str | None:
    """CRITICAL_MELT_FAILURE when the payment is proven or possible: its request may have been sent."""
    return MELT_FAILURE if op.payment is not None or op.sent_at is not None else None


def raises(op: Operation) -> NutstateError | None:
    """QUOTE_EXPIRED, or the stored reason of a refusal: the payment ended before anything was sent."""
    if op.state == "expired":
        return Refused("the quote expired before anything was sent", code="QUOTE_EXPIRED", operation_id=op.id)
    return rejected_error(op) if op.state == "rejected" else None
