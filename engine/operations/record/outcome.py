"""The outcome of a melt that the caller makes itself: its cost, the parts into which the value of its sources
went, and its alarm."""

from __future__ import annotations

from collections.abc import Sequence

from ....storage.catalogue import MELT_FAILURE
from ....storage.records import AuditRecord, Operation
from ...loop.effect_context import inputs_total_of


def cost_of(op: Operation) -> int | None:
    """The fee that the caller recorded. None until it is recorded; 0 when the hold ended without."""
    if op.payment is not None:
        return op.payment.lightning_fee
    return 0 if op.finished_at is not None else None


def alarm_of(op: Operation) -> str | None:
    """CRITICAL_MELT_FAILURE when the caller recorded that it paid."""
    return MELT_FAILURE if op.payment is not None else None


def sums_of(op: Operation, records: Sequence[AuditRecord]) -> dict[str, int] | None:
    """Name and value of each part; together they are the sources. None while that is not decided yet."""
    if not (op.inputs or op.stranded) or (op.finished_at is None and op.state != "settled"):
        return None
    if op.payment is not None and op.payment.lightning_fee is not None:
        return {
            "amount": op.amount,
            "lightning_fee": op.payment.lightning_fee,
            "input_fee": 0,
            "kept": op.keep_total,
            "change": op.change_amount,
        }
    parts = {"returned": 0 if op.ends == "lost" else inputs_total_of(op), "kept": op.keep_total}
    if op.stranded:
        parts["stranded"] = sum(part.amount for part in op.stranded)
    if op.loss:
        parts["loss"] = op.loss
    return parts
