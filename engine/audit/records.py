"""Audit records: one per transition, chained per operation, and never a secret in them (I7, I12)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from ...machines.spec import Decision, Machine
from ...storage.records import AuditRecord, Operation
from ...storage.rules.audit_hash import audit_hash, document_hash
from .sanitise import HIDDEN, clean_text, sanitise, short

_MONEY_MOVES = frozenset(
    {"spend_inputs", "store_change", "store_fenced", "issue_token", "store_deposit", "record_melt",
     "adopt_split", "index_proofs", "set_spent_at", "move_proofs", "set_reserved_by", "clear_reserved_by",
     "reserve_inputs", "release_inputs", "stamp_sent", "park_record", "spend_contested", "correct_spent",
     "free_untouched", "split_off_keep", "store_payment", "record_loss", "spend_part",
     "strand_part", "strand_inputs", "store_late_change", "free_stranded", "drop_stranded"}
)  # fmt: skip
LEVELS = ("STANDARD", "HIGH", "CRITICAL")
_RETENTION = {"STANDARD": "1y", "HIGH": "7y", "CRITICAL": "10y"}
_YEAR_MS = 365 * 24 * 3600 * 1000


def compliance_level(decision: Decision) -> str:
    """CRITICAL for an alarm, HIGH where money moves, else STANDARD."""
    if "alarm" in decision.effects:
        return "CRITICAL"
    return "HIGH" if _MONEY_MOVES & set(decision.effects) else "STANDARD"


__all__ = ["HIDDEN", "LEVELS", "build", "chained", "clean_text", "compliance_level", "sanitise", "short"]


def build(
    *,
    machine: Machine[Any],
    decision: Decision,
    operation_id: str,
    entity: str,
    version: int,
    seq: int,
    actor: str,
    at: int,
    batch_id: str,
    data: Mapping[str, Any],
) -> AuditRecord:
    """The record of one accepted decision, not yet part of a chain (:func:`chained`). ``version`` is the
    entity's new version."""
    level = compliance_level(decision)
    years = int(_RETENTION[level].removesuffix("y"))
    return AuditRecord(
        id=f"{operation_id}#{seq}",
        operation_id=operation_id,
        seq=seq,
        entity=entity,
        version=version,
        machine=f"{machine.name}@{machine.version}",
        event=decision.event,
        from_state=decision.state,
        to_state=decision.next_state,
        transition=str(decision.transition),
        verdicts={f"{v.transition}:{v.guard}": v.held for v in decision.verdicts},
        actor=actor,
        at=at,
        batch_id=batch_id,
        compliance_level=level,
        retention_policy=_RETENTION[level],
        expires_at=at + years * _YEAR_MS,
        data=sanitise(data),
        prev_hash="",
    )


def chained(
    records: Sequence[AuditRecord], operation: Operation, previous: str
) -> tuple[tuple[AuditRecord, ...], str]:
    """The records of one commit, each with the hash that covers the one before, and the last hash.

    ``previous`` is the hash that the commit follows, ``operation`` the operation as it will be stored: the
    last of its own records is bound to it by ``document_hash`` (R206)."""
    own = f"operation:{operation.id}"
    last = max((n for n, record in enumerate(records) if record.entity == own), default=None)
    done = []
    for n, record in enumerate(records):
        data = record.data
        if n == last:
            data = {**data, "document_hash": document_hash(operation)}
        record = attrs.evolve(record, data=data, prev_hash=previous)
        previous = audit_hash(record)
        done.append(attrs.evolve(record, hash=previous))
    return tuple(done), previous
