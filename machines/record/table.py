"""The record machine: a melt that the caller makes at the mint itself, with tokens of ours.

The engine sends nothing for it. The caller holds the sources, pays, and records the payment; or it records
without a hold. A hold ends by the caller's word, or when the mint calls every held proof UNSPENT twice, a
settle window apart: the end of its time alone frees nothing. A payment that was made is never refused because
its sources or its invoice belong to another operation: it waits in ``contested`` with keep and change stored.
``nothing_contested`` stands on both twins of such a row, so that every answer leads somewhere.
"""

from __future__ import annotations

from .. import common_guards as common
from ..spec import NONE, Ends, Event, Machine, Refuse, State, edges
from . import guards as g
from .facts import RecordFacts
from .words import ACTIONS, EFFECTS

_LOOKS = ("hold_seen_unspent", "hold_seen_pending", "hold_spent", "hold_over", "mint_unreachable")

_RECORDED = (g.recorded_conserved, g.secrets_distinct, g.sources_touched)
_RECORDABLE = (common.owner_matches, common.one_mint_one_unit, *_RECORDED)

_HELD = Refuse(
    "cancel",
    "HOLD_NOT_OVER",
    "the caller may be paying; unhold ends it when the caller says that nothing was paid",
)
_PAID = Refuse(
    "cancel", "ALREADY_SENT", "the caller may have paid; only evidence or an operator can end it now"
)
_UNHELD = Refuse(
    "unhold", "NOT_HELD", "held proofs were spent or a payment is recorded: a word cannot free them now"
)
_ENDED = (
    Refuse("cancel", "ALREADY_FINAL", "the operation has ended"),
    Refuse("unhold", "ALREADY_FINAL", "the operation has ended"),
)


def _final(name: str, ends: Ends, meaning: str, *absorbs: str) -> State:
    refuses = tuple(refusal for refusal in _ENDED if refusal.event not in absorbs)
    late = (*_LOOKS, "too_old", "recover", *absorbs)
    return State(name, meaning, kind="final", group="final", absorbs=late, refuses=refuses, ends=ends)


RECORD: Machine[RecordFacts] = Machine(
    name="record",
    version=1,
    facts=RecordFacts,
    good_path=(NONE, "held", "settled", "reconciled"),
    actions=ACTIONS,
    effects=EFFECTS,
    states=(
        State(NONE, "does not exist yet", kind="pseudo"),
        State("held", "the caller pays; the sources are reserved for it", action="watch_hold",
              group="before payment", patience="hold", absorbs=("hold_seen_pending", "mint_unreachable", "recover"),
              refuses=(_HELD,), waits_for="caller"),
        State("settled", "sources spent, keep and change stored", action="reconcile", group="after payment",
              patience="checks", absorbs=(*_LOOKS, "recover"), refuses=(_PAID,)),
        State("contested", "the caller paid, but sources or claim are not free, or held proofs are gone",
              kind="parked", action="watch_sources", group="parked", absorbs=(*_LOOKS, "too_old", "recover"),
              refuses=(_PAID, _UNHELD)),
        State("discrepant", "the stored documents contradict one another", kind="parked", group="parked",
              absorbs=(*_LOOKS, "too_old", "recover"), refuses=(_PAID,)),
        _final("reconciled", "good", "paid, keep and change stored, every document checked"),
        _final("cancelled", "unpaid", "the caller did not pay; the sources are free again", "cancel", "unhold"),
        _final("written_off", "lost", "an operator gave it up; each source is freed, stranded or lost"),
    ),
    events=(
        Event("hold", "a caller is about to make a melt itself", "caller"),
        Event("record", "a caller reports a melt it made itself", "caller"),
        Event("unhold", "the caller says that it did not make it", "caller"),
        Event("cancel", "the caller wants it stopped", "caller"),
        Event("hold_seen_unspent", "after the hold the mint calls every held proof UNSPENT", "mint"),
        Event("hold_seen_pending", "after the hold the mint calls a held proof PENDING", "mint"),
        Event("hold_spent", "after the hold the mint calls a held proof SPENT", "mint"),
        Event("mint_unreachable", "the mint could not be reached", "mint"),
        Event("hold_over", "the hold is over and nothing was spent", "clock"),
        Event("sources_free", "the contested sources and the claim have become free", "engine"),
        Event("reconcile_passed", "every document agrees", "engine"),
        Event("reconcile_failed", "documents contradict one another", "engine"),
        Event("too_old", "unresolved for too long", "clock"),
        Event("drive_failed", "driving it failed too often", "engine"),
        Event("recover", "a restart found the operation", "restart"),
        Event("write_off", "an operator gives the rest up", "operator"),
        Event("resolve", "an operator settled the contradiction", "operator"),
    ),
    transitions=(
        *edges("1", "hold", NONE, "held",
               requires=(common.owner_matches, common.one_mint_one_unit, common.inputs_unspent, g.hold_in_limits, common.claim_free),
               effects=("take_claim", "reserve_inputs"), reason="no other operation uses the tokens that the caller pays with"),
        *edges("2", "record", NONE, "settled", requires=(*_RECORDABLE, g.nothing_contested),
               effects=("take_claim", "record_melt"), reason="a melt the caller made without a hold"),
        *edges("2b", "record", NONE, "contested", requires=_RECORDABLE, forbids=(g.nothing_contested,),
               effects=("park_record", "record_reason", "alarm"), reason="the caller paid: keep and change are not dropped"),
        *edges("3", "record", "held", "settled", requires=(*_RECORDED, g.sources_are_the_held, g.nothing_contested),
               effects=("take_claim", "record_melt"), reason="the caller made the melt it held for"),
        *edges("3", "record", "contested", "settled",
               requires=(*_RECORDED, g.sources_are_the_held, g.nothing_contested), forbids=(common.recorded_already,),
               effects=("take_claim", "record_melt"), reason="the caller made the melt it held for"),
        *edges("3b", "record", "held", "contested", requires=(*_RECORDED, g.sources_are_the_held),
               forbids=(g.nothing_contested,), effects=("park_record", "record_reason", "alarm"),
               reason="another operation claims the payment; keep and change are not dropped"),
        *edges("3b", "record", "contested", None, requires=(*_RECORDED, g.sources_are_the_held),
               forbids=(g.nothing_contested, common.recorded_already), effects=("park_record", "record_reason", "alarm"),
               reason="another operation claims the payment; keep and change are not dropped"),
        *edges("4", "unhold", "held", "cancelled", effects=("release_inputs", "drop_claim"),
               reason="the caller says that nothing was paid"),
        *edges("5", "hold_seen_unspent", "held", None, requires=(g.hold_is_over, g.held_first_seen_unspent),
               effects=("stamp_unspent",), reason="the window counts from the first such answer"),
        *edges("5", "hold_seen_pending", "held", None, requires=(g.hold_is_over, g.held_was_unspent),
               effects=("forget_unspent",), reason="the first UNSPENT was not the end"),
        *edges("6", "hold_over", "held", "cancelled", requires=(g.hold_is_over, g.held_proven_unspent),
               effects=("release_inputs", "drop_claim"), reason="the end of the time alone frees nothing"),
        *edges("7", "hold_spent", "held", "contested", requires=(g.hold_is_over, g.held_seen_spent),
               effects=("record_reason", "alarm"), reason="the caller paid, or another program spent them"),
        *edges("7", "too_old", "held", "contested", requires=(g.unresolved_too_long,),
               effects=("record_reason", "alarm"), reason="a late record still settles it"),
        *edges("7", "drive_failed", "held", "contested", requires=(common.drives_fail,),
               effects=("record_reason", "alarm"), reason="something in it makes every drive fail"),
        *edges("8", "sources_free", "contested", "settled", requires=(common.recorded_already, g.nothing_contested),
               effects=("take_claim", "spend_contested"), reason="the payment was made with them"),
        *edges("9", "write_off", "contested", "written_off",
               requires=(common.operator_gave_reason, g.held_not_in_flight), forbids=(common.recorded_already,),
               effects=("record_reason", "free_untouched", "spend_inputs", "record_loss"),
               reason="the payment was not recorded; UNSPENT proofs are freed, the rest is given up"),
        *edges("9b", "write_off", "contested", "written_off", requires=(common.operator_gave_reason, common.forced),
               forbids=(common.recorded_already, g.held_not_in_flight), effects=("record_reason", "strand_inputs", "alarm"),
               reason="the mint does not say that the payment is over: the inputs wait for what becomes of it"),
        *edges("9c", "write_off", "contested", "settled", requires=(common.operator_gave_reason, common.recorded_already),
               effects=("record_reason", "spend_contested", "record_loss"),
               reason="the payment stands; sources that others used are noted as loss"),
        *edges("10", "reconcile_passed", "settled", "reconciled", requires=(common.documents_agree,),
               reason="every document checked"),
        *edges("10", "reconcile_failed", "settled", "discrepant", forbids=(common.documents_agree,),
               effects=("record_reason", "alarm"), reason="a person must look"),
        *edges("11", "too_old", "settled", "discrepant", requires=(g.unresolved_too_long,),
               effects=("record_reason", "alarm"), reason="its documents could not be checked"),
        *edges("11", "drive_failed", "settled", "discrepant", requires=(common.drives_fail,),
               effects=("record_reason", "alarm"), reason="its documents could not be checked"),
        *edges("12", "resolve", "discrepant", "reconciled", requires=(common.operator_gave_reason,),
               effects=("record_reason",), reason="an operator settled it"),
    ),
)  # fmt: skip
