"""The checks that a payment adds to a reconciliation."""

from __future__ import annotations

from ....machines.money import conserved
from ....machines.token.states import SPENT
from ....storage.records import Operation
from ...checks.documents import Documents, KindChecks, made_token
from ...checks.tally import Tally
from ...tokens.token_ids import fence_id, fenced_id
from ..shared.reconcile import keep_and_change_made, keep_and_change_named
from .data import melt_of
from .fences import done, fenced_amount


def _is_settled(op: Operation) -> bool:
    """Whether a payment is stored with everything that belongs to it."""
    return op.state in ("settled", "discrepant") or op.ends == "good"


def _completes(tally: Tally, docs: Documents) -> None:
    keep_and_change_named(tally, melt_of(docs.operation))
    if _is_settled(docs.operation):
        tally.that("the payment is recorded", melt_of(docs.operation).payment is not None)


def _sums(tally: Tally, docs: Documents) -> None:
    op, inputs = docs.operation, sum(part.amount for part in docs.operation.inputs)
    data = melt_of(op)
    if _is_settled(op):
        fee = data.payment.lightning_fee if data.payment else None
        parts = (op.amount, fee or 0, data.input_fee, data.keep_total, data.change_amount, data.loss)
        tally.that("the Lightning fee is known", fee is not None)
        tally.that(
            "sources + surplus = amount + fees + keep + change + loss",
            data.sources_total + data.surplus,
            sum(parts),
        )
        tally.that("no part is negative", conserved(sum(parts), *parts))
    elif data.payment is None and op.inputs:
        stranded = sum(part.amount for part in data.stranded)
        tally.that(
            "sources = inputs + stranded + keep", data.sources_total, inputs + stranded + data.keep_total
        )
    if op.ends == "lost":
        lost = [t for t in docs.tokens.values() if t.reserved_by == op.id and t.state == SPENT]
        fenced = sum(fenced_amount(fence) + fence.input_fee for fence in done(op))
        tally.that("the loss", data.loss, sum(token.total_amount for token in lost) - fenced)
    back = 0
    for fence in done(op):
        name = fence_id(op.id, fence.generation) if fence.inputs else fenced_id(op.id)
        back += fenced_amount(fence) + fence.input_fee
        if name in docs.born:
            tally.that(f"{name}: value at birth", docs.born[name].amount, fenced_amount(fence))
    if back and op.state == "released" and data.watch_since is None:
        tally.that("inputs = fences + their fees", inputs, back)


def _spends(op: Operation) -> bool:
    fences = done(op)  # after a release a part may have come back, and the rest been used
    whole = melt_of(op).watch_since is None or any(not fence.inputs for fence in fences)
    return _is_settled(op) or (bool(fences) and op.state == "released" and whole)


def _made(tally: Tally, docs: Documents) -> None:
    op = docs.operation
    keep_and_change_made(tally, docs, melt_of(op))
    for fence in done(op):
        name = fence_id(op.id, fence.generation) if fence.inputs else fenced_id(op.id)
        made_token(tally, docs, name, "change", None)


def _makes(op: Operation) -> tuple[str | None, ...]:
    data = melt_of(op)
    return (data.keep_token_id, data.change_token_id, data.fenced_token_id)


CHECKS: KindChecks = KindChecks(
    makes=_makes,
    keep=lambda op: melt_of(op).keep_token_id,
    change=lambda op: melt_of(op).change_token_id,
    completes=_completes,
    sums=_sums,
    spends=_spends,
    spends_as_held=lambda op: melt_of(op).watch_since is None,
    made=_made,
)
