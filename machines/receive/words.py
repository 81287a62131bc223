"""The words of a receive: the actions of its states and the effects of its transitions."""

from __future__ import annotations

from ..common_words import (
    ALARM,
    CORRECT_SPENT,
    RECONCILE,
    RECORD_REASON,
    RESTART_PATIENCE,
    STAMP_SENT,
    STAMP_UNSPENT,
    STAMP_WATCH,
)
from ..spec import Action, Effect

ACTIONS: tuple[Action, ...] = (
    Action("post_receive", "post the stored request that exchanges the token"),
    Action("ask_outcome", "ask the mint for signatures on our outputs, and for the states of the inputs"),
    RECONCILE,
)

EFFECTS: tuple[Effect, ...] = (
    Effect("claim_token", "claim the token, so that no other operation receives it", level="STANDARD"),
    Effect("let_token_go", "drop the claim on the token", level="STANDARD"),
    Effect("write_receive", "store the outputs and the exact request bytes", level="STANDARD"),
    STAMP_SENT,
    Effect("store_received", "store the new proofs as ID_received"),
    Effect("note_clear_refusal", "note that the mint refused the only sending, and why", level="STANDARD"),
    STAMP_UNSPENT,
    CORRECT_SPENT,
    STAMP_WATCH,
    RESTART_PATIENCE,
    RECORD_REASON,
    ALARM,
)
