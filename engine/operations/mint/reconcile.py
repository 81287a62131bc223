"""The checks that a funding adds to a reconciliation."""

from __future__ import annotations

from ....machines.token.states import FAILED
from ....storage.records import Operation
from ...checks.documents import Documents, KindChecks, made_token
from ...checks.tally import Tally
from ...tokens.token_ids import minted_id


def _makes(op: Operation) -> tuple[str, ...]:
    return (minted_id(op.id),)


def _sums(tally: Tally, docs: Documents) -> None:
    op, name = docs.operation, minted_id(docs.operation.id)
    if op.ends == "good" and name in docs.born:
        tally.that(f"{name}: value at birth", docs.born[name].amount, op.amount)


def _made(tally: Tally, docs: Documents) -> None:
    op = docs.operation
    if op.ends == "good":
        made_token(tally, docs, minted_id(op.id), "minted", op.amount)
    elif op.finished_at is not None:
        token = docs.tokens.get(minted_id(op.id))
        if token is not None:
            tally.that(f"{token.transaction_id}: state", token.state, FAILED)


CHECKS: KindChecks = KindChecks(makes=_makes, sums=_sums, made=_made)
