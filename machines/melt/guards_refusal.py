"""Questions about a melt that the mint refused, or about which it names a state nobody knows. Each guard: one
question, one sentence, one refusal code."""

from __future__ import annotations

from ..spec import Guard
from .facts import MeltFacts


def _refusal_decides(f: MeltFacts) -> bool:
    return f.policy == "fast" and f.refusal_kind is not None and f.sendings == 1


def _refusal_window_over(f: MeltFacts) -> bool:
    return f.held_unspent_since is not None and f.now - f.held_unspent_since >= f.refusal_window_ms


refusal_decides = Guard[MeltFacts](
    "refusal_decides",
    "the policy is fast, and the mint's refusal of our only sending is a clear one",
    "POLICY_FORBIDS",
    _refusal_decides,
)
refusal_confirmed = Guard[MeltFacts](
    "refusal_confirmed",
    "the quote is UNPAID and every input UNSPENT",
    "NOT_PROVEN_UNPAID",
    lambda f: f.quote_state == "UNPAID" and f.inputs_all_unspent,
)
refusal_was_confirmed = Guard[MeltFacts](
    "refusal_was_confirmed",
    "the mint confirmed its refusal before",
    "NOT_PROVEN_UNPAID",
    lambda f: f.held_unspent_since is not None,
)
refusal_window_over = Guard[MeltFacts](
    "refusal_window_over",
    "the mint confirmed its refusal a refusal window ago",
    "NOT_PROVEN_UNPAID",
    _refusal_window_over,
)
refusal_blames_inputs = Guard[MeltFacts](
    "refusal_blames_inputs",
    "the refusal may be about one of the coins",
    "POLICY_FORBIDS",
    lambda f: f.refused_for == "inputs",
)
refusal_stood = Guard[MeltFacts](
    "refusal_stood",
    "the mint refused it",
    "PAYMENT_ALREADY_CLAIMED",
    lambda f: f.refused_for is not None,
)
claim_held = Guard[MeltFacts](
    "claim_held",
    "the operation claims the invoice",
    "PAYMENT_ALREADY_CLAIMED",
    lambda f: f.claim_held,
)
inputs_taken = Guard[MeltFacts](
    "inputs_taken",
    "the mint took our inputs, or signed change to us",
    "NOT_PROVEN_PAID",
    lambda f: f.inputs_taken,
)
quote_unclear = Guard[MeltFacts](
    "quote_unclear",
    "the mint names a state that is none of UNPAID, PENDING, PAID",
    "NOT_PROVEN_UNPAID",
    lambda f: f.quote_state == "UNKNOWN",
)
unclear_is_news = Guard[MeltFacts](
    "unclear_is_news",
    "the mint's word was not told before",
    "NOT_PROVEN_UNPAID",
    lambda f: not f.unclear_told,
)
