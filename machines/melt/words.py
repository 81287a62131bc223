"""The words of a payment: the actions of its states and the effects of its transitions."""

from __future__ import annotations

from ..common_words import (
    ALARM,
    ASK_QUOTE,
    CORRECT_SPENT,
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
    Action("watch_hold", "after the time of the hold, ask the mint about the held proofs"),
    Action("watch_sources", "look whether the sources have become free (reads only)", asks_no_mint=True),
    Action("reconcile", "check every document of the operation", asks_no_mint=True),
)

EFFECTS: tuple[Effect, ...] = (
    STORE_QUOTE,
    RECORD_REASON,
    Effect("take_claim", "claim the payment hash", level="STANDARD"),
    Effect("drop_claim", "drop the claim on the payment hash", level="STANDARD"),
    Effect("reserve_inputs", "reserve the chosen tokens"),
    Effect("release_inputs", "free the reserved tokens"),
    Effect("split_off_keep", "move untouched proofs to ID_keep"),
    Effect("write_blanks", "store blank outputs for the change", level="STANDARD"),
    Effect("write_request", "store the exact request bytes", level="STANDARD"),
    Effect("adopt_split", "take the child's outputs as our inputs"),
    STAMP_SENT,
    Effect("spend_inputs", "mark the inputs spent"),
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
    Effect("strand_inputs", "move every input to state stranded, where no payment takes it"),
    Effect("stamp_empty", "note when the mint first said that there is no change", level="STANDARD"),
    Effect("free_untouched", "free the inputs that the dead request did not take"),
    STAMP_WATCH,
    Effect("stamp_refusal", "note the reason of the mint's refusal of our request", level="STANDARD"),
    RESTART_PATIENCE,
    RECORD_LOSS,
    Effect("record_melt", "spend the sources, store keep and change"),
    Effect("park_record", "store keep and change, reserve the sources that are free, note the others"),
    Effect("spend_contested", "spend the sources that were reserved or have become free"),
    Effect("stamp_unspent", "note when the mint first called every input unspent", level="STANDARD"),
    Effect("forget_unspent", "forget when the mint called the inputs unspent", level="STANDARD"),
    ALARM,
)
