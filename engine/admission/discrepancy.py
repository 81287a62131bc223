"""Operations whose documents contradict one another, and tokens that lost value to a correction."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from ...machines.check.table import CHECK, DISCREPANT, RESOLVED
from ...machines.token.states import CORRECT_SPENT
from ...storage.port import AuditQuery, OperationQuery, Reader, Store
from ...storage.records import Operation, Token
from ..audit.verify import every_record


def open_discrepancies(store: Store, npub: str) -> dict[str, str]:
    """Operations of a wallet whose documents contradict one another, each with the parked operation
    that says so: itself, or the check that looked at it."""
    found: dict[str, str] = {}
    query = OperationQuery(npub=npub, states=(DISCREPANT,), limit=1000)
    while True:
        page = store.operations(query)
        for op in page:
            found[op.id] = op.id
            if op.parent_id is not None:
                found[op.parent_id] = op.id
        if len(page) < query.limit:
            return found
        query = attrs.evolve(query, after=(page[-1].created_at, page[-1].id))


def touched_by(store: Store, token: Token) -> set[str]:
    """Every operation that changed, holds, or is the parent of a token."""
    trail = every_record(store, AuditQuery(entity=f"token:{token.transaction_id}", home=token.npub))
    named = {token.reserved_by, token.metadata.parent_transaction_id} - {None}
    return {record.operation_id for record in trail} | {str(name) for name in named}


def corrected_sources(store: Store, ids: Iterable[str], home: str) -> tuple[str, ...]:
    """The tokens among these, all of the wallet ``home``, that lost value because the mint called proofs
    SPENT."""
    return tuple(token_id for token_id in ids if _was_corrected(store, token_id, home))


def _was_corrected(store: Store, token_id: str, home: str) -> bool:
    trail = list(every_record(store, AuditQuery(entity=f"token:{token_id}", home=home)))
    if any(record.event == CORRECT_SPENT for record in trail):
        return True
    batches = {record.batch_id for record in trail if record.event == "split"}
    return any(
        record.event == CORRECT_SPENT
        for batch_id in sorted(batches)
        for record in every_record(store, AuditQuery(batch_id=batch_id, home=home))
    )


def told_of(reader: Reader, op: Operation) -> Operation | None:
    """The open check that tells of a contradiction in the operation's documents, or the operation itself when
    it is parked with one. None when nothing tells of one."""
    told = reader.operations(
        OperationQuery(parent_id=op.id, kind=CHECK.name, states=(DISCREPANT,), limit=1, home=op.npub)
    )
    return told[0] if told else op if op.state == DISCREPANT else None


def settled_before(reader: Reader, op: Operation) -> str:
    """The id of the last check of the operation that an operator settled. Empty: no check was settled."""
    settled = reader.operations(
        OperationQuery(parent_id=op.id, kind=CHECK.name, states=(RESOLVED,), limit=1, home=op.npub)
    )
    return settled[0].id if settled else ""
