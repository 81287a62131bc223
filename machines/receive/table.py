"""The receive machine: a token that the caller hands in, exchanged at its mint for coins of the wallet (NUT-03).

The maker of the token can spend it until the mint has signed new coins for it. So its value is credited by the
mint's signatures alone. The outputs are stored in the first commit, together with the request and its witnesses,
before it is sent. The proofs of the token are no documents of ours: nothing is reserved, and nothing is freed.
After a lost answer restore (NUT-09) decides first: signed outputs are ours. Only when none is signed do the inputs
decide. All UNSPENT, and the settle window over: the same bytes are sent again. SPENT without a signature of ours: the
giver, or another receiver, spent the token, and the receive ends unpaid. The outputs stay watched for a while,
because a mint that breaks its word may still carry the request out.
"""

from __future__ import annotations

from .. import common_guards as common
from .. import exchange_guards as x
from ..spec import NONE, Ends, Event, Machine, Refuse, State, edges
from . import guards as g
from .facts import ReceiveFacts
from .words import ACTIONS, EFFECTS

_POST_ANSWERS = ("mint_refused", "reply_lost", "mint_unreachable")
_SIGNED = ("signatures_received", "signatures_restored")
_LOOKS = ("nothing_signed", "inputs_spent_elsewhere", "refusal_seen", "refusal_stands", "resend", "give_up")
_LATE = (*_POST_ANSWERS, *_SIGNED, *_LOOKS, "watch_over", "too_old", "recover")
_ANSWERED = (*_POST_ANSWERS, *_LOOKS, "recover")
_PARKED = (*(name for name in _ANSWERED if name != "inputs_spent_elsewhere"), "too_old")

_SENT = Refuse(
    "cancel", "ALREADY_SENT", "the request may have been sent; only the mint's evidence can end it now"
)
_ENDED = Refuse("cancel", "ALREADY_FINAL", "the operation has ended")
_WATCHED = Refuse("write_off", "WATCH_NOT_OVER", "what became of the request is watched")


def _final(name: str, ends: Ends, meaning: str) -> State:
    return State(name, meaning, kind="final", group="final", absorbs=_LATE, refuses=(_ENDED,), ends=ends)


RECEIVE: Machine[ReceiveFacts] = Machine(
    name="receive",
    version=1,
    facts=ReceiveFacts,
    good_path=(NONE, "receiving", "settled", "reconciled"),
    actions=ACTIONS,
    effects=EFFECTS,
    states=(
        State(NONE, "does not exist yet", kind="pseudo"),
        State("receiving", "outputs and request stored; the request may have been sent", action="post_receive",
              write_ahead=True, group="in flight", patience="swap", absorbs=_LOOKS, refuses=(_SENT,)),
        State("restoring", "no trustworthy answer; restore and the inputs tell what became of the request",
              action="ask_outcome", group="in flight", patience="swap", absorbs=_ANSWERED, refuses=(_SENT,)),
        State("watching", "not received by the mint's word; the outputs are still watched", action="ask_outcome",
              group="in flight", patience="watch", settles=True, frees=True, absorbs=_ANSWERED,
              refuses=(_SENT, _WATCHED)),
        State("settled", "the new token is stored", action="reconcile", group="after the swap", patience="checks",
              absorbs=(*_ANSWERED, *_SIGNED, "watch_over"), refuses=(_SENT,)),
        State("attention", "a person must look; the reason is stored; still polled", kind="parked",
              action="ask_outcome", group="parked", absorbs=_PARKED, refuses=(_SENT,)),
        State("stuck", "not received, and the mint does not say what became of the outputs; still polled",
              kind="parked", action="ask_outcome", group="parked", frees=True, absorbs=(*_ANSWERED, "too_old"),
              refuses=(_SENT,)),
        State("discrepant", "the stored documents contradict one another", kind="parked", group="parked",
              absorbs=(*_ANSWERED, *_SIGNED, "watch_over", "too_old"), refuses=(_SENT,)),
        _final("reconciled", "good", "received, every document checked"),
        _final("not_received", "unpaid", "not received: nothing was credited"),
        _final("written_off", "lost", "an operator gave it up; it is not known what the mint did"),
    ),
    events=(
        Event("request", "a caller hands a token in", "caller"),
        Event("cancel", "the caller wants it stopped", "caller"),
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
        Event("release", "an operator ends it unpaid on the mint's word", "operator"),
        Event("write_off", "an operator gives it up", "operator"),
        Event("resolve", "an operator settled the contradiction", "operator"),
    ),
    transitions=(
        *edges("1", "request", NONE, "receiving",
               requires=(g.not_received, common.inputs_few_enough, x.outputs_fit, x.balanced, common.preflight_clear,
                         x.mint_can_restore),
               effects=("claim_token", "write_receive", "stamp_sent"),
               reason="the outputs are durable before they are sent"),
        *edges("2", _SIGNED, ("receiving", "restoring", "attention"), "settled", requires=(x.outputs_verified,),
               effects=("store_received",), reason="the new proofs are ours, and the giver cannot spend them"),
        *edges("2b", _SIGNED, ("watching", "stuck"), "settled", requires=(x.outputs_verified,),
               effects=("correct_spent", "store_received", "alarm"),
               reason="the mint broke its word: the value is ours in new proofs"),
        *edges("3", "mint_refused", "receiving", "restoring", requires=(x.refusal_is_clear,),
               effects=("record_reason", "note_clear_refusal"), reason="the mint had our request and turned it down"),
        *edges("3b", "mint_refused", "receiving", "restoring", forbids=(x.refusal_is_clear,),
               effects=("record_reason",), reason="an error answer proves nothing"),
        *edges("3b", ("reply_lost", "mint_unreachable"), "receiving", "restoring", effects=("record_reason",),
               reason="an error answer proves nothing"),
        *edges("4", "recover", "receiving", "restoring", reason="the request may have been sent"),
        *edges("5", "refusal_seen", "restoring", None, requires=(x.refused_clearly, x.untouched),
               forbids=(common.refusal_was_confirmed,), effects=("stamp_unspent",),
               reason="the time to the second look counts from the first"),
        *edges("5b", "refusal_stands", "restoring", "watching",
               requires=(x.refused_clearly, x.untouched, common.refusal_window_over),
               effects=("let_token_go", "stamp_watch"), reason="nothing was credited; a new attempt is allowed"),
        *edges("6", "resend", "restoring", "receiving", requires=(x.settled_untouched, x.tries_left),
               forbids=(x.refused_clearly,), effects=("stamp_sent",), reason="same bytes"),
        *edges("6b", "give_up", "restoring", "watching", requires=(x.settled_untouched,), forbids=(x.tries_left,),
               effects=("record_reason", "let_token_go", "stamp_watch"),
               reason="the mint does not carry it out; its word is still watched"),
        *edges("7", "inputs_spent_elsewhere", ("restoring", "attention"), "watching", requires=(x.spent_without_us,),
               effects=("record_reason", "let_token_go", "stamp_watch"),
               reason="the giver or another receiver spent it: no loss of ours"),
        *edges("8", "watch_over", ("watching", "stuck"), "not_received",
               requires=(common.watch_window_over, common.nothing_restored), reason="nothing happened"),
        *edges("9", "too_old", "restoring", "attention", requires=(x.unresolved_too_long,),
               effects=("record_reason", "alarm"), reason="still polled; signatures bring it back"),
        *edges("9b", "too_old", "watching", "stuck", requires=(x.unresolved_too_long,),
               effects=("record_reason", "alarm"), reason="the watch is over, and no answer ends it"),
        *edges("9c", "too_old", "settled", "discrepant", requires=(x.unresolved_too_long,),
               effects=("record_reason", "alarm"), reason="its documents could not be checked"),
        *edges("10", "drive_failed", ("receiving", "restoring"), "attention", requires=(common.drives_fail,),
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
        *edges("13", "release", "attention", "watching", requires=(common.operator_gave_reason, g.nothing_of_ours),
               effects=("record_reason", "let_token_go", "stamp_watch"),
               reason="an operator ends it: nothing of ours is signed, and what comes late is still collected"),
        *edges("14", "write_off", "attention", "written_off", requires=(common.operator_gave_reason, common.forced),
               effects=("record_reason", "let_token_go", "alarm"),
               reason="the mint may have signed our outputs: retry-stranded asks it again"),
        *edges("14c", "write_off", "stuck", "not_received",
               requires=(common.operator_gave_reason, common.nothing_restored), effects=("record_reason", "alarm"),
               reason="an operator ends the watch on the mint's word"),
        *edges("14d", "write_off", "stuck", "written_off", requires=(common.operator_gave_reason,),
               forbids=(common.nothing_restored,), effects=("record_reason", "alarm"),
               reason="an operator ends a watch without an answer"),
        *edges("15", "resolve", "discrepant", "reconciled", requires=(common.operator_gave_reason,),
               effects=("record_reason",), reason="an operator settled it"),
    ),
)  # fmt: skip
