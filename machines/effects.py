"""The closed vocabularies: what an accepted transition makes the engine write, and what the engine
does while an entity rests in a state. Machines only name these."""

from __future__ import annotations

from collections.abc import Mapping

EFFECTS: Mapping[str, str] = {
    # tokens
    "index_proofs": "enter the proofs in the proof index",
    "move_proofs": "move some proofs to another token document",
    "set_reserved_by": "name the operation that holds the token",
    "clear_reserved_by": "nobody holds the token any more",
    "set_spent_at": "stamp the time of spending, once",
    # melt
    "store_quote": "keep the quote",
    "record_reason": "keep why it ended or waits",
    "take_claim": "claim the payment hash",
    "drop_claim": "give the payment hash free",
    "reserve_inputs": "reserve the chosen tokens",
    "release_inputs": "free the reserved tokens",
    "split_off_keep": "move untouched proofs to <id>_keep",
    "write_blanks": "store blank outputs for the change",
    "write_request": "store the exact request bytes",
    "adopt_split": "take the child's outputs as our inputs",
    "stamp_sent": "note when the request may have left",
    "spend_inputs": "mark the inputs spent",
    "store_payment": "keep the proof of payment",
    "write_fence": "append a fence generation: outputs and request bytes",
    "store_fenced": "store the fence outputs as <id>_fenced, of a part as <id>_fenced_<generation>",
    "end_fence": "note that the newest fence is refused for good; it stays restorable",
    "note_refusal": "count one more refusal of the newest fence",
    "spend_part": "mark the inputs that the fence of a part took as spent",
    "strand_part": "move inputs that the mint will not take to state stranded",
    "store_change": "store the change as <id>_melt_change",
    "correct_spent": "split off and mark spent what the mint says is spent",
    "free_stranded": "make the named stranded tokens spendable again",
    "drop_stranded": "mark the named stranded tokens spent",
    "stamp_empty": "note when the mint first said that there is no change",
    "free_untouched": "free what the mint did not let the dead request take",
    "stamp_watch": "note when watching began",
    "reset_tries": "count the tries anew",
    "record_loss": "keep the written-off amount",
    "record_melt": "spend the sources, store keep and change",
    "park_record": "store keep and change, reserve the sources that are free, note the others",
    "spend_contested": "spend the sources that were reserved or have become free",
    "stamp_unspent": "note when the mint first called every held proof unspent",
    "forget_unspent": "forget when the mint called the held proofs unspent",
    "alarm": "raise a CRITICAL alarm",
    # mint and deposit
    "expect_token": "create the awaited token",
    "fail_token": "the awaited token never becomes money",
    "write_outputs": "store the outputs and the exact request bytes; earlier ones stay restorable",
    "stamp_paid": "note when the mint first said PAID, once",
    "count_watch": "add what has passed of the watch, and count on from now",
    "count_refusal": "count a refusal of the stored outputs",
    "stamp_resumed": "note when an operator sent it on: patience begins anew",
    "issue_token": "fill the awaited token with the issued proofs",
    "store_deposit": "store the proofs handed in",
}

ACTIONS: Mapping[str, str] = {
    "ask_quote": "ask the mint for a quote (reads only)",
    "choose_inputs": "choose proofs and ask the mint about them (reads only)",
    "run_child": "look after the child swap",
    "start": "pay, or let an outdated quote expire; waits for the caller when two steps were asked for",
    "post_melt": "post the stored melt request",
    "ask_state": "ask the mint for the quote, the proofs and our outputs",
    "collect_change": "fetch the change that is owed",
    "resolve_unpaid": "fence, retry or release, as the policy says",
    "post_fence": "restore every fence generation, else post the newest",
    "watch_hold": "after its time ask the mint what became of the held proofs",
    "watch_sources": "look whether the sources have become free (reads only)",
    "reconcile": "check every document of the operation",
    "ask_payment": "ask whether the mint's invoice was paid",
    "post_mint": "post the stored mint request",
    "restore_outputs": "ask the mint for signatures on our outputs",
}
