"""A recording as the caller asks for it, compared with what is stored."""

from __future__ import annotations

from attrs import field, frozen

from ....storage.records import Operation, Reason, Token
from ...admission import new_operation
from ...errors import Refused
from ...loop.effect_context import is_free
from ...loop.evidence import Recorded
from .data import record_of
from .proofs import KeepAndChange


@frozen
class Wanted:
    """A checked recording: the operation that it would be, and the caller's report of the payment."""

    op: Operation
    said: Recorded
    handed: KeepAndChange = field(repr=False)
    hold: str | None = None


def repeated(first: Operation, wanted: Wanted) -> Operation:
    """The first recording, if it is the same in every respect. Returning it for another keep or change
    would drop proofs."""
    op = wanted.op
    same = new_operation.dedup_key(first) == new_operation.dedup_key(op)
    if same and record_of(first).recorded_hash == wanted.said.fingerprint:
        return first
    if not same and wanted.hold is None:
        raise new_operation.taken_id(op)
    raise Refused(
        "this melt was recorded before, with other amounts or another keep or change",
        code="DUPLICATE_OPERATION",
        first_operation=first.id,
        age_s=round((op.created_at - first.created_at) / 1000, 3),
    )


def parked(op: Operation, tokens: tuple[Token, ...]) -> Reason:
    taken = sorted(token.transaction_id for token in tokens if not is_free(token, op))
    return Reason(
        "CONCURRENT_OPERATION",
        "the payment is recorded, but a source or the invoice belongs to another operation",
        details={"tokens": taken},
    )


def account(wanted: Wanted, tokens: tuple[Token, ...]) -> dict[str, object]:
    """The sum as the store sees it, for a caller whose sources have changed."""
    return {
        "sources": {token.transaction_id: token.total_amount for token in tokens},
        "amount": wanted.said.amount,
        "fee": wanted.said.fee,
        "keep": sum(proof.amount for proof in wanted.handed.keep),
        "change": sum(proof.amount for proof in wanted.handed.change),
    }
