"""Facts of a deposit: the proofs that were handed in, as its guards may ask about them."""

from __future__ import annotations

from ....machines.deposit.facts import DepositFacts
from ...loop.look import Look


def deposit_facts(look: Look) -> DepositFacts:
    """The facts of a deposit. Amounts in the operation's unit."""
    proofs = look.evidence.proofs or ()
    return DepositFacts(
        proof_count=len(proofs),
        proof_count_max=look.settings.proofs_per_operation_max,
        total=sum(proof.amount for proof in proofs),
        amount_max=look.settings.amount_max,
    )
