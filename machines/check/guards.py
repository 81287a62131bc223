"""Questions about a look at stored documents. Each guard: one question, one sentence, one refusal code."""

from __future__ import annotations

from ..spec import Guard
from .facts import CheckFacts

spent_said_twice = Guard[CheckFacts](
    "spent_said_twice",
    "the mint called the same proofs SPENT in two answers",
    "NOT_PROVEN_SPENT",
    lambda f: f.said_spent > 0 and f.said_spent_again == f.said_spent,
    says_no="the mint did not call the same proofs SPENT twice",
)
something_stranded = Guard[CheckFacts](
    "something_stranded",
    "the request names stranded tokens",
    "NOTHING_STRANDED",
    lambda f: f.stranded_tokens > 0,
    says_no="the request names no stranded token",
)
paid_after_all = Guard[CheckFacts](
    "paid_after_all",
    "the mint says PAID, or signed a fence, for a payment that was given up",
    "NOT_PROVEN_PAID",
    lambda f: f.quote_paid or f.fence_signed,
    says_no="the mint says neither PAID nor that it signed a fence of this payment",
)
