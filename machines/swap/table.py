"""The swap machine: coins of a wallet exchanged at their mint for new coins of the same wallet (NUT-03).

The mint takes all inputs of a request and signs all of its outputs, or it does neither. The outputs are stored
in the commit that reserves the inputs, before the request is sent; an operation never has a second set of
outputs, so at most one set is ever signed for its inputs. After a lost answer restore (NUT-09) decides first:
signed outputs are ours. Only when none is signed do the inputs decide. All UNSPENT, and the settle window
over: the same bytes are sent again, or the swap is given up and its inputs are free. They stay watched then,
because a mint that breaks its word may still carry the request out. SPENT without a signature of ours waits
for a person.
"""

from __future__ import annotations

from .. import common_guards as common
from .. import exchange_guards as x
from ..spec import NONE, Ends, Event, Machine, Refuse, State, edges
from . import guards as g
from .facts import SwapFacts
from .words import ACTIONS, EFFECTS

_POST_ANSWERS = ("mint_refused", "reply_lost", "mint_unreachable")
_SIGNED = ("signatures_received", "signatures_restored")
_LOOKS = ("nothing_signed", "inputs_spent_elsewhere", "refusal_seen", "refusal_stands", "resend", "give_up")
_LATE = (*_POST_ANSWERS, *_SIGNED, *_LOOKS, "watch_over", "too_old", "recover")
_ANSWERED = (*_POST_ANSWERS, *_LOOKS, "recover")

_SENT = Refuse(
    "cancel", "ALREADY_SENT", "the request may have been sent; only the mint's evidence can end it now"
)
_ENDED = Refuse("cancel", "ALREADY_FINAL", "the operation has ended")
_WATCHED = Refuse(
    "write_off", "WATCH_NOT_OVER", "the inputs are free, and what became of the request is watched"
)


def _final(name: str, ends: Ends, meaning: str) -> State:
    return State(name, meaning, kind="final", group="final", absorbs=_LATE, refuses=(_ENDED,), ends=ends)


SWAP: Machine[SwapFacts] = Machine(
    name="swap",
    version=1,
    facts=SwapFacts,
    good_path=(NONE, "swapping", "settled", "reconciled"),
    actions=ACTIONS,
    effects=EFFECTS,
    states=(
        State(NONE, "does not exist yet", kind="pseudo"),
        State("swapping", "inputs reserved and outputs stored; the request may have been sent", action="post_swap",
              write_ahead=True, group="in flight", patience="swap", absorbs=_LOOKS, refuses=(_SENT,)),
        State("restoring", "no trustworthy answer; restore and the inputs tell what became of the request",
              action="ask_outcome", group="in flight", patience="swap", absorbs=_ANSWERED, refuses=(_SENT,)),
        State("watching", "not swapped by the mint's word: inputs are free again, the outputs are still watched",
              action="ask_outcome", group="in flight", patience="watch", settles=True, frees=True,
              absorbs=_ANSWERED, refuses=(_SENT, _WATCHED)),
        State("settled", "the new tokens are stored, the inputs spent", action="reconcile", group="after the swap",
              patience="checks", absorbs=(*_ANSWERED, *_SIGNED, "watch_over"), refuses=(_SENT,)),
        State("attention", "a person must look; the reason is stored; still polled", kind="parked",
              action="ask_outcome", group="parked", absorbs=(*_ANSWERED, "too_old"), refuses=(_SENT,)),
        State("stuck", "inputs are free again, and the mint does not say what became of the outputs; still polled",
              kind="parked", action="ask_outcome", group="parked", frees=True, absorbs=(*_ANSWERED, "too_old"),
              refuses=(_SENT,)),
        State("discrepant", "the stored documents contradict one another", kind="parked", group="parked",
              absorbs=(*_ANSWERED, *_SIGNED, "watch_over", "too_old"), refuses=(_SENT,)),
        _final("reconciled", "good", "swapped, every document checked"),
        _final("released", "unpaid", "not swapped; the inputs are free"),
        _final("rejected", "unpaid", "refused before anything was sent"),
        _final("written_off", "lost", "an operator gave it up; each input is freed, stranded or lost"),
    ),
    events=(
        Event("request", "a caller wants coins swapped", "caller"),
        Event("cancel", "the caller wants it stopped", "caller"),
        Event("preflight_blocked", "the mint contradicts the store about an input", "mint"),
        Event("signatures_received", "the mint signed our outputs", "mint"),
        Event("signatures_restored", "restore found our outputs signed", "mint"),
        Event("mint_refused", "the mint answered the request with an error", "mint"),
        Event("reply_lost", "the request may have been executed, no trustworthy answer", "mint"),
        Event("mint_unreachable", "the mint could not be reached", "mint"),
        Event("nothing_signed", "the mint signed none of our outputs, and that decides nothing yet", "mint"),
        Event("refusal_seen", "after its refusal the mint says UNSPENT and signed nothing", "mint"),
        Event("refusal_stands", "the mint says so again", "mint"),
        Event("inputs_spent_elsewhere", "inputs are spent and no output of ours is signed", "mint"),
        Event("resend", "the same request is sent again", "engine"),
        Event("give_up", "the mint does not carry the request out", "engine"),
        Event("watch_over", "the watch window is over", "clock"),
        Event("too_old", "unresolved for too long", "clock"),
        Event("drive_failed", "driving it failed too often", "engine"),
        Event("reconcile_passed", "every document agrees", "engine"),
        Event("reconcile_failed", "documents contradict one another", "engine"),
        Event("recover", "a restart found the operation", "restart"),
        Event("resume", "an operator wants it to go on", "operator"),
        Event("release", "an operator frees the inputs on the mint's word", "operator"),
        Event("write_off", "an operator gives the rest up", "operator"),
        Event("resolve", "an operator settled the contradiction", "operator"),
    ),
    transitions=(
        *edges("1", "request", NONE, "swapping",
               requires=(common.owner_matches, common.one_mint_one_unit, common.inputs_unspent, common.inputs_few_enough,
                         x.outputs_fit, x.balanced, common.preflight_clear, x.mint_can_restore),
               effects=("split_off_keep", "reserve_inputs", "write_swap", "stamp_sent"),
               reason="the outputs are durable before they are sent"),
        *edges("1b", "preflight_blocked", NONE, "rejected", forbids=(common.preflight_clear,),
               effects=("correct_spent", "record_reason", "alarm"), reason="proofs that the mint calls SPENT are corrected"),
        *edges("2", _SIGNED, ("swapping", "restoring", "attention"), "settled", requires=(x.outputs_verified,),
               effects=("spend_inputs", "store_swapped"), reason="the new proofs are ours"),
        *edges("2b", _SIGNED, ("watching", "stuck"), "settled", requires=(x.outputs_verified,),
               effects=("correct_spent", "store_swapped", "alarm"),
               reason="the mint broke its word: the freed inputs are spent, their value is ours in new proofs"),
        *edges("3", "mint_refused", "swapping", "restoring", requires=(x.refusal_is_clear,),
               effects=("record_reason", "note_clear_refusal"), reason="the mint had our request and turned it down"),
        *edges("3b", "mint_refused", "swapping", "restoring", forbids=(x.refusal_is_clear,), effects=("record_reason",),
               reason="an error answer proves nothing"),
        *edges("3b", ("reply_lost", "mint_unreachable"), "swapping", "restoring", effects=("record_reason",),
               reason="an error answer proves nothing"),
        *edges("4", "recover", "swapping", "restoring", reason="the request may have been sent"),
        *edges("5", "refusal_seen", "restoring", None, requires=(x.refused_clearly, x.untouched),
               forbids=(common.refusal_was_confirmed,), effects=("stamp_unspent",),
               reason="the time to the second look counts from the first"),
        *edges("5b", "refusal_stands", "restoring", "watching",
               requires=(x.refused_clearly, x.untouched, common.refusal_window_over), forbids=(g.coin_refused,),
               effects=("release_inputs", "stamp_watch"), reason="a new operation may use the inputs"),
        *edges("5c", "refusal_stands", "restoring", "watching",
               requires=(x.refused_clearly, x.untouched, common.refusal_window_over, g.coin_refused),
               effects=("record_reason", "strand_inputs", "stamp_watch", "alarm"),
               reason="a coin that the mint will not take must not spoil other requests"),
        *edges("6", "resend", "restoring", "swapping", requires=(x.settled_untouched, x.tries_left),
               forbids=(x.refused_clearly,), effects=("stamp_sent",), reason="same bytes"),
        *edges("6b", "give_up", "restoring", "watching", requires=(x.settled_untouched,), forbids=(x.tries_left,),
               effects=("record_reason", "release_inputs", "stamp_watch"),
               reason="the mint does not carry it out; its word is still watched"),
        *edges("7", "inputs_spent_elsewhere", "restoring", "attention", requires=(x.spent_without_us,),
               effects=("record_reason", "alarm"), reason="another program spent our proofs, or the mint lies"),
        *edges("8", "watch_over", ("watching", "stuck"), "released",
               requires=(common.watch_window_over, common.nothing_restored), reason="nothing happened"),
        *edges("9", "too_old", "restoring", "attention", requires=(x.unresolved_too_long,),
               effects=("record_reason", "alarm"), reason="still polled; signatures bring it back"),
        *edges("9b", "too_old", "watching", "stuck", requires=(x.unresolved_too_long,),
               effects=("record_reason", "alarm"), reason="the watch is over, and no answer ends it"),
        *edges("9c", "too_old", "settled", "discrepant", requires=(x.unresolved_too_long,),
               effects=("record_reason", "alarm"), reason="its documents could not be checked"),
        *edges("10", "drive_failed", ("swapping", "restoring"), "attention", requires=(common.drives_fail,),
               effects=("record_reason", "alarm"), reason="something in it makes every drive fail"),
        *edges("10b", "drive_failed", "watching", "stuck", requires=(common.drives_fail,),
               effects=("record_reason", "alarm"), reason="something in it makes every drive fail"),
        *edges("10c", "drive_failed", "settled", "discrepant", requires=(common.drives_fail,),
               effects=("record_reason", "alarm"), reason="its documents could not be checked"),
        *edges("11", "reconcile_passed", "settled", "reconciled", requires=(common.documents_agree,),
               reason="every document checked"),
        *edges("11", "reconcile_failed", "settled", "discrepant", forbids=(common.documents_agree,),
               effects=("record_reason", "alarm"), reason="a person must look"),
        *edges("12", "resume", "attention", "restoring", requires=(common.operator_gave_reason,),
               effects=("record_reason", "restart_patience"), reason="ask the mint again"),
        *edges("12b", "resume", "stuck", "watching", requires=(common.operator_gave_reason,),
               effects=("record_reason", "stamp_watch"), reason="watch it for another window"),
        *edges("13", "release", "attention", "watching", requires=(common.operator_gave_reason, x.settled_untouched),
               effects=("record_reason", "release_inputs", "stamp_watch"),
               reason="an operator trusts the mint rather than give up what is unspent"),
        *edges("14", "write_off", "attention", "written_off", requires=(common.operator_gave_reason, g.request_dead),
               effects=("record_reason", "free_untouched", "spend_inputs", "record_loss"),
               reason="inputs that a dead request left are freed; the rest is given up"),
        *edges("14b", "write_off", "attention", "written_off", requires=(common.operator_gave_reason, common.forced),
               forbids=(g.request_dead,), effects=("record_reason", "strand_inputs", "alarm"),
               reason="the request may still be executed: the inputs wait for what becomes of it"),
        *edges("14c", "write_off", "stuck", "released", requires=(common.operator_gave_reason, common.nothing_restored),
               effects=("record_reason", "alarm"), reason="an operator ends the watch on the mint's word"),
        *edges("14d", "write_off", "stuck", "written_off", requires=(common.operator_gave_reason,),
               forbids=(common.nothing_restored,), effects=("record_reason", "alarm"),
               reason="an operator ends a watch without an answer"),
        *edges("15", "resolve", "discrepant", "reconciled", requires=(common.operator_gave_reason,),
               effects=("record_reason",), reason="an operator settled it"),
    ),
)  # fmt: skip
