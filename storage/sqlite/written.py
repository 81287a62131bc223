"""The rows that a thread remembers: those of its last operation's commits, and the proofs of a few tokens
that it wrote or read lately; of an operation the row that it decoded last. A row that holds the very same
values needs no decoding: what it stands for is known.

Every value of a row is compared first, so the store alone says what is stored. Decoding is the inverse of
writing (R564), so a row with equal values is decoded to an equal record. A record holds mappings that its
receiver could change, so the memory keeps copies of its own, and gives copies away."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Final

from ..data import as_data
from ..evolve import evolve
from ..records import AuditRecord, Lease, Operation, Proof
from ..rules.plain import plain

TOKENS_MAX: Final = 64
PROOFS_TEXT_MAX: Final = 4096
"""Characters of the proofs of one token, beyond which they are not remembered."""


class Written(threading.local):
    """The memory of one thread."""

    def __init__(self) -> None:
        self._operation: tuple[tuple[Any, ...], Operation] | None = None
        self._audit: dict[str, tuple[tuple[Any, ...], AuditRecord]] = {}
        self._of = ""  # the operation whose audit records these are
        self._proofs: dict[str, tuple[str, tuple[Proof, ...]]] = {}

    def note_operation(self, values: tuple[Any, ...], operation: Operation) -> None:
        """``values``: its row without the lease."""
        self._operation = (values, _operation_apart(operation))

    def operation(self, values: tuple[Any, ...], lease: Sequence[Any]) -> Operation | None:
        """The operation of this row; None: it is another one, or has another lease."""
        if self._operation is None or self._operation[0] != values:
            return None
        operation = self._operation[1]
        worker, until, term = lease
        held = None if worker is None else Lease(worker, until, term)
        return _operation_apart(operation) if operation.lease == held else None

    def note_audit(self, row: tuple[Any, ...], record: AuditRecord) -> None:
        """The rows of one operation are kept, until the thread writes one of another operation."""
        if self._of != record.operation_id:
            self._of, self._audit = record.operation_id, {}
        self._audit[record.id] = (row, _record_apart(record))

    def audit(self, row: Sequence[Any]) -> AuditRecord | None:
        """The record of this row; None: it is another one."""
        known = self._audit.get(row[0])
        return _record_apart(known[1]) if known is not None and known[0] == tuple(row) else None

    def note_proofs(self, token_id: str, text: str, proofs: tuple[Proof, ...]) -> None:
        """The proofs of a token, and their text in its row."""
        self._proofs.pop(token_id, None)
        if len(text) <= PROOFS_TEXT_MAX:
            self._proofs[token_id] = (text, proofs)
            if len(self._proofs) > TOKENS_MAX:
                del self._proofs[next(iter(self._proofs))]

    def proofs(self, token_id: str, text: Any) -> tuple[Proof, ...] | None:
        """The proofs that this text stands for; None: it is another one."""
        known = self._proofs.get(token_id)
        return known[1] if known is not None and known[0] == text else None


def _operation_apart(operation: Operation) -> Operation:
    reason = operation.reason
    if reason is not None and reason.details:
        reason = evolve(reason, details=plain(reason.details))
    data = as_data(operation.data).apart()
    return evolve(operation, data=data, timings=dict(operation.timings), reason=reason)


def _record_apart(record: AuditRecord) -> AuditRecord:
    return evolve(record, data=plain(record.data), verdicts=dict(record.verdicts))


WRITTEN: Final = Written()
