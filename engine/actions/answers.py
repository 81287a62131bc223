"""From a mint's answer to the event it is."""

from __future__ import annotations

from ...storage.records import Reason
from ..mint.port import UNKNOWN, Failure, MeltQuote, MintQuote, Refused, Unreachable

QUOTE_EVENT = {
    "PAID": "mint_paid",
    "PENDING": "mint_pending",
    "UNPAID": "mint_unpaid",
    UNKNOWN: "mint_unclear",
}


def post_failed(answer: Failure) -> str:
    """The event of a write that was not answered with a value. None of them frees anything."""
    if isinstance(answer, Refused):
        return "mint_refused"
    return "mint_unreachable" if isinstance(answer, Unreachable) else "reply_lost"


def quote_event(quote: MeltQuote) -> str:
    """The event of a melt quote's state. A state we do not know proves nothing."""
    return QUOTE_EVENT.get(quote.state, QUOTE_EVENT[UNKNOWN])


def state_unclear(quote: MeltQuote | MintQuote) -> Reason | None:
    """Why a quote's state decides nothing: the mint uses a word we do not know. None if we know it."""
    if quote.state != UNKNOWN:
        return None
    said = f"says {quote.said!r} of the quote" if quote.said else "gives the quote no readable state"
    return Reason("MINT_STATE_UNKNOWN", f"the mint {said}; that is neither paid nor proven unpaid", True)


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
