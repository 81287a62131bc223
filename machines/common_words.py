"""The words that several machines use: effects and actions. A machine names its own beside its table."""

from __future__ import annotations

from .spec import Action, Effect

ASK_QUOTE = Action("ask_quote", "ask the mint for a quote (reads only)", reads_only=True)
STORE_QUOTE = Effect("store_quote", "keep the quote", level="STANDARD")
RECORD_REASON = Effect("record_reason", "store the reason of the end or the wait", level="STANDARD")
STAMP_SENT = Effect("stamp_sent", "note when the request may have left")
CORRECT_SPENT = Effect("correct_spent", "split off proofs that the mint calls SPENT, and mark them spent")
STAMP_WATCH = Effect("stamp_watch", "note when watching began", level="STANDARD")
RESTART_PATIENCE = Effect("restart_patience", "count the time without a result from now", level="STANDARD")
RECORD_LOSS = Effect("record_loss", "keep the written-off amount")
ALARM = Effect("alarm", "raise a CRITICAL alarm", level="CRITICAL")
