"""The parts into which the value of a payment's sources went."""

from __future__ import annotations

from collections.abc import Sequence

from ....storage.records import AuditRecord, Operation
from ...loop.effect_context import inputs_total_of


def sums_of(op: Operation, records: Sequence[AuditRecord]) -> dict[str, int] | None:
    """Name and value of each part; together they are the sources. None while that is not decided yet, and for
    a payment that never had inputs. ``records`` are the operation's audit records."""
    if not (op.inputs or op.stranded) or (op.finished_at is None and op.state != "settled"):
        return None
    if op.payment is not None and op.payment.lightning_fee is not None:
        parts = {
            "amount": op.amount,
            "lightning_fee": op.payment.lightning_fee,
            "input_fee": op.input_fee,
            "kept": op.keep_total,
            "change": op.change_amount,
        }
    elif op.fenced_token_id is not None:
        signed = [r for r in records if r.event in ("fence_done", "fence_found")]
        back = sum(int(r.data.get("new_value", 0)) for r in signed)
        parts = {"swapped_back": back, "fence_fee": op.fence_fee, "kept": op.keep_total}
        if op.finished_at is None:
            parts["held"] = inputs_total_of(op) - back - op.fence_fee
    else:
        returned = 0 if op.ends == "lost" else inputs_total_of(op)
        parts = {"returned": returned, "kept": op.keep_total}
    if op.stranded:
        parts["stranded"] = sum(part.amount for part in op.stranded)
    if op.loss:
        parts["loss"] = op.loss
    return parts
