"""The words of a melt that the caller makes itself: what the engine does in a state, and what an accepted
transition writes."""

from __future__ import annotations

from ..common_words import (
    ALARM,
    DROP_CLAIM,
    FORGET_UNSPENT,
    FREE_UNTOUCHED,
    RECONCILE,
    RECORD_LOSS,
    RECORD_REASON,
    RELEASE_INPUTS,
    RESERVE_INPUTS,
    SPEND_INPUTS,
    STAMP_UNSPENT,
    STRAND_INPUTS,
    TAKE_CLAIM,
)
from ..spec import Action, Effect

ACTIONS: tuple[Action, ...] = (
    Action("watch_hold", "after the time of the hold, ask the mint about the held proofs"),
    Action("watch_sources", "look whether the sources have become free (reads only)", asks_no_mint=True),
    RECONCILE,
)

EFFECTS: tuple[Effect, ...] = (
    TAKE_CLAIM,
    DROP_CLAIM,
    RESERVE_INPUTS,
    RELEASE_INPUTS,
    Effect("record_melt", "spend the sources, store keep and change"),
    Effect("park_record", "store keep and change, reserve the sources that are free, note the others"),
    Effect("spend_contested", "spend the sources that were reserved or have become free"),
    STAMP_UNSPENT,
    FORGET_UNSPENT,
    FREE_UNTOUCHED,
    SPEND_INPUTS,
    STRAND_INPUTS,
    RECORD_LOSS,
    RECORD_REASON,
    ALARM,
)
