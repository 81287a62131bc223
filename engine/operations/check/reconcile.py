"""The checks that an operation of kind check adds to a reconciliation."""

from __future__ import annotations

from ...checks.documents import Documents, KindChecks
from ...checks.tally import Tally


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


CHECKS: KindChecks = KindChecks(sums=_sums)
