"""Questions about one melt that the caller makes itself. Each guard: one question, two sentences, one
refusal code. Those that other machines ask too are in :mod:`~nutstate.machines.common_guards`."""

from __future__ import annotations

from ..money import conserved
from ..spec import Guard
from .facts import RecordFacts


def _nothing_contested(f: RecordFacts) -> bool:
    return f.sources_contested == 0 and (f.claim_holder is None or f.claim_holder == f.operation_id)


def _hold_in_limits(f: RecordFacts) -> bool:
    return f.hold_until is not None and f.now < f.hold_until <= f.now + f.hold_max_ms


def _unresolved_too_long(f: RecordFacts) -> bool:
    """A stamp that lies as far ahead was made by a clock that was wrong. Its true age cannot be known."""
    return f.unresolved_since is not None and abs(f.now - f.unresolved_since) >= f.unknown_age_max_ms


recorded_conserved = Guard[RecordFacts](
    "conserved",
    "sources equal amount + fee + keep + change",
    "NOT_CONSERVED",
    lambda f: (
        f.recorded_fee is not None
        and conserved(f.sources_total, f.amount, f.recorded_fee, f.keep_total, f.recorded_change)
    ),
    says_no="the sources do not equal amount + fee + keep + change",
)
secrets_distinct = Guard[RecordFacts](
    "secrets_distinct",
    "no proof occurs twice",
    "DUPLICATE_SECRET",
    lambda f: f.secrets_distinct,
    says_no="the same proof occurs twice",
)
sources_touched = Guard[RecordFacts](
    "sources_touched",
    "at least one proof of every source was used",
    "SOURCE_UNTOUCHED",
    lambda f: f.sources_touched,
    says_no="a source was not used: all of its proofs are kept",
)
sources_are_the_held = Guard[RecordFacts](
    "sources_are_the_held",
    "the sources are exactly those that are held",
    "HOLD_MISMATCH",
    lambda f: f.sources_are_the_held,
    says_no="the sources are not exactly those that are held",
)
nothing_contested = Guard[RecordFacts](
    "nothing_contested",
    "every source is unspent or held by this operation, and no other operation claims the payment",
    "CONCURRENT_OPERATION",
    _nothing_contested,
    says_no="a source is not free, or another operation claims the payment",
)
hold_in_limits = Guard[RecordFacts](
    "hold_in_limits",
    "the hold ends in the future and within the limit",
    "INVALID_TTL",
    _hold_in_limits,
    says_no="the hold ends in the past or beyond the limit",
)
hold_is_over = Guard[RecordFacts](
    "hold_is_over",
    "the time of the hold is over",
    "HOLD_NOT_OVER",
    lambda f: f.hold_until is not None and f.now >= f.hold_until,
    says_no="the time of the hold is not over; the caller may be paying",
)
held_first_seen_unspent = Guard[RecordFacts](
    "held_first_seen_unspent",
    "the mint calls every held proof UNSPENT for the first time",
    "RELEASE_NOT_PROVEN",
    lambda f: f.inputs_all_unspent and f.held_unspent_since is None,
    says_no="this is not the first answer in which the mint calls every held proof UNSPENT",
)
held_was_unspent = Guard[RecordFacts](
    "held_was_unspent",
    "the mint called every held proof UNSPENT before",
    "RELEASE_NOT_PROVEN",
    lambda f: f.held_unspent_since is not None,
    says_no="the mint did not call every held proof UNSPENT before",
)
held_proven_unspent = Guard[RecordFacts](
    "held_proven_unspent",
    "the mint calls every held proof UNSPENT, now and a settle window ago",
    "RELEASE_NOT_PROVEN",
    lambda f: f.inputs_all_unspent and f.send_clock.over,
    says_no="the mint has not called every held proof UNSPENT now and a settle window ago",
)
held_not_in_flight = Guard[RecordFacts](
    "held_not_in_flight",
    "the mint told the states of the held proofs and calls no proof PENDING",
    "PAYMENT_IN_FLIGHT",
    lambda f: bool(f.input_states) and "PENDING" not in f.input_states,
    says_no="the mint did not tell the states of the held proofs, or calls one PENDING",
)
held_seen_spent = Guard[RecordFacts](
    "held_seen_spent",
    "the mint calls a held proof SPENT",
    "INPUTS_NOT_GONE",
    lambda f: "SPENT" in f.input_states,
    says_no="the mint calls no held proof SPENT",
)
unresolved_too_long = Guard[RecordFacts](
    "unresolved_too_long",
    "the operation has been unresolved for longer than the limit",
    "NOT_TOO_OLD",
    _unresolved_too_long,
    says_no="the operation has not been unresolved for longer than the limit",
)
