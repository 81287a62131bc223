"""Questions about proofs somebody hands in. Each guard: one question, one sentence, one refusal code."""

from __future__ import annotations

from ..money import is_amount
from ..spec import Guard
from .facts import DepositFacts

proofs_few_enough = Guard[DepositFacts](
    "proofs_few_enough",
    "the number of proofs is within the limit",
    "TOO_MANY_PROOFS",
    lambda f: 0 < f.proof_count <= f.proof_count_max,
)
amount_in_limits = Guard[DepositFacts](
    "amount_in_limits",
    "the total is within the limits",
    "AMOUNT_OUT_OF_LIMITS",
    lambda f: is_amount(f.total) and f.total <= f.amount_max,
)
