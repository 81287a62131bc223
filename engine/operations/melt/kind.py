"""Melts: a Lightning invoice paid with ecash."""

from __future__ import annotations

from collections.abc import Iterable

from ....machines.melt.table import MELT
from ....machines.spec import Decision
from ....storage.batch import proof_key
from ....storage.evolve import evolve
from ....storage.port import Reader
from ....storage.records import Operation
from ...checks.foresee import foresee
from ...checks.reconcile import reconcile
from ...loop.drive import Run
from ...loop.evidence import Evidence
from ...loop.kinds import Kind
from ..shared import effects as shared
from ..shared import inputs as tokens
from ..shared.freed import spent_meanwhile
from . import reconcile as reconciled
from .actions import change, fence, pay, quote, refusal
from .data import MeltData, melt_of
from .effects import inputs, money
from .effects.corrections import correct_spent
from .facts import melt_facts
from .fences import left_inputs
from .last_look import look_before_release, look_before_write_off
from .outcome import alarm_of, cost_of, raises, was_refused
from .sums import sums_of


def _sent(op: Operation, reader: Reader) -> Iterable[str]:
    """Where the proofs of the request lie by now, once they may have left our inputs."""
    if MELT.state(op.state).frees:
        return set(reader.proof_owners(map(proof_key, melt_of(op).sent_secrets())).values())
    return ()


def _taken_meanwhile(run: Run, decision: Decision, evidence: Evidence) -> Evidence:
    """Before inputs become free without the mint's word: find those that another operation's late end
    took."""
    if inputs.lets_go(decision) or "free_untouched" in decision.effects:
        return evolve(evidence, spent_meanwhile=spent_meanwhile(run))
    return evidence


def _due_at(op: Operation) -> int | None:
    """A prepared melt ends with its quote."""
    return op.quote.expires_at if op.state == "prepared" and op.quote is not None else None


def _pause(run: Run, seconds: float) -> float:
    """The next look comes at the latest when the settle window is over."""
    sent = run.elapsed().send_clock
    waits = sent.may_arrive and run.operation.state in ("unknown", "pending")
    return min(seconds, sent.left_s + 0.01) if waits else seconds


MELT_KIND = Kind(
    machines=(MELT,),
    started_by="Engine.melt",
    facts=melt_facts,
    data=MeltData,
    actions={
        "ask_quote": quote.ask_quote,
        "ask_state": pay.ask_state,
        "choose_inputs": quote.choose_inputs,
        "collect_change": change.collect_change,
        "confirm_refusal": refusal.confirm_refusal,
        "post_fence": fence.post_fence,
        "post_melt": pay.post_melt,
        "reconcile": reconcile,
        "resolve_unpaid": fence.resolve_unpaid,
        "run_child": quote.run_child,
        "start": quote.start,
    },
    foresees={"reconcile": foresee},
    effects={
        "adopt_split": inputs.adopt_split,
        "alarm": shared.alarm,
        "correct_spent": correct_spent,
        "drop_claim": money.drop_claim,
        "end_fence": money.end_fence,
        "forget_unspent": shared.forget_unspent,
        "free_untouched": inputs.free_untouched,
        "note_refusal": money.note_refusal,
        "record_loss": money.record_loss,
        "record_reason": shared.record_reason,
        "release_inputs": inputs.release_inputs,
        "reserve_inputs": tokens.reserve_inputs,
        "restart_patience": shared.restart_patience,
        "spend_inputs": inputs.spend_inputs,
        "spend_part": inputs.spend_part,
        "split_off_keep": tokens.split_off_keep,
        "stamp_empty": money.stamp_empty,
        "stamp_refusal": money.stamp_refusal,
        "stamp_sent": shared.stamp_sent,
        "stamp_unspent": shared.stamp_unspent,
        "stamp_watch": shared.stamp_watch,
        "store_change": money.store_change,
        "store_fenced": money.store_fenced,
        "store_payment": money.store_payment,
        "store_quote": money.store_quote,
        "strand_inputs": tokens.strand_inputs,
        "strand_part": inputs.strand_part,
        "take_claim": money.take_claim,
        "write_blanks": inputs.write_blanks,
        "write_fence": money.write_fence,
        "write_request": inputs.write_request,
    },
    tokens=_sent,
    left_inputs=left_inputs,
    before_effects=_taken_meanwhile,
    due_at=_due_at,
    pause=_pause,
    operator_looks={"release": look_before_release, "write_off": look_before_write_off},
    alarm=alarm_of,
    account=lambda op: melt_of(op).account(),
    was_refused=was_refused,
    raises=raises,
    cost=cost_of,
    sums=sums_of,
    checks=reconciled.CHECKS,
)
