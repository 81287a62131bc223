"""An operation that ended before anything was sent, as the typed error that says so."""

from __future__ import annotations

from ...storage.catalogue import ERRORS, MINT
from ...storage.errors import NutstateError
from ...storage.records import Operation, Reason
from ..errors import MintError, Refused

_NOT_OURS = "the mint answered with a quote that belongs to another operation; nothing was paid, ask again"


def quote_not_ours() -> MintError:
    """The mint answered with a quote that another stored operation has."""
    return MintError(_NOT_OURS, code="QUOTE_NOT_OURS")


def quote_not_ours_reason() -> Reason:
    """The same, to be stored with a rejected operation."""
    return Reason("QUOTE_NOT_OURS", _NOT_OURS, retryable=True)


def not_yet(reason: Reason | None) -> NutstateError:
    """The reason why an operation of which nothing is stored cannot begin now, as a retryable error."""
    why = reason or Reason("MINT_UNREACHABLE", "the mint gave no answer")
    return _family(why.code)(why.message, code=why.code, retryable=True, **why.details)


def _family(code: str) -> type[NutstateError]:
    known = ERRORS.get(code)
    return MintError if known is not None and known.family == MINT else Refused


def rejected_error(op: Operation) -> NutstateError:
    """The stored reason of a rejected operation, as an error that carries the operation's id."""
    reason = op.reason
    if reason is None:
        return Refused("rejected", code="REJECTED", operation_id=op.id)
    return _family(reason.code)(
        reason.message,
        code=reason.code,
        # a key replays its outcome for ever: the same call would only say this again
        retryable=reason.retryable and op.idempotency is None,
        **{**reason.details, "operation_id": op.id},
    )
