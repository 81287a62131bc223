"""The last question to the mint before an operator gives a funding up."""

from __future__ import annotations

from ...cashu.keysets import MintSilent
from ...cashu.port import Unreachable
from ...errors import Refused
from ...loop.drive import Happened, Run
from ...loop.evidence import Evidence
from ..shared.unanswered import UNANSWERED, unanswered
from .actions import restore_outputs

_FOUND = frozenset({"signatures_restored", "invoice_paid"})


def look_at_outputs(run: Run, force: bool) -> Happened | Evidence:
    """An event that ends the funding better than giving it up, or the evidence to give it up by.

    Code MINT_UNREACHABLE for what the mint does not answer; with ``force`` only that part stays unknown. A
    paid invoice that can still be issued is MINT_CAN_ISSUE."""
    if run.draft.machine.state(run.operation.state).action is None:
        return Evidence()
    try:
        return _outputs(run, force)
    except MintSilent:
        error = unanswered()
    raise error


def _outputs(run: Run, force: bool) -> Happened | Evidence:
    result = restore_outputs(run)
    if isinstance(result, Happened):
        if result.event in _FOUND and run.decide(result.event, result.evidence).accepted:
            return result
        quote = result.evidence.mint_quote
        if quote is not None and quote.state == "PAID" and not force:
            raise Refused(
                "the invoice is paid, the proofs are not issued yet: use resume, or force",
                code="MINT_CAN_ISSUE",
            )
        if result.event not in UNANSWERED:
            return Evidence()
    if not force:
        raise MintSilent(Unreachable("no answer about our outputs"))
    return Evidence()
