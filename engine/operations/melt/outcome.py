"""The outcome of a payment, its cost, and the amount at stake while a person must look."""

from __future__ import annotations

from ....machines.melt.table import MELT
from ....storage.catalogue import MELT_FAILURE
from ....storage.errors import NutstateError
from ....storage.records import Operation
from ...admission.rejected import rejected_error
from ...errors import Refused
from .data import melt_of


def cost_of(op: Operation) -> int | None:
    """The wallet's loss to fees: Lightning and input fee of a payment, the mint's fee for the fence. None
    until it is known."""
    data = melt_of(op)
    if data.payment is not None:
        fee = data.payment.lightning_fee
        return None if fee is None else fee + data.input_fee
    if data.fenced_token_id is not None:
        return data.fence_fee
    state = MELT.by_name.get(op.state)
    settled = state is not None and state.settles
    return 0 if op.finished_at is not None or settled else None


def alarm_of(op: Operation) -> str | None:
    """CRITICAL_MELT_FAILURE when the payment is proven or possible: its request may have been sent."""
    return MELT_FAILURE if melt_of(op).payment is not None or op.sent_at is not None else None


def was_refused(op: Operation) -> bool:
    """Whether the mint refused it and its inputs are free, while what became of the request is watched."""
    state = MELT.by_name.get(op.state)
    return state is not None and state.frees and melt_of(op).refused_for is not None


def raises(op: Operation) -> NutstateError | None:
    """QUOTE_EXPIRED, or the stored reason of a refusal: the payment ended before anything was sent."""
    if op.state == "expired":
        return Refused("the quote expired before anything was sent", code="QUOTE_EXPIRED", operation_id=op.id)
    return rejected_error(op) if op.state == "rejected" else None
