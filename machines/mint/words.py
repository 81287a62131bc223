"""The words of a funding: the actions of its states and the effects of its transitions."""

from __future__ import annotations

from ..common_words import (
    ALARM,
    ASK_QUOTE,
    RECORD_LOSS,
    RECORD_REASON,
    RESTART_PATIENCE,
    STAMP_SENT,
    STAMP_WATCH,
    STORE_QUOTE,
)
from ..spec import Action, Effect

ACTIONS: tuple[Action, ...] = (
    ASK_QUOTE,
    Action("ask_payment", "ask whether the mint's invoice was paid"),
    Action("post_mint", "post the stored mint request"),
    Action("restore_outputs", "ask the mint for signatures on our outputs"),
)

EFFECTS: tuple[Effect, ...] = (
    STORE_QUOTE,
    RECORD_REASON,
    STAMP_SENT,
    STAMP_WATCH,
    RESTART_PATIENCE,
    Effect("reset_tries", "count the tries anew", level="STANDARD"),
    RECORD_LOSS,
    ALARM,
    Effect("expect_token", "create the awaited token", level="STANDARD"),
    Effect("fail_token", "the awaited token never becomes money", level="STANDARD"),
    Effect(
        "write_outputs",
        "store the outputs and the exact request bytes; earlier ones stay restorable",
        level="STANDARD",
    ),
    Effect("stamp_paid", "note when the mint first said PAID, once", level="STANDARD"),
    Effect("count_watch", "add what has passed of the watch, and count on from now", level="STANDARD"),
    Effect("count_refusal", "count a refusal of the stored outputs", level="STANDARD"),
    Effect("issue_token", "fill the awaited token with the issued proofs"),
)
