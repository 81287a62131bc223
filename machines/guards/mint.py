"""Questions about one mint operation. Each guard: one question, one sentence, one refusal code."""

from __future__ import annotations

from ..facts import MintFacts
from ..money import AMOUNT_MAX, is_amount
from ..spec import Guard


def _quote_matches(f: MintFacts) -> bool:
    return f.quoted_amount in (None, f.amount) and f.quoted_unit in (None, f.unit)


def _outputs_verified(f: MintFacts) -> bool:
    return f.outputs_verified and f.issued_total == f.amount


quote_matches = Guard[MintFacts](
    "quote_matches_amount", "the quote is for this amount and unit", "QUOTE_MISMATCH", _quote_matches
)
amount_in_limits = Guard[MintFacts](
    "amount_in_limits",
    "the amount is within the limits",
    "AMOUNT_OUT_OF_LIMITS",
    lambda f: is_amount(f.amount) and f.amount <= min(f.amount_max, AMOUNT_MAX),
)
invoice_is_paid = Guard[MintFacts](
    "invoice_is_paid",
    "the mint says its invoice is paid",
    "NOT_PROVEN_PAID",
    lambda f: f.quote_state == "PAID",
)
quote_is_dead = Guard[MintFacts](
    "quote_is_dead",
    "the quote has expired and the mint still says UNPAID",
    "EXPIRED_NOT_YET",
    lambda f: f.quote_state == "UNPAID" and f.quote_expires_at is not None and f.now >= f.quote_expires_at,
)
outputs_verified = Guard[MintFacts](
    "outputs_verified",
    "every output is signed, verified, and they sum to the amount",
    "OUTPUTS_NOT_VERIFIED",
    _outputs_verified,
)
nothing_restored = Guard[MintFacts](
    "nothing_restored",
    "the mint signed none of our outputs",
    "RESTORE_INCOMPLETE",
    lambda f: f.restored_none,
)
issued_to_others = Guard[MintFacts](
    "issued_to_others",
    "the mint calls the quote ISSUED and signed none of our outputs",
    "RESTORE_INCOMPLETE",
    lambda f: f.restored_none and f.quote_state == "ISSUED",
)
operator_gave_reason = Guard[MintFacts](
    "operator_gave_reason",
    "an operator gave a reason",
    "OPERATOR_REASON_MISSING",
    lambda f: bool(f.operator_reason.strip()),
)
tries_left = Guard[MintFacts](
    "tries_left",
    "the issue request was not sent too often",
    "RESTORE_INCOMPLETE",
    lambda f: f.tries < f.tries_max,
)
outputs_written = Guard[MintFacts](
    "outputs_written",
    "outputs were stored for it",
    "RESTORE_INCOMPLETE",
    lambda f: f.outputs_written,
)
outputs_outdated = Guard[MintFacts](
    "outputs_outdated",
    "the stored outputs are of a keyset the mint no longer signs with",
    "RESTORE_INCOMPLETE",
    lambda f: f.outputs_outdated,
)
unresolved_too_long = Guard[MintFacts](
    "unresolved_too_long",
    "it has been unresolved for longer than the limit",
    "NOT_TOO_OLD",
    lambda f: f.unresolved_since is not None and f.now - f.unresolved_since >= f.unknown_age_max_ms,
)
