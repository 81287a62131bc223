"""The audit trail of one operation as the steps of a replay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen

from ...machines.spec import Machine
from ...storage.records import AuditRecord, Operation


@frozen
class Trail:
    """The content of a replay. ``operation`` are facts about it in order of telling, ``steps`` the commits'
    transitions of the operation, each with the token records that stand beside it. JSON-ready."""

    machine: str
    operation: tuple[tuple[str, str], ...]
    steps: tuple[Mapping[str, Any], ...]
    verified: bool
    note: str = ""

    def as_model(self) -> dict[str, Any]:
        """The form in which the page carries it."""
        return {
            "machine": self.machine,
            "operation": [list(pair) for pair in self.operation],
            "steps": [dict(step) for step in self.steps],
            "verified": self.verified,
            "note": self.note,
        }


def trail_of(
    operation: Operation,
    records: Sequence[AuditRecord],
    machines: Iterable[Machine[Any]],
    *,
    verified: bool,
    note: str = "",
) -> Trail:
    """The trail of an operation, whose records the caller has sanitised. ``machines`` are those the records
    name; of a machine that is not among them the verdicts are told without what was wanted."""
    known = {f"{machine.name}@{machine.version}": machine for machine in machines}
    facts = [
        ("operation", operation.id),
        ("machine", f"{operation.machine.name}@{operation.machine.version}"),
        ("state", operation.state),
        ("amount", f"{operation.amount} {operation.unit}"),
        ("mint", operation.mint_url),
    ]
    if operation.reason is not None:
        facts.append(("reason", f"{operation.reason.message} [{operation.reason.code}]"))
    return Trail(operation.machine.name, tuple(facts), tuple(_steps(records, known)), verified, note)


def _steps(records: Sequence[AuditRecord], known: Mapping[str, Machine[Any]]) -> Iterable[Mapping[str, Any]]:
    """Each transition of the operation with the token records of its commit: those that follow it, and for
    the first of a commit also those before it. A commit of tokens alone is a step of its own."""
    steps: list[tuple[AuditRecord | None, list[AuditRecord]]] = []
    batch = ""
    for record in sorted(records, key=lambda record: record.seq):
        is_token = record.entity.startswith("token:")
        fresh = record.batch_id != batch
        batch = record.batch_id
        if is_token and fresh:
            steps.append((None, [record]))
        elif is_token:
            steps[-1][1].append(record)
        elif not fresh and steps[-1][0] is None:
            steps[-1] = (record, steps[-1][1])
        else:
            steps.append((record, []))
    for own, tokens in steps:
        told = [_told(record, known) for record in tokens]
        yield {"own": None if own is None else _told(own, known), "tokens": told}


def _told(record: AuditRecord, known: Mapping[str, Machine[Any]]) -> dict[str, Any]:
    machine = known.get(record.machine)
    return {
        "seq": record.seq,
        "entity": record.entity.partition(":")[2],
        "machine": record.machine,
        "event": record.event,
        "from": record.from_state,
        "to": record.to_state,
        "transition": record.transition,
        "verdicts": _verdicts(record, machine),
        "actor": record.actor,
        "at": record.at,
        "level": record.compliance_level,
        "batch": record.batch_id,
        "facts": dict(record.data),
        "hash": record.hash,
    }


def _verdicts(record: AuditRecord, machine: Machine[Any] | None) -> list[list[Any]]:
    """``[transition, guard, wanted, held]`` in the order in which the machine asks; ``wanted`` is null for
    what the machine does not declare."""
    left = dict(record.verdicts)
    found: list[list[Any]] = []
    for edge in machine.cells.get((record.from_state, record.event), ()) if machine else ():
        for guards, wanted in ((edge.requires, True), (edge.forbids, False)):
            for guard in guards:
                held = left.pop(f"{edge.id}:{guard.name}", None)
                if held is not None:
                    found.append([edge.id, guard.name, wanted, held])
    for name, held in sorted(left.items()):
        transition, _, asked = name.rpartition(":")
        found.append([transition, asked, None, held])
    return found
