"""The facts that the guards of a check ask about.

Frozen data that the engine gathers. The default of every field permits nothing. Times in epoch ms, amounts
in the operation's unit.
"""

from __future__ import annotations

from attrs import frozen

from ..shown import shown


@frozen(kw_only=True)
class CheckFacts:
    """A look at stored documents or proofs, and its findings."""

    checks_performed: int = 0
    discrepancies: int = 0
    said_spent: int = 0  # proofs the mint called SPENT
    quote_paid: bool = False  # of a payment that was given up
    fence_signed: bool = False  # of such a payment
    said_spent_again: int = 0  # of these, asked a second time
    operator_reason: str = ""
    stranded_tokens: int = 0  # named tokens in state stranded

    __repr__ = shown
