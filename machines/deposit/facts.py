"""The facts that the guards of a deposit ask about.

Frozen data that the engine gathers. The default of every field permits nothing. Times in epoch ms, amounts
in the operation's unit.
"""

from __future__ import annotations

from attrs import frozen

from ..shown import shown


@frozen(kw_only=True)
class DepositFacts:
    """Proofs that the caller hands in."""

    proof_count: int = 0
    proof_count_max: int = 0
    total: int = 0
    amount_max: int = 0

    __repr__ = shown
