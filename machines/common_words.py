"""The words that several machines use: effects and actions. A machine names its own beside its table."""

from __future__ import annotations

from .spec import Action, Effect

ASK_QUOTE = Action("ask_quote", "ask the mint for a quote (reads only)", reads_only=True)
RECONCILE = Action("reconcile", "check every document of the operation", asks_no_mint=True, reads_back=True)
STORE_QUOTE = Effect("store_quote", "keep the quote", level="STANDARD")
RECORD_REASON = Effect("record_reason", "store the reason of the end or the wait", level="STANDARD")
STAMP_SENT = Effect("stamp_sent", "note when the request may have left")
CORRECT_SPENT = Effect("correct_spent", "split off proofs that the mint calls SPENT, and mark them spent")
STAMP_WATCH = Effect("stamp_watch", "note when watching began", level="STANDARD")
RESTART_PATIENCE = Effect("restart_patience", "count the time without a result from now", level="STANDARD")
RECORD_LOSS = Effect("record_loss", "keep the written-off amount")
ALARM = Effect("alarm", "raise a CRITICAL alarm", level="CRITICAL")
TAKE_CLAIM = Effect("take_claim", "claim the payment hash", level="STANDARD")
DROP_CLAIM = Effect("drop_claim", "drop the claim on the payment hash", level="STANDARD")
SPLIT_OFF_KEEP = Effect("split_off_keep", "move untouched proofs to ID_keep")
RESERVE_INPUTS = Effect("reserve_inputs", "reserve the chosen tokens")
RELEASE_INPUTS = Effect("release_inputs", "free the reserved tokens")
SPEND_INPUTS = Effect("spend_inputs", "mark the inputs spent")
STRAND_INPUTS = Effect("strand_inputs", "move every input to state stranded, where no payment takes it")
FREE_UNTOUCHED = Effect("free_untouched", "free the inputs that the mint still calls UNSPENT")
STAMP_UNSPENT = Effect(
    "stamp_unspent", "note when the mint first called all inputs unspent", level="STANDARD"
)
FORGET_UNSPENT = Effect("forget_unspent", "forget when the mint called the inputs unspent", level="STANDARD")
