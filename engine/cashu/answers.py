"""From a mint's answer to the event it is."""

from __future__ import annotations

import re

from ...storage.records import Reason
from .port import UNKNOWN, Ambiguous, Failure, MeltQuote, MintQuote, Refused, Unreachable

QUOTE_EVENT = {
    "PAID": "mint_paid",
    "PENDING": "mint_pending",
    "UNPAID": "mint_unpaid",
    UNKNOWN: "mint_unclear",
}


_NOT_ABOUT_INPUTS = frozenset(
    {11001, 11002, 11004, 11005, 11006, 11008, 11011, 11012, 11013, 11014, 11015}
    | set(range(20000, 21000))
    | set(range(30000, 32000))
)
"""Error codes about what is not one coin's fault: spent or pending inputs, outputs, sums, limits of the
request, the quote, authorisation."""

_NOT_THE_REQUEST = frozenset({401, 402, 403, 404, 405})
_TOO_MANY = re.compile(
    r"\binputs: (too_long|value_error\.list\.max_items)|too many inputs|number of inputs", re.IGNORECASE
)


def blames_inputs(answer: object) -> bool:
    """Whether a refusal may be the fault of one of the coins that were sent: then a part of them may be
    taken. A definitive code about inputs, or the mint's own error that is about nothing else we know."""
    return (
        isinstance(answer, Refused)
        and answer.code not in _NOT_ABOUT_INPUTS
        and not (answer.code is None and answer.status in _NOT_THE_REQUEST)
        and not too_many_inputs(answer)
    )


_ABOUT_INPUTS = frozenset({10001, 11003, 11007, 11009, 11010, 12001, 12002, 12003})


def names_inputs(answer: object) -> bool:
    """Whether a refusal says that it is about the inputs, and not only that the mint will not."""
    if not isinstance(answer, Refused):
        return False
    return answer.code in _ABOUT_INPUTS or (answer.status == 422 and ".inputs." in answer.detail)


def signed_before(answer: object) -> bool:
    """Whether a refusal says that our outputs are signed or pending already: 11003, 11004, and 10002 of
    older releases. If restore gives none of them, new outputs may be taken."""
    return isinstance(answer, Refused) and answer.code in (10002, 11003, 11004)


def too_many_inputs(answer: object) -> bool:
    """Whether the mint, or what stands before it, says that the request holds too many inputs: code
    11014, HTTP 413, or a 422 about their number."""
    if not isinstance(answer, Refused | Ambiguous):
        return False
    counted = answer.status == 422 and _TOO_MANY.search(answer.detail) is not None
    return answer.code == 11014 or answer.status == 413 or counted


def post_failed(answer: Failure) -> str:
    """The event of a write that was not answered with a value. None of them frees anything."""
    if isinstance(answer, Refused):
        return "mint_refused"
    return "mint_unreachable" if isinstance(answer, Unreachable) else "reply_lost"


def quote_event(quote: MeltQuote) -> str:
    """The event of a melt quote's state. A state we do not know proves nothing."""
    return QUOTE_EVENT.get(quote.state, QUOTE_EVENT[UNKNOWN])


def state_unclear(quote: MeltQuote | MintQuote) -> Reason | None:
    """The reason why a quote's state decides nothing: the mint uses a word we do not know. None if we know
    it."""
    if quote.state != UNKNOWN:
        return None
    said = f"says {quote.said!r} of the quote" if quote.said else "gives the quote no readable state"
    return Reason("MINT_STATE_UNKNOWN", f"the mint {said}; that is neither paid nor proven unpaid", True)


def reason_of(answer: Failure, what: str) -> Reason:
    """A safe reason: the failed call, the mint's code and its (already cleaned) words."""
    code = answer.code if isinstance(answer, Refused) or hasattr(answer, "code") else None
    if isinstance(answer, Refused):
        name = "MINT_REFUSED"
    elif isinstance(answer, Unreachable):
        name = "MINT_UNREACHABLE"
    else:
        name = "MINT_ANSWER_UNCLEAR"
    retryable = not (isinstance(answer, Refused) and answer.definitive)
    return Reason(name, f"{what}: {answer.detail}", retryable, {"mint_code": code})
