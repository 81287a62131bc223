"""Questions about a melt that the mint refused, or for which it names an unknown state. Each guard: one
question, one sentence, one refusal code."""

from __future__ import annotations

from ..spec import Guard
from .facts import MeltFacts


def _refusal_decides(f: MeltFacts) -> bool:
    return f.policy == "fast" and f.refusal_kind is not None and f.sendings == 1


refusal_decides = Guard[MeltFacts](
    "refusal_decides",
    "the policy is fast, and the mint gave the only sending a clear refusal",
    "POLICY_FORBIDS",
    _refusal_decides,
    says_no="the policy is not fast, or the mint gave no clear refusal to the only sending",
)
refusal_confirmed = Guard[MeltFacts](
    "refusal_confirmed",
    "the quote is UNPAID and every input is UNSPENT",
    "NOT_PROVEN_UNPAID",
    lambda f: f.quote_state == "UNPAID" and f.inputs_all_unspent,
    says_no="the quote is not UNPAID, or an input is not UNSPENT",
)
refusal_blames_inputs = Guard[MeltFacts](
    "refusal_blames_inputs",
    "the refusal may be about one of the coins",
    "POLICY_FORBIDS",
    lambda f: f.refused_for == "inputs",
    says_no="the refusal is not about one of the coins",
)
refusal_stood = Guard[MeltFacts](
    "refusal_stood",
    "the mint refused the request",
    "PAYMENT_ALREADY_CLAIMED",
    lambda f: f.refused_for is not None,
    says_no="the mint did not refuse the request; the operation keeps its claim",
)
claim_held = Guard[MeltFacts](
    "claim_held",
    "the operation claims the invoice",
    "PAYMENT_ALREADY_CLAIMED",
    lambda f: f.claim_held,
    says_no="the operation does not claim the invoice",
)
inputs_taken = Guard[MeltFacts](
    "inputs_taken",
    "the mint took our inputs, or signed change to us",
    "NOT_PROVEN_PAID",
    lambda f: f.inputs_taken,
    says_no="the mint took no input of ours and signed no change",
)
quote_unclear = Guard[MeltFacts](
    "quote_unclear",
    "the mint names a state that is not UNPAID, PENDING or PAID",
    "NOT_PROVEN_UNPAID",
    lambda f: f.quote_state == "UNKNOWN",
    says_no="the mint names a state that is UNPAID, PENDING or PAID",
)
unclear_is_news = Guard[MeltFacts](
    "unclear_is_news",
    "the mint's word is new to the operation",
    "NOT_PROVEN_UNPAID",
    lambda f: not f.unclear_told,
    says_no="the operation knows the mint's word already",
)
