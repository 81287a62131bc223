"""Questions about proofs from the caller. Each guard: one question, two sentences, one refusal code."""

from __future__ import annotations

from ..money import is_amount
from ..spec import Guard
from .facts import DepositFacts

proofs_few_enough = Guard[DepositFacts](
    "proofs_few_enough",
    "the number of proofs is within the limit",
    "TOO_MANY_PROOFS",
    lambda f: 0 < f.proof_count <= f.proof_count_max,
    says_no="the number of proofs is 0 or above the limit",
)
amount_in_limits = Guard[DepositFacts](
    "amount_in_limits",
    "the total is within the limits",
    "AMOUNT_OUT_OF_LIMITS",
    lambda f: is_amount(f.total) and f.total <= f.amount_max,
    says_no="the total is not within 1 .. 2^53-1 of the unit",
)
