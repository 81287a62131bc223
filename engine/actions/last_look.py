"""Before an operator gives something up: what does the mint still hold of ours?"""

from __future__ import annotations

from ..errors import MintError
from ..evidence import Evidence
from ..keysets import MintSilent
from ..mint.port import Unreachable
from ..run import Happened, Run
from .funding import restore_outputs
from .pay import change_at_last, find_fence

_FOUND = frozenset({"signatures_restored", "invoice_paid"})
_UNANSWERED = frozenset({"mint_refused", "reply_lost", "mint_unreachable", "too_old"})


def look_or_refuse(run: Run, force: bool) -> Happened | Evidence:
    """The last look. When the mint does not answer: MINT_UNREACHABLE, because nobody can say what it
    holds, or with ``force`` no evidence at all."""
    try:
        return last_look(run)
    except MintSilent:
        if force:
            return Evidence()
    error = MintError(
        "the mint does not answer, so what it still holds of ours is not known; try again, or force it",
        code="MINT_UNREACHABLE",
    )
    error.retryable = True
    raise error


def last_look(run: Run) -> Happened | Evidence:
    """An event that ends the operation better than giving it up, or the evidence to give it up by.
    Raises MintSilent when the mint does not answer what must be known."""
    if run.operation.kind == "mint":
        return _outputs(run)
    if run.operation.quote is None:
        return Evidence()
    fence = find_fence(run)
    if fence is None:
        raise MintSilent(Unreachable("no answer about our fence"))
    if isinstance(fence, Happened):
        return fence
    evidence = change_at_last(run)
    # a fence of ours may have been executed between the two questions
    again = find_fence(run)
    if again is None:
        raise MintSilent(Unreachable("no answer about our fence"))
    return again if isinstance(again, Happened) else evidence


def _outputs(run: Run) -> Happened | Evidence:
    result = restore_outputs(run)
    if not isinstance(result, Happened) or result.event in _UNANSWERED:
        raise MintSilent(Unreachable("no answer about our outputs"))
    if result.event in _FOUND and run.decide(result.event, result.evidence).accepted:
        return result
    return Evidence()
