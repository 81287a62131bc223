"""From a rejected or expired operation to the typed error its caller gets."""

from __future__ import annotations

from ..storage.records import Operation
from .errors import MintError, Refused

_OF_THE_MINT = frozenset({"MINT_REFUSED", "MINT_UNREACHABLE", "MINT_ANSWER_UNCLEAR", "KEYSET_UNKNOWN"})


def raise_if_rejected(op: Operation) -> Operation:
    """The operation, unless it was rejected or expired before anything was sent: then the stored reason
    as an error that carries the operation's id."""
    if op.state == "expired":
        raise Refused("the quote expired before anything was sent", code="QUOTE_EXPIRED", operation_id=op.id)
    if op.state != "rejected":
        return op
    reason = op.reason
    if reason is None:
        raise Refused("rejected", code="REJECTED", operation_id=op.id)
    kind = MintError if reason.code in _OF_THE_MINT else Refused
    error = kind(reason.message, code=reason.code, operation_id=op.id, **dict(reason.details))
    # a key replays its outcome for ever: the same call would only say this again
    error.retryable = reason.retryable and op.idempotency is None
    raise error
