"""Melts that the caller makes itself: held, recorded, or taken back."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from ....machines.record.table import RECORD
from ....machines.spec import Decision
from ....storage.batch import proof_key
from ....storage.port import Reader
from ....storage.records import Operation
from ...checks.foresee import foresee
from ...checks.reconcile import reconcile
from ...loop.drive import Run
from ...loop.evidence import Evidence
from ...loop.kinds import Kind
from ..shared import effects as shared
from ..shared import inputs
from ..shared.freed import spent_meanwhile
from . import effects as own
from . import reconcile as reconciled
from .data import RecordData, record_of
from .facts import record_facts
from .last_look import look_before_write_off
from .outcome import alarm_of, cost_of, sums_of
from .watch import watch_hold, watch_sources


def _consumed(op: Operation, reader: Reader) -> Iterable[str]:
    """Where the consumed proofs of a contested payment lie by now: other operations hold some of them."""
    if op.state != "contested":
        return ()
    return set(reader.proof_owners(map(proof_key, record_of(op).sent_secrets())).values())


def _taken_meanwhile(run: Run, decision: Decision, evidence: Evidence) -> Evidence:
    """Before held tokens become free without the mint's word: the proofs that a late end of another operation
    took of them."""
    if decision.event == "unhold" or "free_untouched" in decision.effects:
        return attrs.evolve(evidence, spent_meanwhile=spent_meanwhile(run))
    return evidence


RECORD_KIND = Kind(
    machines=(RECORD,),
    started_by="Engine.hold and Engine.record_melt",
    facts=record_facts,
    data=RecordData,
    actions={"reconcile": reconcile, "watch_hold": watch_hold, "watch_sources": watch_sources},
    foresees={"reconcile": foresee},
    effects={
        "alarm": shared.alarm,
        "drop_claim": shared.drop_claim,
        "forget_unspent": shared.forget_unspent,
        "free_untouched": own.free_untouched,
        "park_record": own.park_record,
        "record_loss": own.record_loss,
        "record_melt": own.record_melt,
        "record_reason": shared.record_reason,
        "release_inputs": own.release_inputs,
        "reserve_inputs": inputs.reserve_inputs,
        "spend_contested": own.spend_contested,
        "spend_inputs": own.spend_inputs,
        "stamp_unspent": shared.stamp_unspent,
        "strand_inputs": inputs.strand_inputs,
        "take_claim": own.take_claim,
    },
    tokens=_consumed,
    before_effects=_taken_meanwhile,
    waits_until=lambda op: record_of(op).hold_until,
    operator_looks={"write_off": look_before_write_off},
    alarm=alarm_of,
    account=lambda op: record_of(op).account(),
    cost=cost_of,
    sums=sums_of,
    checks=reconciled.CHECKS,
)
