"""The checks that a melt that the caller makes itself adds to a reconciliation."""

from __future__ import annotations

from ....machines.money import conserved
from ....machines.token.states import SPENT
from ....storage.records import Operation
from ...checks.documents import Documents, KindChecks
from ...checks.tally import Tally


def _is_recorded(op: Operation) -> bool:
    """Whether the payment is stored with everything that belongs to it."""
    return op.state in ("settled", "discrepant") or op.ends == "good"


def _completes(tally: Tally, docs: Documents) -> None:
    if _is_recorded(docs.operation):
        tally.that("the payment is recorded", docs.operation.payment is not None)


def _sums(tally: Tally, docs: Documents) -> None:
    """Of sources that others used the loss is theirs to account for: it is no part of the sum."""
    op, inputs = docs.operation, sum(part.amount for part in docs.operation.inputs)
    if _is_recorded(op):
        fee = op.payment.lightning_fee if op.payment else None
        parts = (op.amount, fee or 0, op.keep_total, op.change_amount)
        tally.that("the fee is known", fee is not None)
        tally.that("sources = amount + fee + keep + change", op.sources_total, sum(parts))
        tally.that("no part is negative", conserved(sum(parts), *parts))
    elif op.payment is None and op.inputs:
        stranded = sum(part.amount for part in op.stranded)
        tally.that("sources = inputs + stranded", op.sources_total, inputs + stranded)
    if op.ends == "lost":
        lost = [t for t in docs.tokens.values() if t.reserved_by == op.id and t.state == SPENT]
        tally.that("the loss", op.loss, sum(token.total_amount for token in lost))


CHECKS: KindChecks = KindChecks(completes=_completes, sums=_sums, spends=_is_recorded)
