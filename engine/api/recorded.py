"""The result of recording a melt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from ...storage.port import AuditQuery, Reader
from ...storage.records import Operation
from ..audit.verify import records_of
from ..loop.draft import token_entity
from ..operations.record.data import record_of
from ..tokens.token_ids import split_id
from .handle import Handle


@frozen(eq=False)
class RecordedMelt:
    """A recorded melt. Amounts in the operation's unit; ``handle`` is its operation."""

    success: bool
    transaction_id: str
    source_tokens_spent: int
    keep_token_id: str | None
    keep_amount: int
    melt_change_token_id: str | None
    melt_change_amount: int
    operations: tuple[Mapping[str, Any], ...]
    handle: Handle

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready and free of secrets."""
        return {
            "success": self.success,
            "transaction_id": self.transaction_id,
            "source_tokens_spent": self.source_tokens_spent,
            "keep_token_id": self.keep_token_id,
            "keep_amount": self.keep_amount,
            "melt_change_token_id": self.melt_change_token_id,
            "melt_change_amount": self.melt_change_amount,
            "operations": [dict(made) for made in self.operations],
        }


def recorded_melt(store: Reader, handle: Handle) -> RecordedMelt:
    """The result as it was when it was recorded, however its tokens were used since."""
    op = handle.record
    data = record_of(op)
    kept = [("keep_change", data.keep_token_id, data.keep_total), *_kept_later(store, op)]
    named = [name for _, name, _ in kept if name is not None]
    made = (*kept, ("melt_change", data.change_token_id, data.change_amount))
    return RecordedMelt(
        success=True,
        transaction_id=op.id,
        source_tokens_spent=len(op.inputs),
        keep_token_id=named[0] if named else None,
        keep_amount=sum(amount for _, _, amount in kept),
        melt_change_token_id=data.change_token_id,
        melt_change_amount=data.change_amount,
        operations=tuple(
            {"type": kind, "token_id": name, "amount": amount, "proof_count": _born_with(store, name)}
            for kind, name, amount in made
            if name is not None
        ),
        handle=handle,
    )


def _kept_later(store: Reader, op: Operation) -> list[tuple[str, str | None, int]]:
    """The kept parts of sources that were free only after the record: tokens of their own."""
    born = [r for r in records_of(store, op.id) if r.version == 1]
    return [
        ("keep_change", record.entity.partition(":")[2], int(record.data.get("amount", 0)))
        for record in born
        if record.entity.startswith(token_entity(split_id(op.id, 0))[:-1])
    ]


def _born_with(store: Reader, token_id: str) -> int:
    """How many proofs the token was made with: from its first audit record, for it may be split since."""
    for record in store.audit(AuditQuery(entity=token_entity(token_id), limit=1)):
        if record.version == 1 and "proof_count" in record.data:
            return int(record.data["proof_count"])
    token = store.token(token_id)
    return len(token.proofs) if token is not None else 0
