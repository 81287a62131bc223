"""The checks that a deposit adds to a reconciliation."""

from __future__ import annotations

from ....storage.records import Operation
from ...checks.documents import Documents, KindChecks, made_token
from ...checks.tally import Tally
from ...tokens.token_ids import deposit_id


def _makes(op: Operation) -> tuple[str, ...]:
    return (deposit_id(op.id),)


def _sums(tally: Tally, docs: Documents) -> None:
    op, name = docs.operation, deposit_id(docs.operation.id)
    if op.ends == "good" and name in docs.born:
        tally.that(f"{name}: value at birth", docs.born[name].amount, op.amount)


def _made(tally: Tally, docs: Documents) -> None:
    op = docs.operation
    if op.ends == "good":
        made_token(tally, docs, deposit_id(op.id), "received", op.amount)


CHECKS: KindChecks = KindChecks(makes=_makes, sums=_sums, made=_made)
