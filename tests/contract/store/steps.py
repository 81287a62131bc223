"""Short ways to put a store into a state. Each returns the stored records."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from nutstate.storage.batch import Batch
from nutstate.storage.port import Store
from nutstate.storage.records import AuditRecord, Operation, Token
from nutstate.storage.rules.audit_hash import audit_hash
from nutstate.storage.testing.records import batch_for, make_operation


def put(store: Store, *tokens: Token, operation: Operation | None = None) -> tuple[Operation, list[Token]]:
    """Insert an operation (default: a deposit with its own id) and tokens."""
    if operation is None:
        name = tokens[0].transaction_id if tokens else "nothing"
        operation = make_operation(f"deposit-{name}", kind="deposit", state="deposited")
    batch = batch_for(operation, tokens=tokens)
    store.commit(batch)
    return after(batch)


def after(batch: Batch) -> tuple[Operation, list[Token]]:
    """The records as the batch leaves them."""
    return batch.operation.after, [change.after for change in batch.tokens]


def reserved(token: Token, by: str = "tx-1", **fields: Any) -> tuple[Token, Token]:
    """The advance that reserves a token."""
    return token, evolve(token, state="reserved", reserved_by=by, **fields)


def spent(token: Token, at: int = 5) -> tuple[Token, Token]:
    """The advance that spends a token."""
    return token, evolve(token, state="spent", spent_at=at)


def rechained(batch: Batch, *records: AuditRecord) -> Batch:
    """The batch with these audit records, hashed and chained again."""
    before = getattr(batch.operation, "before", None)
    previous = before.audit_hash if before is not None else ""
    chained = []
    for record in records:
        record = evolve(record, prev_hash=previous)
        record = evolve(record, hash=audit_hash(record))
        previous = record.hash
        chained.append(record)
    operation = evolve(
        batch.operation, after=evolve(batch.operation.after, audit_hash=previous, audit_seq=chained[-1].seq)
    )
    return evolve(batch, operation=operation, audit=tuple(chained))


def shown(error: BaseException | None) -> str:
    """All that a log, a traceback or an error tracker could show of an exception and its causes."""
    text = ""
    while error is not None:
        text += f"{error!s} {error!r} {error.__dict__!r} {getattr(error, 'object', '')!r}"
        error = error.__cause__ or error.__context__
    return text
