"""How an operation stands: one of four words, what it cost, and the typed errors that say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...storage.catalogue import ERRORS, MINT
from ...storage.records import Operation, Reason
from ..errors import MintError, NeedsPerson, NotPaid, Refused, StillOpen

if TYPE_CHECKING:
    from .handle import Handle


def outcome_of(op: Operation) -> str:
    """paid, unpaid, open or parked (see :attr:`Handle.outcome`). It needs no machine: what an operation
    stores of its state is enough."""
    if op.payment is not None or op.ends == "good":
        return "paid"
    # watched: what was sent is still looked at, but its inputs are free
    if op.ends == "unpaid" or op.state == "watching":
        return "unpaid"
    return "open" if op.kind_of_state == "live" else "parked"


def cost_of(op: Operation) -> int | None:
    """What the wallet lost to fees; None until that is known."""
    if op.kind != "melt":
        return 0
    if op.payment is not None:
        fee = op.payment.lightning_fee
        return None if fee is None else fee + op.input_fee
    if op.fenced_token_id is not None:
        return op.fence_fee
    return 0 if op.finished_at is not None or op.state == "watching" else None


def insist_on_paid(handle: Handle) -> Handle:
    """The handle of what is paid; anything else is raised."""
    outcome, op = handle.outcome, handle.record
    if outcome == "paid":
        return handle
    details: dict[str, Any] = {
        "operation_id": op.id,
        "state": op.state,
        "reason": op.reason.code if op.reason is not None else None,
    }
    if outcome == "unpaid":
        raise NotPaid(f"the operation ended {op.state} and paid nothing; a new attempt is allowed", **details)
    if outcome == "parked":
        raise NeedsPerson(f"the operation is {op.state} and needs a person; pay nothing elsewhere", **details)
    raise StillOpen(
        f"the outcome is not known yet (state {op.state}); pay nothing elsewhere: the same call or recover "
        "goes on with it",
        **details,
    )


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
    if op.state == "expired" and op.kind == "mint":
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
