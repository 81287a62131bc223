"""Audit records: one per transition, chained per operation, and never a secret in them (I7, I12)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from ...machines.spec import Decision, Level, Machine
from ...storage.evolve import evolve
from ...storage.records import AuditRecord, Operation
from ...storage.rules.audit_hash import continued, document_hash
from .sanitise import HIDDEN, clean_text, sanitise, short

LEVELS: tuple[str, ...] = get_args(Level)
_RETENTION = {"STANDARD": "1y", "HIGH": "7y", "CRITICAL": "10y"}
_YEAR_MS = 365 * 24 * 3600 * 1000


__all__ = ["HIDDEN", "LEVELS", "build", "chained", "clean_text", "sanitise", "short"]


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
    level = machine.level(decision.effects)
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
    if last is not None:
        data = {**records[last].data, "document_hash": document_hash(operation)}
        records = [*records[:last], evolve(records[last], data=data), *records[last + 1 :]]
    done = continued(records, previous)
    return done, done[-1].hash if done else previous
