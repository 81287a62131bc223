"""The words of a payment: the actions of its states and the effects of its transitions."""

from __future__ import annotations

from ..common_words import (
    ALARM,
    ASK_QUOTE,
    CORRECT_SPENT,
    DROP_CLAIM,
    FORGET_UNSPENT,
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
    STORE_QUOTE,
    STRAND_INPUTS,
    TAKE_CLAIM,
)
from ..spec import Action, Effect

ACTIONS: tuple[Action, ...] = (
    ASK_QUOTE,
    Action("choose_inputs", "choose proofs and ask the mint about them (reads only)", reads_only=True),
    Action("run_child", "look after the child swap"),
    Action(
        "start",
        "pay, or let an outdated quote expire; waits for the caller when two steps were asked for",
        reads_only=True,
        asks_no_mint=True,
    ),
    Action("post_melt", "post the stored melt request"),
    Action("ask_state", "ask the mint for the quote, the proofs and our outputs"),
    Action("collect_change", "fetch the change that is owed", reads_only=True),
    Action("confirm_refusal", "ask quote and inputs, twice, whether the mint stands by its refusal"),
    Action("resolve_unpaid", "fence, retry or release, as the policy says"),
    Action("post_fence", "restore every fence generation, else post the newest"),
    RECONCILE,
)

EFFECTS: tuple[Effect, ...] = (
    STORE_QUOTE,
    RECORD_REASON,
    TAKE_CLAIM,
    DROP_CLAIM,
    RESERVE_INPUTS,
    RELEASE_INPUTS,
    SPLIT_OFF_KEEP,
    Effect("write_blanks", "store blank outputs for the change", level="STANDARD"),
    Effect("write_request", "store the exact request bytes", level="STANDARD"),
    Effect("adopt_split", "take the child's outputs as our inputs"),
    STAMP_SENT,
    SPEND_INPUTS,
    Effect("store_payment", "keep the proof of payment"),
    Effect("write_fence", "append a fence generation: outputs and request bytes", level="STANDARD"),
    Effect("store_fenced", "store the fence outputs as ID_fenced, of a part as ID_fenced_GENERATION"),
    Effect(
        "end_fence", "note that the newest fence is refused for good; it stays restorable", level="STANDARD"
    ),
    Effect("note_refusal", "count one more refusal of the newest fence", level="STANDARD"),
    Effect("spend_part", "mark the inputs that the fence of a part took as spent"),
    Effect("strand_part", "move inputs that the mint refuses to state stranded"),
    Effect("store_change", "store the change as ID_melt_change"),
    CORRECT_SPENT,
    STRAND_INPUTS,
    Effect("stamp_empty", "note when the mint first said that there is no change", level="STANDARD"),
    FREE_UNTOUCHED,
    STAMP_WATCH,
    Effect("stamp_refusal", "note the reason of the mint's refusal of our request", level="STANDARD"),
    RESTART_PATIENCE,
    RECORD_LOSS,
    STAMP_UNSPENT,
    FORGET_UNSPENT,
    ALARM,
)
