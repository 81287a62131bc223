"""What the README, docs/requirements.md and docs/machines.md promise of the machines, asked of any
declaration: sentences about money and answers, not a list of rows. A claim that is broken is named."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from nutstate.machines.spec import NONE, Machine, Transition

Claim = Callable[[Machine[Any]], Iterable[object]]
"""Yields whatever breaks it."""

SENT = (
    "paying",
    "refused",
    "pending",
    "unknown",
    "paid",
    "unpaid",
    "fencing",
    "watching",
    "stuck",
    "settled",
    "attention",
    "discrepant",
)
UNPAID_ENDS = ("rejected", "cancelled", "expired", "released")
CLAIMED = ("splitting", "prepared", *SENT)
BY_AN_OPERATOR = ("21b.release.attention", "7.found_paid.none")
"""What an operator has done though the engine or the mint names the event: such as freeing the inputs on the mint's
word, or wants stranded coins tried again and the mint turns out to have been paid with them."""
ANSWERS = ("mint_paid", "mint_pending", "mint_unpaid", "mint_refused", "reply_lost", "mint_unreachable")
HARMLESS = {
    "record_reason", "alarm", "expect_token", "fail_token", "release_inputs", "drop_claim", "correct_spent",
}  # fmt: skip


def asks(edge: Transition[Any]) -> set[str]:
    """Its guards by name, forbidden ones with ``not``."""
    return {g.name for g in edge.requires} | {f"not {g.name}" for g in edge.forbids}


def decide(spec: Machine[Any], state: str, event: str, facts: Any) -> tuple[str, Transition[Any] | None]:
    """The outcome and the edge that is taken, read off the table."""
    declared, found = spec.state(state), spec.cells.get((state, event), ())
    for t in found:
        if all(g.holds(facts) for g in t.requires) and not any(g.holds(facts) for g in t.forbids):
            return "accepted", t
    if event in declared.absorbs:
        return "absorbed", None
    return ("refused" if found or any(r.event == event for r in declared.refuses) else "undefined"), None


def nothing_known_moves_nothing(spec: Machine[Any]) -> Iterator[object]:
    """The default of every fact is the answer that permits nothing."""
    facts = spec.facts()
    noted = {"stamp_paid", "count_refusal"} if spec.name == "mint" else set()
    for state, event in spec.cells:
        _, edge = decide(spec, state, event, facts)
        if edge is None:
            continue
        # what was seen of a refusal is forgotten: that takes proof away and gives none
        forgets = {"forget_unspent"} if (edge.source, edge.dest) == ("refused", "unknown") else set()
        if set(edge.effects) - HARMLESS - noted - forgets:
            yield edge.id


def written_ahead_where_requests_leave(spec: Machine[Any]) -> Iterator[object]:
    """A state is written ahead when its action posts; the way there stamps or writes the request. What
    stays there sends the same request again."""
    for state in spec.states:
        if state.write_ahead != (
            state.action in ("post_melt", "post_fence", "post_mint", "post_swap", "post_receive")
        ):
            yield state.name
    ahead = {state.name: state.action for state in spec.states if state.write_ahead}
    for edge in spec.transitions:
        wanted = {"post_fence": "write_fence"}.get(str(ahead.get(edge.dest)), "stamp_sent")
        for effect in ("write_fence", "stamp_sent"):
            enters = edge.dest in ahead and edge.source != edge.dest
            if (effect in edge.effects) != (enters and effect == wanted):
                yield edge.id, effect


def a_person_is_told(spec: Machine[Any]) -> Iterator[object]:
    """What parks raises the alarm and says why; what an operator does has a reason, which is kept."""
    parked = {state.name for state in spec.states if state.kind == "parked"}
    origins = {event.name: event.origin for event in spec.events}
    for edge in spec.transitions:
        told = {"record_reason", "alarm"} <= set(edge.effects)
        if edge.dest in parked and not told and edge.source != edge.dest:
            yield edge.id
        by_hand = "operator_gave_reason" in asks(edge)
        if by_hand != (origins.get(edge.event) == "operator" or edge.id in BY_AN_OPERATOR):
            yield edge.id
        if by_hand and "record_reason" not in edge.effects:
            yield edge.id


def what_has_ended_stays(spec: Machine[Any]) -> Iterator[object]:
    """Nothing leaves a final state; late answers and restarts are absorbed there, ``cancel`` is answered."""
    names = {event.name for event in spec.events}
    for state in spec.states:
        if state.kind != "final" or spec.name == "token":
            continue
        yield from (t.id for t in spec.transitions if t.source == state.name)
        yield from (e for e in (*ANSWERS[3:], "recover", "too_old") if e in names and e not in state.absorbs)
        if "cancel" in names and decide(spec, state.name, "cancel", spec.facts())[0] not in (
            "refused",
            "absorbed",
        ):
            yield state.name


def a_restart_is_answered(spec: Machine[Any]) -> Iterator[object]:
    """In every state of an operation; only what was never sent is given up."""
    if spec.name == "token":
        return
    for state in spec.states:
        if state.kind != "pseudo" and decide(spec, state.name, "recover", spec.facts())[0] in (
            "refused",
            "undefined",
        ):
            yield state.name
    for edge in spec.transitions:
        if edge.event == "recover" and edge.source in SENT and edge.dest != "unknown":
            yield edge.id


def melt_frees_only_with_proof(spec: Machine[Any]) -> Iterator[object]:
    """Unknown frees nothing: inputs and claim are given free before sending, or with the mint's proof."""
    if spec.name != "melt":
        return
    free = ("requested", "quoted")
    before = {"splitting": "child_ended_unspent", "prepared": "nothing_sent"}
    for t in spec.transitions:
        frees = "release_inputs" in t.effects
        proven = {"policy_trusts_mint", "unpaid_is_proven"} & asks(t) or asks(t) >= STOOD
        if frees and t.source in SENT and not proven:
            yield t.id
        if t.dest in UNPAID_ENDS and t.source in CLAIMED and "drop_claim" not in t.effects:
            yield t.id
        if t.dest in UNPAID_ENDS and t.source in ("prepared", "splitting") and not frees:
            yield t.id
        if frees and t.source in before and before[t.source] not in asks(t):
            yield t.id
        if frees and t.source not in (*free, *before, "refused", "unpaid", "attention"):
            yield t.id
        anew = t.event == "new_attempt" and {"refusal_stood", "claim_held"} <= asks(t)
        if "drop_claim" in t.effects and t.dest not in UNPAID_ENDS and not anew:
            yield t.id
        ended = (
            {"outputs_verified", "watch_window_over", "something_fenced"} & asks(t)
            or {"operator_gave_reason", "quote_still_unpaid"} <= asks(t)
            or {"payment_proven", "not inputs_taken", "not claim_held"} <= asks(t)
        )
        if t.source in SENT and t.dest in UNPAID_ENDS and not ended:
            yield t.id
        if t.dest == "watching" != t.source and "stamp_watch" not in t.effects:
            yield t.id


STOOD = {"refusal_confirmed", "refusal_window_over", "not refusal_blames_inputs"}


def melt_fails_fast_only_on_a_refusal_that_stands(spec: Machine[Any]) -> Iterator[object]:
    """R320 to R322, R326: only under the policy fast, only for a clear refusal of the only sending, only
    when UNPAID and UNSPENT were answered twice, a window apart; any other word leads back."""
    if spec.name != "melt":
        return
    policies, kinds = ("fast", "fence", "retry_then_fence", "trust"), (None, "payment", "inputs", "limit")
    for policy, kind, sendings in itertools.product(policies, kinds, (0, 1, 2)):
        facts = spec.facts(policy=policy, refusal_kind=kind, sendings=sendings)
        _, edge = decide(spec, "paying", "mint_refused", facts)
        clear = policy == "fast" and kind is not None and sendings == 1
        if edge is None or edge.dest != ("refused" if clear else "unknown"):
            yield policy, kind, sendings
    unspent, mixed = frozenset({"UNSPENT"}), frozenset({"UNSPENT", "PENDING"})
    for said, seen, since, blamed in itertools.product(
        ("UNPAID", "PENDING", "PAID", "UNKNOWN", None), (unspent, mixed), (None, 0, 1), ("payment", "inputs")
    ):
        facts = spec.facts(
            now=10, quote_state=said, input_states=seen, inputs_asked=1, input_count=1, refusal_window_ms=10,
            held_unspent_since=since, refused_for=blamed,
        )  # fmt: skip
        confirmed = (said, seen) == ("UNPAID", unspent)
        wanted = {
            "refusal_seen": "refused" if confirmed and since is None else None,
            "refusal_stands": ("unpaid" if blamed == "inputs" else "watching")
            if confirmed and since == 0
            else None,
            "mint_unpaid": None if confirmed else "unknown",
            "mint_pending": "pending",
            "mint_unclear": "unknown",
        }
        for event, dest in wanted.items():
            _, edge = decide(spec, "refused", event, facts)
            if (None if edge is None else edge.dest) != dest:
                yield event, said, seen, since
    for t in spec.transitions:
        for effect, wanted_there in (
            ("stamp_refusal", t.dest == "refused" != t.source),
            ("stamp_unspent", t.event == "refusal_seen"),
            ("forget_unspent", (t.event, t.source) == ("mint_unpaid", "refused")),
        ):
            if (effect in t.effects) != wanted_there:
                yield t.id, effect


def melt_pays_only_what_is_its_own(spec: Machine[Any]) -> Iterator[object]:
    """Everything the payment needs is checked and durable before it is sent; a payment is proven."""
    if spec.name != "melt":
        return
    reserved = {"owner_matches", "one_mint_one_unit", "inputs_unspent", "claim_free"}
    for t in spec.transitions:
        effects = set(t.effects)
        if "reserve_inputs" in effects and not (reserved <= asks(t) and "take_claim" in effects):
            yield t.id
        if t.dest == "prepared" and not (
            {"write_blanks", "write_request"} <= effects and "inputs_cover" in asks(t)
        ):
            yield t.id
        if t.dest == "paying" and "quote_unexpired" not in asks(t):
            yield t.id
        if (
            t.dest == "paid"
            and t.source != t.dest
            and not ("payment_proven" in asks(t) and "store_payment" in effects)
        ):
            yield t.id
        if t.dest == "paid" and t.source not in (*SENT,):
            yield t.id
        if t.dest == "settled" and "store_change" not in effects:
            yield t.id
        if ("strand_inputs" in effects) != ({"not not_in_flight", "forced"} <= asks(t)):
            yield t.id
        given_up = {"record_loss", "spend_inputs", "free_untouched"} <= effects or "strand_inputs" in effects
        freed_before = t.source == "stuck" and "not quote_still_unpaid" in asks(t) and "alarm" in effects
        if t.dest == "written_off" and not (given_up or freed_before):
            yield t.id
        if "store_fenced" in effects and "outputs_verified" not in asks(t):
            yield t.id


def melt_after_sending(spec: Machine[Any]) -> Iterator[object]:
    """``cancel`` is refused, every answer to the request is known, and only PAID waits for proof."""
    if spec.name != "melt":
        return
    answered = {said: spec.facts(quote_state=said) for said in (None, "UNPAID", "PENDING", "PAID")}
    for state in SENT:
        if decide(spec, state, "cancel", answered[None])[0] != "refused":
            yield state, "cancel"
        for event, said in itertools.product(ANSWERS, answered):
            outcome, edge = decide(spec, state, event, answered[said])
            allowed = (
                ("accepted", "absorbed", "refused") if event == "mint_paid" else ("accepted", "absorbed")
            )
            if outcome not in allowed:
                yield state, event, said
            if edge is not None and edge.dest == "paid" and said != "PAID":
                yield edge.id
            if edge is not None and edge.dest not in SENT:
                yield edge.id


RECORDED = {"conserved", "secrets_distinct", "sources_touched"}


def record_frees_only_with_proof(spec: Machine[Any]) -> Iterator[object]:
    """R65: a hold is freed by the caller's word, or when its time is over and the mint called every held proof
    UNSPENT for a settle window. ``cancel`` frees nothing: the caller may have paid."""
    if spec.name != "record":
        return
    for t in spec.transitions:
        effects = set(t.effects)
        over = {"hold_is_over", "held_proven_unspent"} <= asks(t)
        freed = t.source == "held" and (t.event == "unhold" or over)
        for effect in ("release_inputs", "drop_claim"):
            if (effect in effects) != freed or freed != (t.dest == "cancelled"):
                yield t.id, effect
        if t.event.startswith("hold_") and "hold_is_over" not in asks(t):
            yield t.id
        for effect, event in (
            ("stamp_unspent", "hold_seen_unspent"),
            ("forget_unspent", "hold_seen_pending"),
        ):
            if (effect in effects) != (t.event == event):
                yield t.id, effect
    for state in ("held", "settled", "contested", "discrepant"):
        if decide(spec, state, "cancel", spec.facts())[0] != "refused":
            yield state, "cancel"
    ours = {"mint_paid", "mint_unpaid", "mint_refused", "reply_lost"} & {event.name for event in spec.events}
    yield from ours  # no request of ours was sent, so no answer to one is known


def record_drops_nothing_that_was_paid(spec: Machine[Any]) -> Iterator[object]:
    """R66: a payment that adds up is stored whoever has its sources: spent at once when all are free, else
    parked with its keep and change. Sources are spent, freed or given up once, and a loss is told once."""
    if spec.name != "record":
        return
    reserved = {"owner_matches", "one_mint_one_unit", "inputs_unspent", "hold_in_limits", "claim_free"}
    for t in spec.transitions:
        effects = set(t.effects)
        if ("reserve_inputs" in effects) != (t.event == "hold") or (
            t.event == "hold" and not reserved <= asks(t)
        ):
            yield t.id
        whose = {"owner_matches", "one_mint_one_unit"} if t.source == NONE else {"sources_are_the_held"}
        if t.event == "record" and not RECORDED | whose <= asks(t):
            yield t.id
        free = "nothing_contested" in asks(t)
        if t.event == "record" and free == ("not nothing_contested" in asks(t)):
            yield t.id
        for effect, wanted in (
            ("record_melt", t.event == "record" and free),
            ("park_record", t.event == "record" and not free),
            ("spend_contested", t.source == "contested" and "recorded_already" in asks(t)),
            ("strand_inputs", {"not held_not_in_flight", "forced"} <= asks(t)),
            ("free_untouched", "held_not_in_flight" in asks(t)),
            ("spend_inputs", "held_not_in_flight" in asks(t)),
            ("take_claim", t.event in ("hold", "sources_free") or (t.event == "record" and free)),
            ("record_loss", t.event == "write_off" and "not held_not_in_flight" not in asks(t)),
        ):
            if (effect in effects) != wanted:
                yield t.id, effect
        if t.event == "sources_free" and not {"recorded_already", "nothing_contested"} <= asks(t):
            yield t.id
        if t.source == "contested" and t.event == "record" and "not recorded_already" not in asks(t):
            yield t.id
        if t.dest == "written_off" and "not recorded_already" not in asks(t):
            yield t.id
        if t.dest == "settled" and not {"record_melt", "spend_contested"} & effects:
            yield t.id
        if t.dest == "reconciled" and not {"documents_agree", "operator_gave_reason"} & asks(t):
            yield t.id


def what_waits_has_an_end(spec: Machine[Any]) -> Iterator[object]:
    """R327 to R331: in every state that waits for others, what is too old and what makes every drive fail
    has an end, which waits for the proof that it is so; an operator sends on what is parked."""
    if spec.name not in ("melt", "mint", "record", "swap", "receive"):
        return
    given_up = {t.source for t in spec.transitions if (t.event, t.dest) == ("recover", "cancelled")}
    waits = [s for s in spec.states if s.kind == "live" and s.name not in given_up]
    for state in waits:
        for event, asked in (("too_old", "unresolved_too_long"), ("drive_failed", "drives_fail")):
            found = spec.cells.get((state.name, event), ())
            if event == "too_old" and state.name in ("paying", "swapping", "receiving"):
                continue  # the answer, or a restart, leads on first
            if not found:
                yield state.name, event
            for t in found:
                if spec.state(t.dest).kind != "parked" or asks(t) != {asked}:
                    yield t.id
    for t in spec.transitions:
        if t.event == "resume" and not {"restart_patience", "stamp_watch"} & set(t.effects):
            yield t.id
        if t.dest == "rejected" and "record_reason" not in t.effects:
            yield t.id
        if "record_loss" in t.effects and t.event != "write_off":
            yield t.id


def token_is_stamped(spec: Machine[Any]) -> Iterator[object]:
    """Locked exactly while reserved, ``spent_at`` once, and every proof entered in the index once."""
    if spec.name != "token":
        return
    for t in spec.transitions:
        effects, moved = set(t.effects), t.source != t.dest
        locked, stranded = t.source in ("reserved", "awaiting"), t.source == "stranded"
        for effect, wanted in (
            ("set_spent_at", t.dest == "spent" and moved),
            ("set_reserved_by", t.dest == "reserved" and moved),
            ("clear_reserved_by", (locked and t.dest in ("unspent", "failed")) or (stranded and moved)),
            ("index_proofs", (t.source in (NONE, "awaiting")) and t.dest not in ("awaiting", "failed")),
            ("move_proofs", not moved),
        ):
            if (effect in effects) != wanted:
                yield t.id, effect
        counted = {"has_proofs", "total_matches_proofs", "secrets_distinct"} <= asks(t)
        if t.dest in ("unspent", "reserved", "outstanding") and "index_proofs" in effects and not counted:
            yield t.id
        if locked and t.dest in ("unspent", "spent") and "belongs_to_operation" not in asks(t):
            yield t.id
        if t.dest == "spent" and not {
            "consumption_is_proven",
            "mint_says_all_spent",
            "from_migration",
        } & asks(t):
            yield t.id
        if (t.source, t.dest) == ("reserved", "unspent") and "release_is_proven" not in asks(t):
            yield t.id


def mint_issues_once(spec: Machine[Any]) -> Iterator[object]:
    """Outputs are durable before they are sent and verified before they are money; a paid invoice is
    never given up without a person."""
    if spec.name != "mint":
        return
    for t in spec.transitions:
        effects = set(t.effects)
        if ("issue_token" in effects) != (t.dest == "issued") or (
            "issue_token" in effects and "outputs_verified" not in asks(t)
        ):
            yield t.id
        if t.dest == "issuing" and "invoice_is_paid" not in asks(t):
            yield t.id
        if t.dest == "issuing" and t.source not in ("restoring", "attention") and "stamp_paid" not in effects:
            yield t.id
        ends = t.dest in ("rejected", "expired", "cancelled", "written_off")
        if ends != ("fail_token" in effects):
            yield t.id
        watched = {"late_watch_over", "still_unpaid"} <= asks(t)
        if ends and t.source not in ("requested",) and not (watched or "operator_gave_reason" in asks(t)):
            yield t.id
        if t.dest == "lapsed" != t.source and not {"stamp_watch", "count_watch"} & effects:
            yield t.id
        first = "not outputs_written" in asks(t) or t.source in ("quoted", "lapsed")
        written = t.dest == "issuing" and (first or "outputs_useless" in asks(t))
        if ("write_outputs" in effects) != written:
            yield t.id
        says_paid = t.event in ("invoice_paid", "invoice_issued") or "not paid_noted" in asks(t)
        if ("stamp_paid" in effects) != (says_paid and t.event != "invoice_unpaid"):
            yield t.id
        if (t.dest == "written_off") != ("record_loss" in effects):
            yield t.id
        if t.source == NONE and "expect_token" not in effects:
            yield t.id


def swap_makes_once_and_frees_with_proof(spec: Machine[Any]) -> Iterator[object]:
    """R652 to R658: outputs are written once, in the commit that reserves the inputs, and before they are sent;
    the same bytes go again only when nothing is signed, every input is UNSPENT and the window is over; inputs
    are free only then, or after a clear refusal that stands; new tokens need verified signatures."""
    if spec.name != "swap":
        return
    written = {"split_off_keep", "reserve_inputs", "write_swap", "stamp_sent"}
    for t in spec.transitions:
        effects, begins = set(t.effects), (t.source, t.event) == (NONE, "request")
        if begins != bool((written - {"stamp_sent"}) & effects) or (begins and not written <= effects):
            yield t.id
        if begins and not {"balanced", "preflight_clear", "mint_can_restore", "inputs_unspent"} <= asks(t):
            yield t.id
        if (
            t.dest == "swapping"
            and not begins
            and not (
                {"settled_untouched", "tries_left", "not refused_clearly"} <= asks(t)
                and t.source == "restoring"
            )
        ):
            yield t.id
        signed = "outputs_verified" in asks(t)
        if ("store_swapped" in effects) != signed or (t.dest == "settled") != signed:
            yield t.id
        freed = t.source in ("watching", "stuck")
        if signed and ("correct_spent" if freed else "spend_inputs") not in effects:
            yield t.id
        stood = {"refused_clearly", "untouched", "refusal_window_over"} <= asks(t)
        proven = "settled_untouched" in asks(t) or (stood and "not coin_refused" in asks(t))
        if ("release_inputs" in effects) != (t.dest == "watching" and t.source != "stuck" and proven):
            yield t.id
        if t.dest == "watching" != t.source and "stamp_watch" not in effects:
            yield t.id
        alone = stood and "coin_refused" in asks(t)
        if ("strand_inputs" in effects) != (alone or {"forced", "not request_dead"} <= asks(t)):
            yield t.id
        for effect in ("free_untouched", "record_loss"):
            if (effect in effects) != ("request_dead" in asks(t)):
                yield t.id, effect
        if ("note_clear_refusal" in effects) != ("refusal_is_clear" in asks(t)):
            yield t.id
        if ("stamp_unspent" in effects) != (t.event == "refusal_seen"):
            yield t.id
        ended = {"watch_window_over", "operator_gave_reason"} & asks(t) and "nothing_restored" in asks(t)
        if t.dest == "released" and not ended:
            yield t.id
    for state in ("swapping", "restoring", "watching", "settled", "attention", "stuck", "discrepant"):
        if decide(spec, state, "cancel", spec.facts())[0] != "refused":
            yield state, "cancel"


def receive_credits_by_signatures_alone(spec: Machine[Any]) -> Iterator[object]:
    """R730 to R736: outputs are written once, in the first commit, with the claim and before they are sent; the same
    bytes go again only when nothing is signed, every input is UNSPENT and the window is over; a token is stored for
    verified signatures alone; the claim is dropped only where nothing of ours is signed, or by force."""
    if spec.name != "receive":
        return
    written = {"claim_token", "write_receive", "stamp_sent"}
    for t in spec.transitions:
        effects, begins = set(t.effects), (t.source, t.event) == (NONE, "request")
        if begins != bool((written - {"stamp_sent"}) & effects) or (begins and not written <= effects):
            yield t.id
        if begins and not {"not_received", "balanced", "preflight_clear", "mint_can_restore"} <= asks(t):
            yield t.id
        again = {"settled_untouched", "tries_left", "not refused_clearly"} <= asks(t)
        if t.dest == "receiving" and not begins and not (again and t.source == "restoring"):
            yield t.id
        signed = "outputs_verified" in asks(t)
        if ("store_received" in effects) != signed or (t.dest == "settled") != signed:
            yield t.id
        if ("correct_spent" in effects) != (signed and t.source in ("watching", "stuck")):
            yield t.id
        stood = {"refused_clearly", "untouched", "refusal_window_over"} <= asks(t)
        none = {"settled_untouched", "spent_without_us", "nothing_of_ours"} & asks(t)
        lets_go = (
            t.dest == "watching" and t.source != "stuck" and (stood or bool(none))
        ) or "forced" in asks(t)
        if ("let_token_go" in effects) != lets_go:
            yield t.id
        if t.dest == "watching" != t.source and "stamp_watch" not in effects:
            yield t.id
        if ("note_clear_refusal" in effects) != ("refusal_is_clear" in asks(t)):
            yield t.id
        if ("stamp_unspent" in effects) != (t.event == "refusal_seen"):
            yield t.id
        ended = {"watch_window_over", "operator_gave_reason"} & asks(t) and "nothing_restored" in asks(t)
        if t.dest == "not_received" and not ended:
            yield t.id
    for state in ("receiving", "restoring", "watching", "settled", "attention", "stuck", "discrepant"):
        if decide(spec, state, "cancel", spec.facts())[0] != "refused":
            yield state, "cancel"


def check_changes_only_what_was_found(spec: Machine[Any]) -> Iterator[object]:
    """Nothing is corrected, collected, freed or dropped but on what was found, and all of it is told."""
    if spec.name != "check":
        return
    proofs = {
        "corrected": ("correct_spent", {"spent_said_twice"}),
        "collected": ("store_late_change", {"paid_after_all"}),
        "retried": ("free_stranded", {"something_stranded"}),
        "written_off": ("drop_stranded", {"something_stranded"}),
    }
    for t in spec.transitions:
        effects, (done, proof) = set(t.effects), proofs.get(t.dest, (None, set()))
        if done is not None and not (proof <= asks(t) and {done, "record_reason", "alarm"} <= effects):
            yield t.id
        others = {effect for effect, _ in proofs.values()} - {done}
        if t.dest == "collected":
            others -= {"correct_spent"}
        if effects & others or (t.dest == "collected" and "correct_spent" not in effects):
            yield t.id
        if ("record_loss" in effects) != (t.dest == "written_off"):
            yield t.id
        if t.source == NONE and (t.dest == "clean") != ("documents_agree" in asks(t)):
            yield t.id
        if t.dest == "discrepant" and "not documents_agree" not in asks(t):
            yield t.id


MONEY_MOVES = re.compile(
    "spend_|store_(?!quote)|reserve_|release_|strand_|free_|drop_stranded|park_|split_|adopt_|move_|index_|"
    "set_|clear_|issue_|correct_|record_(?!reason)|stamp_sent"
)


def facets_are_what_the_edges_say(spec: Machine[Any]) -> Iterator[object]:
    """R430: inputs are free exactly where an edge freed them and none took them again; only there the outcome
    is known before the end. An alarm is CRITICAL, money HIGH, all else STANDARD. What is written ahead or
    fetched from the mint in flight is no mere look."""
    free = {
        t.dest
        for t in spec.transitions
        if {"release_inputs", "free_untouched", "let_token_go"} & set(t.effects)
        and spec.state(t.dest).kind != "final"
    }
    free |= {
        t.dest
        for t in spec.transitions
        if t.source in free and t.event == "too_old" and spec.state(t.dest).kind == "parked"
    }
    for s in spec.states:
        if s.frees != (s.name in free) or s.settles != (s.frees and s.kind == "live"):
            yield s.name
    for effect in spec.effects:
        money = "HIGH" if MONEY_MOVES.match(effect.name) else "STANDARD"
        if effect.level != ("CRITICAL" if effect.name == "alarm" else money):
            yield effect.name
    origins = {event.name: event.origin for event in spec.events}
    for s in spec.states:
        action = spec.action_in(s.name)
        patient = s.patience in ("payment", "issue", "invoice", "late payment", "watch", "hold", "child")
        if action is not None and (action.reads_only or action.asks_no_mint) and (s.write_ahead or patient):
            yield s.name, action.name
        asked = any(origins.get(t.event) == "mint" for t in spec.transitions if t.source == s.name)
        if action is not None and action.asks_no_mint and asked and not s.waits_for:
            yield s.name, action.name


CLAIMS: tuple[Claim, ...] = (
    nothing_known_moves_nothing, written_ahead_where_requests_leave, a_person_is_told, what_has_ended_stays,
    a_restart_is_answered, melt_frees_only_with_proof, melt_fails_fast_only_on_a_refusal_that_stands,
    melt_pays_only_what_is_its_own, melt_after_sending, record_frees_only_with_proof,
    record_drops_nothing_that_was_paid, what_waits_has_an_end, token_is_stamped, mint_issues_once,
    swap_makes_once_and_frees_with_proof, receive_credits_by_signatures_alone, check_changes_only_what_was_found, facets_are_what_the_edges_say,
)  # fmt: skip


def broken(spec: Machine[Any]) -> str | None:
    """The first claim a declaration breaks, with what breaks it."""
    for claim in CLAIMS:
        for found in claim(spec):
            return f"{claim.__name__}: {found}"
    return None
