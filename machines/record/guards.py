"""Questions about one melt that the caller makes itself. Each guard: one question, one sentence, one refusal
code. Those that other machines ask too are in :mod:`~nutstate.machines.common_guards`."""

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
)
secrets_distinct = Guard[RecordFacts](
    "secrets_distinct", "no proof occurs twice", "DUPLICATE_SECRET", lambda f: f.secrets_distinct
)
sources_touched = Guard[RecordFacts](
    "sources_touched",
    "of every source at least one proof was used",
    "SOURCE_UNTOUCHED",
    lambda f: f.sources_touched,
)
sources_are_the_held = Guard[RecordFacts](
    "sources_are_the_held",
    "the sources are exactly those that are held",
    "HOLD_MISMATCH",
    lambda f: f.sources_are_the_held,
)
nothing_contested = Guard[RecordFacts](
    "nothing_contested",
    "every source is unspent or held by this operation, and no other operation claims the payment",
    "CONCURRENT_OPERATION",
    _nothing_contested,
)
hold_in_limits = Guard[RecordFacts](
    "hold_in_limits", "the hold ends in the future and not too late", "INVALID_TTL", _hold_in_limits
)
hold_is_over = Guard[RecordFacts](
    "hold_is_over",
    "the time of the hold is over",
    "HOLD_NOT_OVER",
    lambda f: f.hold_until is not None and f.now >= f.hold_until,
)
held_first_seen_unspent = Guard[RecordFacts](
    "held_first_seen_unspent",
    "the mint calls every held proof UNSPENT for the first time",
    "RELEASE_NOT_PROVEN",
    lambda f: f.inputs_all_unspent and f.held_unspent_since is None,
)
held_was_unspent = Guard[RecordFacts](
    "held_was_unspent",
    "the mint called every held proof UNSPENT before",
    "RELEASE_NOT_PROVEN",
    lambda f: f.held_unspent_since is not None,
)
held_proven_unspent = Guard[RecordFacts](
    "held_proven_unspent",
    "the mint calls every held proof UNSPENT, now and a settle window ago",
    "RELEASE_NOT_PROVEN",
    lambda f: (
        f.inputs_all_unspent
        and f.held_unspent_since is not None
        and f.now - f.held_unspent_since >= f.settle_window_ms
    ),
)
held_not_in_flight = Guard[RecordFacts](
    "held_not_in_flight",
    "the mint told the states of the held proofs, and calls none PENDING",
    "PAYMENT_IN_FLIGHT",
    lambda f: bool(f.input_states) and "PENDING" not in f.input_states,
)
held_seen_spent = Guard[RecordFacts](
    "held_seen_spent",
    "the mint calls a held proof SPENT",
    "INPUTS_NOT_GONE",
    lambda f: "SPENT" in f.input_states,
)
unresolved_too_long = Guard[RecordFacts](
    "unresolved_too_long",
    "it has been unresolved for longer than the limit",
    "NOT_TOO_OLD",
    _unresolved_too_long,
)
