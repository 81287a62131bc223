"""Questions about a look at stored documents. Each guard: one question, one sentence, one refusal code."""

from __future__ import annotations

from ..spec import Guard
from .facts import CheckFacts

spent_said_twice = Guard[CheckFacts](
    "spent_said_twice",
    "the mint was asked twice and called the same proofs SPENT both times",
    "NOT_PROVEN_SPENT",
    lambda f: f.said_spent > 0 and f.said_spent_again == f.said_spent,
)
something_stranded = Guard[CheckFacts](
    "something_stranded",
    "it names stranded tokens",
    "NOTHING_STRANDED",
    lambda f: f.stranded_tokens > 0,
)
paid_after_all = Guard[CheckFacts](
    "paid_after_all",
    "the mint says PAID of a payment that was given up, or signed a fence of it",
    "NOT_PROVEN_PAID",
    lambda f: f.quote_paid or f.fence_signed,
)
