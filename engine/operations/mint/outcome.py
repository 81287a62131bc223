"""The outcome of a funding, and the amount at stake while a person must look."""

from __future__ import annotations

from ....storage.catalogue import FUNDING_FAILURE
from ....storage.errors import NutstateError
from ....storage.records import Operation
from ....storage.secret import Secret
from ...admission.rejected import rejected_error
from ...errors import Refused
from ...loop.account import Account
from .data import mint_of


def alarm_of(op: Operation) -> str | None:
    """CRITICAL_FUNDING_FAILURE when the mint called the invoice PAID."""
    return FUNDING_FAILURE if mint_of(op).paid_seen_at is not None else None


def account_of(op: Operation) -> Account:
    """The loss: the amount that was paid and not issued."""
    return Account(loss=mint_of(op).loss)


def to_pay(op: Operation) -> Secret | None:
    """The mint's invoice while it waits to be paid. None before the quote, and once it is paid or ran out."""
    return op.quote.request if op.state == "quoted" and op.quote is not None else None


def raises(op: Operation) -> NutstateError | None:
    """QUOTE_EXPIRED while no payment was seen, or the stored reason of a refusal."""
    if op.state == "expired":
        return Refused(
            "no payment of the invoice was seen while it was watched; if it was paid since, resume asks the "
            "mint again",
            code="QUOTE_EXPIRED",
            operation_id=op.id,
        )
    return rejected_error(op) if op.state == "rejected" else None
