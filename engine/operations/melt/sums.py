"""The parts into which the value of a payment's sources went."""

from __future__ import annotations

from collections.abc import Sequence

from ....storage.records import AuditRecord, Operation
from ...loop.effect_context import inputs_total_of
from .data import melt_of


def sums_of(op: Operation, records: Sequence[AuditRecord]) -> dict[str, int] | None:
    """Name and value of each part; together they are the sources. None while that is not decided yet, and for
    a payment that never had inputs. ``records`` are the operation's audit records."""
    data = melt_of(op)
    if not (op.inputs or data.stranded) or (op.finished_at is None and op.state != "settled"):
        return None
    if data.payment is not None and data.payment.lightning_fee is not None:
        parts = {
            "amount": op.amount,
            "lightning_fee": data.payment.lightning_fee,
            "input_fee": data.input_fee,
            "kept": data.keep_total,
            "change": data.change_amount,
        }
    elif data.fenced_token_id is not None:
        signed = [r for r in records if r.event in ("fence_done", "fence_found")]
        back = sum(int(r.data.get("new_value", 0)) for r in signed)
        parts = {"swapped_back": back, "fence_fee": data.fence_fee, "kept": data.keep_total}
        if op.finished_at is None:
            parts["held"] = inputs_total_of(op) - back - data.fence_fee
    else:
        returned = 0 if op.ends == "lost" else inputs_total_of(op)
        parts = {"returned": returned, "kept": data.keep_total}
    if data.stranded:
        parts["stranded"] = sum(part.amount for part in data.stranded)
    if data.loss:
        parts["loss"] = data.loss
    return parts
