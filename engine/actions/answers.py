"""From a mint's answer to the event it is."""

from __future__ import annotations

from ...storage.records import Reason
from ..mint.port import Failure, MeltQuote, Refused, Unreachable

QUOTE_EVENT = {"PAID": "mint_paid", "PENDING": "mint_pending", "UNPAID": "mint_unpaid"}


def post_failed(answer: Failure) -> str:
    """The event of a write that was not answered with a value. None of them frees anything."""
    if isinstance(answer, Refused):
        return "mint_refused"
    return "mint_unreachable" if isinstance(answer, Unreachable) else "reply_lost"


def quote_event(quote: MeltQuote) -> str:
    return QUOTE_EVENT[quote.state]


def reason_of(answer: Failure, what: str) -> Reason:
    """A safe reason: what failed, the mint's code and its (already cleaned) words."""
    code = answer.code if isinstance(answer, Refused) or hasattr(answer, "code") else None
    if isinstance(answer, Refused):
        name = "MINT_REFUSED"
    elif isinstance(answer, Unreachable):
        name = "MINT_UNREACHABLE"
    else:
        name = "MINT_ANSWER_UNCLEAR"
    retryable = not (isinstance(answer, Refused) and answer.definitive)
    return Reason(name, f"{what}: {answer.detail}", retryable, {"mint_code": code})
