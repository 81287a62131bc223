"""The checks that a receive adds to a reconciliation."""

from __future__ import annotations

from ....machines.money import conserved
from ....storage.records import Operation
from ...checks.documents import Documents, KindChecks, made_token
from ...checks.tally import Tally
from ...tokens.token_ids import received_id
from ..shared.handed_in import claim_of
from .data import receive_of


def _completes(tally: Tally, docs: Documents) -> None:
    op, data = docs.operation, receive_of(docs.operation)
    if op.ends == "good" or data.received:
        tally.that("tokens that were made", [part.token_id for part in data.received], [received_id(op.id)])
        tally.that("the claim on the token", op.claim in (None, claim_of(data.proofs_hash)), True)


def _sums(tally: Tally, docs: Documents) -> None:
    op, data = docs.operation, receive_of(docs.operation)
    outputs = sum(output.amount for output in data.blanks)
    if data.blanks:
        tally.that("the token = outputs + input fee", data.sources_total, outputs + data.input_fee)
        tally.that("the credited amount", op.amount, outputs)
        tally.that("no part is negative", conserved(data.sources_total, outputs, data.input_fee))
    for part in data.received:
        tally.that("the new token", part.amount, op.amount)


def _made(tally: Tally, docs: Documents) -> None:
    for part in receive_of(docs.operation).received:
        made_token(tally, docs, part.token_id, "received", part.amount)


def _makes(op: Operation) -> tuple[str | None, ...]:
    return (received_id(op.id),) if receive_of(op).received else ()


CHECKS: KindChecks = KindChecks(makes=_makes, completes=_completes, sums=_sums, made=_made)
