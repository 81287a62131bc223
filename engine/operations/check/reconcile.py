"""The checks that an operation of kind check adds to a reconciliation."""

from __future__ import annotations

from ...checks.documents import Documents, KindChecks, made_token
from ...checks.tally import Tally
from ..shared.reconcile import named_with_value
from .data import check_of


def _sums(tally: Tally, docs: Documents) -> None:
    op = docs.operation
    own = f"operation:{op.id}"
    if op.state == "corrected" and docs.tombstone is None:
        gone = sum(r.data.get("amount", 0) for r in docs.trail if r.event == "correct_spent")
        tally.that("value that was corrected", gone, op.amount)
    event = {"retried": "retry", "written_off": "write_off"}.get(op.state)
    if event is not None and docs.tombstone is None:
        changed = sum(r.data.get("amount", 0) for r in docs.trail if r.entity != own and r.event == event)
        tally.that("value of the stranded tokens", changed, op.amount)


def _completes(tally: Tally, docs: Documents) -> None:
    data = check_of(docs.operation)
    named_with_value(tally, "change", data.change_token_id, data.change_amount)


def _made(tally: Tally, docs: Documents) -> None:
    data = check_of(docs.operation)
    if data.change_token_id is not None:
        made_token(tally, docs, data.change_token_id, "change", data.change_amount)


CHECKS: KindChecks = KindChecks(
    makes=lambda op: (check_of(op).change_token_id,),
    change=lambda op: check_of(op).change_token_id,
    completes=_completes,
    sums=_sums,
    made=_made,
)
