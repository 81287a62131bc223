"""Swaps: coins of a wallet exchanged for new coins of the same wallet."""

from __future__ import annotations

from collections.abc import Iterable

from ....machines.spec import Decision
from ....machines.swap.table import SWAP
from ....storage.batch import proof_key
from ....storage.evolve import evolve
from ....storage.port import Reader
from ....storage.records import Operation
from ...checks.foresee import foresee
from ...checks.reconcile import reconcile
from ...loop.drive import Run
from ...loop.evidence import Evidence
from ...loop.kinds import Kind
from ..melt.effects.corrections import correct_spent
from ..shared import effects as shared
from ..shared import exchanging, inputs
from ..shared.exchange_looks import look_before_release, look_before_write_off
from ..shared.freed import spent_meanwhile
from . import actions
from . import effects as own
from . import reconcile as reconciled
from .data import SwapData, swap_of
from .facts import swap_facts
from .outcome import account_of, alarm_of, cost_of, raises, sums_of


def _sent(op: Operation, reader: Reader) -> Iterable[str]:
    """Where the proofs of the request lie by now, once they may have left our inputs."""
    if SWAP.state(op.state).frees:
        return set(reader.proof_owners(map(proof_key, swap_of(op).sent_secrets())).values())
    return ()


def _taken_meanwhile(run: Run, decision: Decision, evidence: Evidence) -> Evidence:
    """Before inputs become free: find those that another operation's late end took."""
    if {"release_inputs", "free_untouched"} & set(decision.effects):
        return evolve(evidence, spent_meanwhile=spent_meanwhile(run))
    return evidence


SWAP_KIND = Kind(
    machines=(SWAP,),
    started_by="Engine.swap",
    facts=swap_facts,
    data=SwapData,
    actions={
        "ask_outcome": actions.ask_outcome,
        "post_swap": exchanging.post_exchange,
        "reconcile": reconcile,
    },
    foresees={"reconcile": foresee},
    effects={
        "alarm": shared.alarm,
        "correct_spent": correct_spent,
        "free_untouched": own.free_untouched,
        "note_clear_refusal": exchanging.note_clear_refusal,
        "record_loss": own.record_loss,
        "record_reason": shared.record_reason,
        "release_inputs": own.release_inputs,
        "reserve_inputs": inputs.reserve_inputs,
        "restart_patience": shared.restart_patience,
        "spend_inputs": own.spend_inputs,
        "split_off_keep": inputs.split_off_keep,
        "stamp_sent": shared.stamp_sent,
        "stamp_unspent": shared.stamp_unspent,
        "stamp_watch": shared.stamp_watch,
        "store_swapped": own.store_swapped,
        "strand_inputs": inputs.strand_inputs,
        "write_swap": own.write_swap,
    },
    tokens=_sent,
    before_effects=_taken_meanwhile,
    pause=exchanging.pause,
    operator_looks={"release": look_before_release, "write_off": look_before_write_off},
    alarm=alarm_of,
    account=account_of,
    raises=raises,
    cost=cost_of,
    sums=sums_of,
    checks=reconciled.CHECKS,
)
