"""Facts of a swap: those of every exchange, and the tokens that it takes."""

from __future__ import annotations

from typing import Any

from ....machines.swap.facts import SwapFacts
from ...loop.evidence import Evidence
from ...loop.look import Look
from ..shared.exchange_facts import exchange_facts
from .data import SwapData, swap_of


def swap_facts(look: Look) -> SwapFacts:
    """The facts of a swap: the operation as staged, the evidence in hand, and the clock."""
    op, data = look.operation, swap_of(look.operation)
    facts = exchange_facts(look, data)
    facts |= {"owner": op.npub, "wallet": (op.wallet_id, op.mint_url, op.unit)}
    return SwapFacts(**facts | _chosen(data, look.evidence))


def _chosen(data: SwapData, evidence: Evidence) -> dict[str, Any]:
    """Before the request is stored: the chosen proofs."""
    selection = evidence.selection
    if selection is None or data.request_body is not None:
        return {}
    tokens = [part.token for part in selection.chosen]
    return {
        "source_owners": frozenset(token.npub for token in tokens),
        "source_wallets": frozenset((token.wallet_id, token.mint_url, token.unit) for token in tokens),
        "source_states": frozenset(token.state for token in tokens),
        "inputs_total": selection.amount,
        "input_count": len(selection.proofs),
        "input_fee": selection.input_fee,
    }
