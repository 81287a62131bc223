"""The words of a swap: the actions of its states and the effects of its transitions."""

from __future__ import annotations

from ..common_words import (
    ALARM,
    CORRECT_SPENT,
    FREE_UNTOUCHED,
    RECONCILE,
    RECORD_LOSS,
    RECORD_REASON,
    RELEASE_INPUTS,
    RESERVE_INPUTS,
    RESTART_PATIENCE,
    SPEND_INPUTS,
    SPLIT_OFF_KEEP,
    STAMP_SENT,
    STAMP_UNSPENT,
    STAMP_WATCH,
    STRAND_INPUTS,
)
from ..spec import Action, Effect

ACTIONS: tuple[Action, ...] = (
    Action("post_swap", "post the stored swap request"),
    Action("ask_outcome", "ask the mint for signatures on our outputs, and for the states of the inputs"),
    RECONCILE,
)

EFFECTS: tuple[Effect, ...] = (
    SPLIT_OFF_KEEP,
    RESERVE_INPUTS,
    Effect("write_swap", "store the outputs and the exact request bytes", level="STANDARD"),
    STAMP_SENT,
    SPEND_INPUTS,
    Effect("store_swapped", "store the new proofs as ID_swapped_N, and the rest as ID_rest"),
    Effect("note_clear_refusal", "note that the mint refused the only sending, and why", level="STANDARD"),
    STAMP_UNSPENT,
    RELEASE_INPUTS,
    STRAND_INPUTS,
    FREE_UNTOUCHED,
    CORRECT_SPENT,
    STAMP_WATCH,
    RESTART_PATIENCE,
    RECORD_LOSS,
    RECORD_REASON,
    ALARM,
)
