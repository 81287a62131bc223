"""The names of the token states, for code that asks the store about tokens or counts money."""

from __future__ import annotations

AWAITING = "awaiting"
UNSPENT = "unspent"
RESERVED = "reserved"
STRANDED = "stranded"
OUTSTANDING = "outstanding"
SPENT = "spent"
FAILED = "failed"

CORRECT_SPENT = "correct_spent"
"""The event by which a token is marked spent because the mint calls its proofs SPENT."""

DEPOSIT = "deposit"
"""The event by which a token with proofs is born."""

BALANCES = ("unspent", "pending", "spent")
"""The values of ``status`` (``STATUS_OF_STATE``) that have a balance: a failed token holds no money."""
