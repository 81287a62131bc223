"""The audit trail of an operation, and whether it is whole."""

from __future__ import annotations

from collections.abc import Sequence

from ..storage.audit_hash import audit_hash
from ..storage.port import AuditQuery, Store
from ..storage.records import AuditRecord, Operation


def at_one_moment(store: Store, operation: Operation) -> tuple[Operation, tuple[AuditRecord, ...]]:
    """The operation as it is now and its trail, from one snapshot: read one after the other they would
    contradict each other whenever somebody else goes on with it in between."""
    with store.snapshot() as reader:
        now = reader.operation(operation.id) or operation
        return now, tuple(reader.audit(AuditQuery(operation_id=operation.id)))


def chain_holds(operation: Operation, records: Sequence[AuditRecord]) -> bool:
    """Whether the records are complete, in order, each hash covers the one before, and the last one is
    the end that the operation names (a trail whose tail was cut is not whole)."""
    previous = ""
    for seq, record in enumerate(records, 1):
        if record.seq != seq or record.prev_hash != previous or audit_hash(record) != record.hash:
            return False
        previous = record.hash
    return len(records) == operation.audit_seq and previous == operation.audit_hash
