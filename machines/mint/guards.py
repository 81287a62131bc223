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
    was set back since. The operation parks then, and goes on by itself."""
    return since is not None and abs(now - since) >= limit


quote_matches = Guard[MintFacts](
    "quote_matches_amount",
    "the quote is for this amount and unit",
    "QUOTE_MISMATCH",
    _quote_matches,
    says_no="the quote is not for this amount and unit",
)
amount_in_limits = Guard[MintFacts](
    "amount_in_limits",
    "the amount is within the limits",
    "AMOUNT_OUT_OF_LIMITS",
    lambda f: is_amount(f.amount) and f.amount <= min(f.amount_max, AMOUNT_MAX),
    says_no="the amount is not within 1 .. 2^53-1 of the unit",
)
invoice_is_paid = Guard[MintFacts](
    "invoice_is_paid",
    "the mint says that its invoice is paid",
    "NOT_PROVEN_PAID",
    lambda f: f.quote_state == "PAID",
    says_no="the mint has not said that its invoice is paid",
)
quote_is_dead = Guard[MintFacts](
    "quote_is_dead",
    "the quote has expired and the mint still says UNPAID",
    "EXPIRED_NOT_YET",
    lambda f: f.quote_state == "UNPAID" and f.quote_expires_at is not None and f.now >= f.quote_expires_at,
    says_no="the quote has not expired, or the mint does not say UNPAID",
)
outputs_verified = Guard[MintFacts](
    "outputs_verified",
    "every output is signed and verified, and their sum is the amount",
    "OUTPUTS_NOT_VERIFIED",
    _outputs_verified,
    says_no="an output is not signed or does not verify, or their sum is not the amount",
)
issued_to_others = Guard[MintFacts](
    "issued_to_others",
    "the mint calls the quote ISSUED and signed none of our outputs",
    "RESTORE_INCOMPLETE",
    lambda f: f.restored_none and f.quote_state == "ISSUED",
    says_no="the mint does not call the quote ISSUED, or signed an output of ours, or did not answer",
)
tries_left = Guard[MintFacts](
    "tries_left",
    "the limit of issue requests is not reached",
    "RESTORE_INCOMPLETE",
    lambda f: f.tries < f.tries_max,
    says_no="the limit of issue requests is reached",
)
outputs_written = Guard[MintFacts](
    "outputs_written",
    "outputs are stored for the operation",
    "RESTORE_INCOMPLETE",
    lambda f: f.outputs_written,
    says_no="no outputs are stored for the operation",
)
outputs_useless = Guard[MintFacts](
    "outputs_useless",
    "the mint no longer uses the keyset of the stored outputs, or refused them again and again",
    "RESTORE_INCOMPLETE",
    lambda f: f.outputs_useless,
    says_no="the stored outputs can still be signed",
)
retry_is_due = Guard[MintFacts](
    "retry_is_due",
    "the last issue request is long enough ago",
    "RESTORE_INCOMPLETE",
    lambda f: _over(f.now, f.sent_at, f.retry_after_ms),
    says_no="the last issue request is not long enough ago",
)
paid_noted = Guard[MintFacts](
    "paid_noted",
    "the time of the first PAID is stored",
    "NOT_PROVEN_PAID",
    lambda f: f.paid_since is not None,
    says_no="the mint has not said PAID before",
)
blocked_too_long = Guard[MintFacts](
    "blocked_too_long",
    "the invoice has been paid, and could not be issued, for longer than the limit",
    "NOT_TOO_OLD",
    lambda f: _over(f.now, f.paid_since, f.blocked_max_ms),
    says_no="the invoice has not been paid for longer than the limit",
)
still_unpaid = Guard[MintFacts](
    "still_unpaid",
    "the mint says now that the invoice is unpaid",
    "NOT_PROVEN_UNPAID",
    lambda f: f.quote_state == "UNPAID",
    says_no="the mint does not say now that the invoice is unpaid",
)
late_watch_over = Guard[MintFacts](
    "late_watch_over",
    "the watch for a late payment is over",
    "WATCH_NOT_OVER",
    lambda f: f.watch_passed_ms is not None and f.watched_ms + f.watch_passed_ms >= f.watch_window_ms,
    says_no="the watch for a late payment is not over",
)
watch_part_over = Guard[MintFacts](
    "watch_part_over",
    "a part of the watch is over, or the clock was set back",
    "WATCH_NOT_OVER",
    lambda f: (
        f.watch_passed_ms is not None and (f.watch_passed_ms >= f.watch_part_ms or f.watch_passed_ms < 0)
    ),
    says_no="this part of the watch is not over",
)
unresolved_too_long = Guard[MintFacts](
    "unresolved_too_long",
    "the operation has been unresolved for longer than the limit",
    "NOT_TOO_OLD",
    lambda f: _over(f.now, f.unresolved_since, f.unknown_age_max_ms),
    says_no="the operation has not been unresolved for longer than the limit",
)
