"""Facts of a receive: those of every exchange, and who claims the token."""

from __future__ import annotations

from ....machines.receive.facts import ReceiveFacts
from ...loop.look import Look
from ..shared.exchange_facts import exchange_facts
from .data import receive_of


def receive_facts(look: Look) -> ReceiveFacts:
    """The facts of a receive: the operation as staged, the evidence in hand, and the clock."""
    data, evidence = receive_of(look.operation), look.evidence
    facts = exchange_facts(look, data)
    facts |= {"holder_asked": evidence.claim_asked, "claim_holder": evidence.claim_holder}
    if data.request_body is None:  # the proofs that are handed in
        proofs = evidence.proofs or ()
        facts |= {
            "inputs_total": sum(proof.amount for proof in proofs),
            "input_count": len(proofs),
            "input_fee": data.input_fee,
        }
    return ReceiveFacts(**facts)
