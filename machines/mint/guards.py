"""Questions about one mint operation. Each guard: one question, one sentence, one refusal code."""

from __future__ import annotations

from ..money import AMOUNT_MAX, is_amount
from ..spec import Guard
from .facts import MintFacts


def _quote_matches(f: MintFacts) -> bool:
    return f.quoted_amount in (None, f.amount) and f.quoted_unit in (None, f.unit)


def _outputs_verified(f: MintFacts) -> bool:
    return f.outputs_verified and f.issued_total == f.amount


def _over(now: int, since: int | None, limit: int) -> bool:
    """Whether more than the limit lies between the two. A stamp that is so far ahead was made by a clock that
    was set back since; what it guards parks, and goes on by itself."""
    return since is not None and abs(now - since) >= limit


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
outputs_useless = Guard[MintFacts](
    "outputs_useless",
    "the stored outputs are of a keyset that is not used any more, or were refused again and again",
    "RESTORE_INCOMPLETE",
    lambda f: f.outputs_useless,
)
retry_is_due = Guard[MintFacts](
    "retry_is_due",
    "the issue request was not sent for a while",
    "RESTORE_INCOMPLETE",
    lambda f: _over(f.now, f.sent_at, f.retry_after_ms),
)
paid_noted = Guard[MintFacts](
    "paid_noted",
    "it is stored when the mint first said PAID",
    "NOT_PROVEN_PAID",
    lambda f: f.paid_since is not None,
)
blocked_too_long = Guard[MintFacts](
    "blocked_too_long",
    "it has been paid, and not issuable, for longer than the limit",
    "NOT_TOO_OLD",
    lambda f: _over(f.now, f.paid_since, f.blocked_max_ms),
)
still_unpaid = Guard[MintFacts](
    "still_unpaid",
    "the mint says now that the invoice is unpaid",
    "NOT_PROVEN_UNPAID",
    lambda f: f.quote_state == "UNPAID",
)
late_watch_over = Guard[MintFacts](
    "late_watch_over",
    "a late payment was watched for as long as is set",
    "WATCH_NOT_OVER",
    lambda f: f.watch_passed_ms is not None and f.watched_ms + f.watch_passed_ms >= f.watch_window_ms,
)
watch_part_over = Guard[MintFacts](
    "watch_part_over",
    "a part of the watch is over, or its beginning lies ahead: the clock was set back",
    "WATCH_NOT_OVER",
    lambda f: (
        f.watch_passed_ms is not None and (f.watch_passed_ms >= f.watch_part_ms or f.watch_passed_ms < 0)
    ),
)
unresolved_too_long = Guard[MintFacts](
    "unresolved_too_long",
    "it has been unresolved for longer than the limit",
    "NOT_TOO_OLD",
    lambda f: _over(f.now, f.unresolved_since, f.unknown_age_max_ms),
)
