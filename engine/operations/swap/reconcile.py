"""The checks that a swap adds to a reconciliation."""

from __future__ import annotations

from ....machines.money import conserved
from ....machines.token.states import SPENT
from ....storage.records import Operation
from ...checks.documents import Documents, KindChecks, made_token
from ...checks.tally import Tally
from ...tokens.token_ids import swapped_id
from ..shared.reconcile import keep_and_change_made, keep_and_change_named
from .data import swap_of


def _completes(tally: Tally, docs: Documents) -> None:
    op, data = docs.operation, swap_of(docs.operation)
    keep_and_change_named(tally, data)
    if data.swapped or op.ends == "good":
        tally.that("amounts of the new tokens", [part.amount for part in data.swapped], list(data.into))


def _sums(tally: Tally, docs: Documents) -> None:
    op, data = docs.operation, swap_of(docs.operation)
    held = sum(part.amount for part in (*op.inputs, *data.stranded))
    if op.inputs or data.stranded:
        tally.that("sources = inputs + stranded + keep", data.sources_total, held + data.keep_total)
    outputs = sum(output.amount for output in data.blanks)
    if data.blanks:
        tally.that("inputs = outputs + input fee", held, outputs + data.input_fee)
        tally.that("the wanted amounts", op.amount, sum(data.into))
    if data.swapped:
        made = sum(part.amount for part in data.swapped)
        parts = (made, data.input_fee, data.change_amount)
        tally.that("inputs = new tokens + input fee + change", held, sum(parts))
        tally.that("no part is negative", conserved(sum(parts), *parts))
    if op.ends == "lost":
        lost = [t for t in docs.tokens.values() if t.reserved_by == op.id and t.state == SPENT]
        tally.that("the loss", data.loss, sum(token.total_amount for token in lost))


def _made(tally: Tally, docs: Documents) -> None:
    data = swap_of(docs.operation)
    keep_and_change_made(tally, docs, data)
    for part in data.swapped:
        made_token(tally, docs, part.token_id, "change", part.amount)


def _makes(op: Operation) -> tuple[str | None, ...]:
    data = swap_of(op)
    made = (swapped_id(op.id, n) for n in range(1, len(data.swapped) + 1))
    return (data.keep_token_id, data.change_token_id, *made)


def _spends(op: Operation) -> bool:
    """Once freed on the mint's word, the inputs may have become part of other tokens."""
    data = swap_of(op)
    return bool(data.swapped) and data.watch_since is None


CHECKS: KindChecks = KindChecks(
    makes=_makes,
    keep=lambda op: swap_of(op).keep_token_id,
    change=lambda op: swap_of(op).change_token_id,
    completes=_completes,
    sums=_sums,
    spends=_spends,
    spends_as_held=lambda op: swap_of(op).watch_since is None,
    made=_made,
)
