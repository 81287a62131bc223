"""Questions about the swaps to ourselves that end a melt. Each guard: one question, one sentence, one refusal
code."""

from __future__ import annotations

from ..spec import Guard
from .facts import MeltFacts


def _fence_possible(f: MeltFacts) -> bool:
    return f.mint_can_swap and f.mint_can_restore and f.fence_generations < f.fence_generations_max


def _outputs_verified(f: MeltFacts) -> bool:
    return f.fence_outputs_verified and f.fence_total > 0 and f.fence_total == f.fence_owed


mint_can_swap_and_restore = Guard[MeltFacts](
    "mint_can_swap_and_restore",
    "the mint supports swap and restore, and the limit of fences is not reached",
    "FENCE_NOT_POSSIBLE",
    _fence_possible,
    says_no="the mint does not support swap and restore, or the limit of fences is reached",
)
outputs_verified = Guard[MeltFacts](
    "outputs_verified",
    "every fence output is signed and verified, and all are worth the inputs less the input fee",
    "FENCE_NOT_VERIFIED",
    _outputs_verified,
    says_no="a fence output is missing or does not verify, or their sum is not the inputs less the fee",
)
own_outputs_not_signed = Guard[MeltFacts](
    "own_outputs_not_signed",
    "the mint answered that it signed no fence output of ours",
    "FENCE_STANDS",
    lambda f: f.own_outputs_asked and not f.own_outputs_signed,
    says_no="the mint signed a fence output of ours, or did not answer",
)
refusal_means_inputs_gone = Guard[MeltFacts](
    "refusal_means_inputs_gone",
    "the mint says the inputs are spent or pending",
    "INPUTS_NOT_GONE",
    lambda f: f.fence_refusal_means_inputs_gone,
    says_no="the mint does not say that the inputs are spent or pending",
)
fence_takes_all = Guard[MeltFacts](
    "fence_takes_all",
    "the fence spends every input that is left",
    "FENCE_IN_PARTS",
    lambda f: f.fence_takes_all,
    says_no="other inputs are still to be fenced",
)
last_of_all = Guard[MeltFacts](
    "last_of_all",
    "no other input is left",
    "FENCE_IN_PARTS",
    lambda f: f.strands_all,
    says_no="other inputs are left",
)
refused_for_good = Guard[MeltFacts](
    "refused_for_good",
    "the mint will never take these inputs together",
    "NOT_REFUSED_FOR_GOOD",
    lambda f: f.fence_refused_for_good,
    says_no="the mint may take these inputs together later",
)
new_outputs_may_help = Guard[MeltFacts](
    "new_outputs_may_help",
    "a new fence of the same inputs would differ in keyset or fee, or these outputs are never signed",
    "FENCE_WOULD_BE_THE_SAME",
    lambda f: f.fence_renewable,
    says_no="a new fence of the same inputs would not differ",
)
cannot_be_fenced = Guard[MeltFacts](
    "cannot_be_fenced",
    "the mint refused these inputs alone and for good, or they are worth no more than their fee",
    "REFUSAL_NOT_PROVEN",
    lambda f: f.strands > 0,
    says_no="the mint has not refused these inputs alone and for good; they are worth more than their fee",
)
something_fenced = Guard[MeltFacts](
    "something_fenced",
    "a fence of ours has spent an input, so the old request can never win",
    "NOTHING_FENCED",
    lambda f: f.fences_done > 0,
    says_no="no fence of ours has spent an input",
)
