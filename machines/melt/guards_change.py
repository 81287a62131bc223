"""Questions about the change of a melt. Each guard: one question, two sentences, one refusal code."""

from __future__ import annotations

from ..spec import Guard
from .facts import MeltFacts


def _change_in_bounds(f: MeltFacts) -> bool:
    return (
        f.change_total is not None
        and f.owed_max is not None
        and f.owed_min is not None
        and f.change_total > 0
        and f.owed_min <= f.change_total <= f.owed_max
    )


def _change_above_owed(f: MeltFacts) -> bool:
    return f.change_total is not None and f.owed_max is not None and f.change_total > f.owed_max


def _repeatedly_empty(f: MeltFacts) -> bool:
    return f.owed_max == 0 or (
        f.change_seen_empty
        and f.change_empty_since is not None
        and f.now - f.change_empty_since >= f.change_window_ms
    )


change_in_bounds = Guard[MeltFacts](
    "change_in_bounds",
    "the change is within what is owed",
    "CHANGE_OUT_OF_BOUNDS",
    _change_in_bounds,
    says_no="the change is not within what is owed",
)
change_above_owed = Guard[MeltFacts](
    "change_above_owed",
    "the change is more than is owed",
    "CHANGE_OUT_OF_BOUNDS",
    _change_above_owed,
    says_no="the change is not more than is owed",
)
change_verified = Guard[MeltFacts](
    "change_verified",
    "the mint's signatures on the change verify",
    "CHANGE_NOT_VERIFIED",
    lambda f: f.change_verified,
    says_no="the mint's signatures on the change do not verify",
)
blanks_used_once = Guard[MeltFacts](
    "blanks_used_once",
    "each blank carries one signature",
    "DUPLICATE_SECRET",
    lambda f: f.change_blanks_distinct,
    says_no="a blank carries more than one signature",
)
owed_min_is_zero = Guard[MeltFacts](
    "owed_min_is_zero",
    "the fees may have used up all the change",
    "CHANGE_OUT_OF_BOUNDS",
    lambda f: f.owed_min == 0,
    says_no="the mint owes change in any case",
)
repeatedly_empty = Guard[MeltFacts](
    "repeatedly_empty",
    "nothing is owed, or the change stayed empty over the change window",
    "CHANGE_STILL_AWAITED",
    _repeatedly_empty,
    says_no="the window for change to appear is still open",
)
first_seen_empty = Guard[MeltFacts](
    "first_seen_empty",
    "quote and restore both say for the first time that there is no change",
    "CHANGE_STILL_AWAITED",
    lambda f: f.change_seen_empty and f.change_empty_since is None and f.owed_max != 0,
    says_no="this is not the first answer of quote and restore that there is no change",
)
attempts_left = Guard[MeltFacts](
    "attempts_left",
    "the change window is still open",
    "CHANGE_STILL_AWAITED",
    lambda f: f.change_awaited_since is None or f.now - f.change_awaited_since < f.change_window_ms,
    says_no="the change window is over",
)
