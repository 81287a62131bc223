"""The outcome of a melt that the caller makes itself: its cost, the parts into which the value of its sources
went, and its alarm."""

from __future__ import annotations

from collections.abc import Sequence

from ....storage.catalogue import MELT_FAILURE
from ....storage.port import Reader, TokenQuery
from ....storage.records import AuditRecord, Operation
from ...errors import Refused
from ...loop.effect_context import inputs_total_of
from .data import record_of


def cost_of(op: Operation) -> int | None:
    """The fee that the caller recorded. None until it is recorded; 0 when the hold ended without."""
    payment = record_of(op).payment
    if payment is not None:
        return payment.lightning_fee
    return 0 if op.finished_at is not None else None


def alarm_of(op: Operation) -> str | None:
    """CRITICAL_MELT_FAILURE when the caller recorded that it paid."""
    return MELT_FAILURE if record_of(op).payment is not None else None


def sums_of(op: Operation, records: Sequence[AuditRecord]) -> dict[str, int] | None:
    """Name and value of each part; together they are the sources. None while that is not decided yet."""
    data = record_of(op)
    if not (op.inputs or data.stranded) or (op.finished_at is None and op.state != "settled"):
        return None
    if data.payment is not None and data.payment.lightning_fee is not None:
        return {
            "amount": op.amount,
            "lightning_fee": data.payment.lightning_fee,
            "input_fee": 0,
            "kept": data.keep_total,
            "change": data.change_amount,
        }
    parts = {"returned": 0 if op.ends == "lost" else inputs_total_of(op), "kept": data.keep_total}
    if data.stranded:
        parts["stranded"] = sum(part.amount for part in data.stranded)
    if data.loss:
        parts["loss"] = data.loss
    return parts


def is_contested(op: Operation) -> bool:
    """Whether it was paid by the caller, or may be, and others hold its sources or its claim."""
    return op.state == "contested"


def contested(store: Reader, op: Operation) -> Refused:
    """The payment is stored, but not all its sources or its claim are free: who has them, as far as that
    is this owner's."""
    ids = tuple(part.token_id for part in record_of(op).contested)
    tokens = store.tokens(TokenQuery(ids=ids, limit=len(ids))) if ids else ()
    holders = {token.reserved_by for token in tokens}
    if op.payment_hash is not None:
        claimer = store.operation_by_claim(op.payment_hash)
        holders.add(claimer.id if claimer is not None and claimer.npub == op.npub else None)
    return Refused(
        "the payment is recorded with its keep and change, but another operation holds or has spent what it "
        "was paid with; it waits for that, or for an operator",
        code="CONCURRENT_OPERATION",
        severity="CRITICAL",
        retryable=False,
        operation_id=op.id,
        state=op.state,
        tokens=sorted(ids),
        operations=sorted(holder for holder in holders if holder not in (None, op.id)),
    )
