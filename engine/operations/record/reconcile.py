"""The checks that a melt that the caller makes itself adds to a reconciliation."""

from __future__ import annotations

from ....machines.money import conserved
from ....machines.token.states import SPENT
from ....storage.records import Operation
from ...checks.documents import Documents, KindChecks
from ...checks.tally import Tally
from ..shared.reconcile import keep_and_change_made, keep_and_change_named
from .data import record_of


def _is_recorded(op: Operation) -> bool:
    """Whether the payment is stored with everything that belongs to it."""
    return op.state in ("settled", "discrepant") or op.ends == "good"


def _completes(tally: Tally, docs: Documents) -> None:
    keep_and_change_named(tally, record_of(docs.operation))
    if _is_recorded(docs.operation):
        tally.that("the payment is recorded", record_of(docs.operation).payment is not None)


def _sums(tally: Tally, docs: Documents) -> None:
    """Of sources that others used the loss is theirs to account for: it is no part of the sum."""
    op, inputs = docs.operation, sum(part.amount for part in docs.operation.inputs)
    data = record_of(op)
    if _is_recorded(op):
        fee = data.payment.lightning_fee if data.payment else None
        parts = (op.amount, fee or 0, data.keep_total, data.change_amount)
        tally.that("the fee is known", fee is not None)
        tally.that("sources = amount + fee + keep + change", data.sources_total, sum(parts))
        tally.that("no part is negative", conserved(sum(parts), *parts))
    elif data.payment is None and op.inputs:
        stranded = sum(part.amount for part in data.stranded)
        tally.that("sources = inputs + stranded", data.sources_total, inputs + stranded)
    if op.ends == "lost":
        lost = [t for t in docs.tokens.values() if t.reserved_by == op.id and t.state == SPENT]
        tally.that("the loss", data.loss, sum(token.total_amount for token in lost))


def _made(tally: Tally, docs: Documents) -> None:
    keep_and_change_made(tally, docs, record_of(docs.operation))


def _makes(op: Operation) -> tuple[str | None, ...]:
    data = record_of(op)
    return (data.keep_token_id, data.change_token_id)


CHECKS: KindChecks = KindChecks(
    makes=_makes,
    sources=lambda op: record_of(op).contested,
    keep=lambda op: record_of(op).keep_token_id,
    change=lambda op: record_of(op).change_token_id,
    completes=_completes,
    sums=_sums,
    spends=_is_recorded,
    made=_made,
)
