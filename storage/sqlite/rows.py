"""Records to SQLite rows and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ...machines.token.table import STATUS_OF_STATE
from ..records import AuditRecord, Operation, Token, Tombstone
from ..rules.codec import corrupt, from_plain, load_json, to_plain
from ..rules.plain import dump_json
from ..rules.quick import audit_from_plain, token_from_plain
from .schema import (
    AUDIT_COLUMNS,
    LEASE_COLUMNS,
    MACHINE_COLUMNS,
    OPERATION_COLUMNS,
    TOKEN_COLUMNS,
    TOMBSTONE_COLUMNS,
)
from .written import WRITTEN

OPERATION_SELECT: Final = ", ".join((*OPERATION_COLUMNS, *MACHINE_COLUMNS, *LEASE_COLUMNS, "doc"))
_LEASE_AT: Final = len(OPERATION_COLUMNS) + len(MACHINE_COLUMNS)
TOKEN_SELECT: Final = ", ".join((*TOKEN_COLUMNS, "proofs", "metadata"))
AUDIT_SELECT: Final = ", ".join((*AUDIT_COLUMNS, "doc"))
TOMBSTONE_SELECT: Final = ", ".join((*TOMBSTONE_COLUMNS, "spans"))


def operation_row(operation: Operation) -> dict[str, Any]:
    """Column -> value for a whole operation."""
    document = to_plain(operation)
    lease, machine = document.pop("lease"), document.pop("machine")
    row = {name: document.pop(name) for name in OPERATION_COLUMNS}
    row |= {"machine_version": machine["version"], "machine_hash": machine["hash"]}
    row |= lease_row(lease)
    row["doc"] = dump_json(document)
    return row


def lease_row(lease: dict[str, Any] | None) -> dict[str, Any]:
    """Column -> value of a lease. Without one the term stays as it is: it only grows."""
    if lease is None:
        return {"lease_worker": None, "lease_until": None}
    return {
        "lease_worker": lease["worker"],
        "lease_until": lease["until"],
        "lease_term": lease["term"],
    }


def operation_from_row(row: Sequence[Any]) -> Operation:
    """The operation; CorruptRecord if the row does not hold exactly one."""
    at = _LEASE_AT
    known = WRITTEN.operation((*row[:at], row[-1]), row[at:-1])
    if known is not None:
        return known
    name = f"operation:{row[0]}"
    document = load_json(row[-1], name, "doc")
    if not isinstance(document, dict):
        raise corrupt(name, "doc")
    columns = dict(zip((*OPERATION_COLUMNS, *MACHINE_COLUMNS, *LEASE_COLUMNS), row, strict=False))
    version, content_hash = (columns.pop(column) for column in MACHINE_COLUMNS)
    columns["machine"] = {"name": columns["kind"], "version": version, "hash": content_hash}
    worker, until, term = (columns.pop(column) for column in LEASE_COLUMNS)
    columns["lease"] = None if worker is None else {"worker": worker, "until": until, "term": term}
    operation = from_plain(Operation, document | columns, name)
    # Only a row that was decoded: code of a kind writes fields of an operation, perhaps of a wrong type.
    WRITTEN.note_operation((*row[:at], row[-1]), operation)
    return operation


def token_row(token: Token) -> dict[str, Any]:
    """Column -> value for a whole token."""
    row = to_plain(token)
    row["status"] = STATUS_OF_STATE[token.state]
    row["proofs"] = dump_json(row["proofs"])
    row["metadata"] = dump_json(row["metadata"])
    WRITTEN.note_proofs(token.transaction_id, row["proofs"], token.proofs)
    return row


def token_from_row(row: Sequence[Any]) -> Token:
    """The token; CorruptRecord if the row does not hold exactly one."""
    name = f"token:{row[0]}"
    document = dict(zip(TOKEN_COLUMNS, row, strict=False))
    document["metadata"] = load_json(row[-1], name, "metadata")
    known = WRITTEN.proofs(row[0], row[-2])
    if known is not None:
        return token_from_plain(document | {"proofs": []}, name, proofs=known)
    document["proofs"] = load_json(row[-2], name, "proofs")
    token = token_from_plain(document, name)
    WRITTEN.note_proofs(row[0], row[-2], token.proofs)
    return token


def audit_row(record: AuditRecord, canonical: str) -> tuple[Any, ...]:
    """Values of AUDIT_COLUMNS and the document, which is kept as the very text that was hashed."""
    row = (*(getattr(record, name) for name in AUDIT_COLUMNS), canonical)
    WRITTEN.note_audit(row, record)
    return row


def audit_from_row(row: Sequence[Any]) -> AuditRecord:
    """The audit record; CorruptRecord if the columns and the hashed text disagree."""
    known = WRITTEN.audit(row)
    if known is not None:
        return known
    columns = dict(zip(AUDIT_COLUMNS, row, strict=False))
    name = f"audit record {columns['id']}"
    document = load_json(row[-1], name, "doc")
    if not isinstance(document, dict):
        raise corrupt(name, "doc")
    document["hash"] = columns["hash"]
    for column, value in columns.items():
        if document.get(column) != value:
            raise corrupt(name, column)
    return audit_from_plain(document, name)


def tombstone_row(tombstone: Tombstone) -> dict[str, Any]:
    """Column -> value for a whole tombstone."""
    row = to_plain(tombstone)
    row["spans"] = dump_json(row["spans"])
    return row


def tombstone_from_row(row: Sequence[Any]) -> Tombstone:
    """The tombstone; CorruptRecord if the row does not hold exactly one."""
    name = f"tombstone {row[0]}"
    document = dict(zip(TOMBSTONE_COLUMNS, row, strict=False))
    document["spans"] = load_json(row[-1], name, "spans")
    return from_plain(Tombstone, document, name)
