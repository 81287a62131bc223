"""An operation that was refused before anything was sent, as the typed error that says so."""

from __future__ import annotations

from ....machines.mint.table import MINT as FUNDING
from ....storage.catalogue import ERRORS, MINT
from ....storage.records import Operation, Reason
from ...errors import MintError, Refused


def quote_not_ours() -> MintError:
    """The mint answered with a quote that another stored operation has."""
    return MintError(_NOT_OURS, code="QUOTE_NOT_OURS")


def quote_not_ours_reason() -> Reason:
    """The same, to be stored with a rejected operation."""
    return Reason("QUOTE_NOT_OURS", _NOT_OURS, retryable=True)


_NOT_OURS = "the mint answered with a quote that belongs to another operation; nothing was paid, ask again"


def raise_if_rejected(op: Operation) -> Operation:
    """The operation, unless it was rejected or expired before anything was sent: then the stored reason
    as an error that carries the operation's id."""
    if op.state == "expired" and op.kind == FUNDING.name:
        raise Refused(
            "nobody paid the invoice while it was watched; if it was paid since, resume asks the mint again",
            code="QUOTE_EXPIRED",
            operation_id=op.id,
        )
    if op.state == "expired":
        raise Refused("the quote expired before anything was sent", code="QUOTE_EXPIRED", operation_id=op.id)
    if op.state != "rejected":
        return op
    reason = op.reason
    if reason is None:
        raise Refused("rejected", code="REJECTED", operation_id=op.id)
    known = ERRORS.get(reason.code)
    kind = MintError if known is not None and known.family == MINT else Refused
    raise kind(
        reason.message,
        code=reason.code,
        # a key replays its outcome for ever: the same call would only say this again
        retryable=reason.retryable and op.idempotency is None,
        **{**reason.details, "operation_id": op.id},
    )
