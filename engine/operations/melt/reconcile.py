"""The checks that a payment adds to a reconciliation."""

from __future__ import annotations

from ....machines.money import conserved
from ....machines.token.states import SPENT
from ....storage.records import Operation
from ...checks.documents import Documents, KindChecks, made_token
from ...checks.tally import Tally
from ...tokens.token_ids import fence_id, fenced_id
from .fences import done, fenced_amount


def _is_settled(op: Operation) -> bool:
    """Whether a payment is stored with everything that belongs to it."""
    return op.state in ("settled", "discrepant") or op.ends == "good"


def _completes(tally: Tally, docs: Documents) -> None:
    if _is_settled(docs.operation):
        tally.that("the payment is recorded", docs.operation.payment is not None)


def _sums(tally: Tally, docs: Documents) -> None:
    op, inputs = docs.operation, sum(part.amount for part in docs.operation.inputs)
    if _is_settled(op):
        fee = op.payment.lightning_fee if op.payment else None
        parts = (op.amount, fee or 0, op.input_fee, op.keep_total, op.change_amount, op.loss)
        tally.that("the Lightning fee is known", fee is not None)
        tally.that(
            "sources + surplus = amount + fees + keep + change + loss",
            op.sources_total + op.surplus,
            sum(parts),
        )
        tally.that("no part is negative", conserved(sum(parts), *parts))
    elif op.payment is None and op.inputs:
        stranded = sum(part.amount for part in op.stranded)
        tally.that("sources = inputs + stranded + keep", op.sources_total, inputs + stranded + op.keep_total)
    if op.ends == "lost":
        lost = [t for t in docs.tokens.values() if t.reserved_by == op.id and t.state == SPENT]
        fenced = sum(fenced_amount(fence) + fence.input_fee for fence in done(op))
        tally.that("the loss", op.loss, sum(token.total_amount for token in lost) - fenced)
    back = 0
    for fence in done(op):
        name = fence_id(op.id, fence.generation) if fence.inputs else fenced_id(op.id)
        back += fenced_amount(fence) + fence.input_fee
        if name in docs.born:
            tally.that(f"{name}: value at birth", docs.born[name].amount, fenced_amount(fence))
    if back and op.state == "released" and op.watch_since is None:
        tally.that("inputs = fences + their fees", inputs, back)


def _spends(op: Operation) -> bool:
    fences = done(op)  # after a release a part may have come back, and the rest been used
    whole = op.watch_since is None or any(not fence.inputs for fence in fences)
    return _is_settled(op) or (bool(fences) and op.state == "released" and whole)


def _made(tally: Tally, docs: Documents) -> None:
    op = docs.operation
    for fence in done(op):
        name = fence_id(op.id, fence.generation) if fence.inputs else fenced_id(op.id)
        made_token(tally, docs, name, "change", None)


CHECKS: KindChecks = KindChecks(completes=_completes, sums=_sums, spends=_spends, made=_made)
