"""A swap in flight: what became of it, and why it ended as it did."""

from __future__ import annotations

from ....storage.records import Reason
from ...loop.drive import Result, Run
from ..shared import exchanging
from .data import swap_of

_GONE = Reason(
    "INPUTS_SPENT_ELSEWHERE",
    "the mint calls inputs of the swap SPENT, and it signed no output of ours for them",
)


def ask_outcome(run: Run) -> Result:
    """Restore first; only when no output is signed the inputs decide."""
    return exchanging.ask_outcome(run, exchanging.Said(_GONE, _not_swapped))


def _not_swapped(run: Run) -> Reason:
    """The reason why the inputs are given back, or set aside."""
    op, data = run.operation, swap_of(run.operation)
    if data.refused_for == "coin" and len(data.sent_keys()) == 1:
        amount = sum(part.amount for part in op.inputs)
        words = f"the mint refuses a coin of {amount} alone and for good; an operator decides about it"
        return Reason("COINS_STRANDED", words, details={"amount": amount, "proofs": 1})
    if op.reason is not None:
        return op.reason
    words = "the mint did not carry out the swap, and it calls every input UNSPENT"
    return Reason("MINT_WILL_NOT_SWAP", words, retryable=True)
