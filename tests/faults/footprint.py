"""What a batch leaves in a store, in a form that fits through a pipe: enough to tell afterwards
whether all of it, some of it or nothing of it is there."""

from __future__ import annotations

import json
from typing import Self

from attrs import asdict, frozen

from nutstate.storage.batch import Batch, IndexInsert


@frozen
class TokenPrint:
    """A token as the batch leaves it."""

    id: str
    version: int
    state: str
    reserved_by: str | None


@frozen
class Footprint:
    """Everything one batch writes."""

    batch: str
    operation: str
    version: int
    audit_hash: str
    audit: tuple[str, ...]
    tokens: tuple[TokenPrint, ...]
    keys: tuple[tuple[str, str], ...]  # proof key, the token that holds it afterwards
    dedup: str | None

    @classmethod
    def of(cls, batch: Batch) -> Self:
        """The footprint of a batch that is about to be sent."""
        after = batch.operation.after
        return cls(
            batch.id,
            after.id,
            after.version,
            after.audit_hash,
            tuple(record.id for record in batch.audit),
            tuple(
                TokenPrint(t.transaction_id, t.version, t.state, t.reserved_by)
                for t in (change.after for change in batch.tokens)
            ),
            tuple(
                (key, change.token_id if isinstance(change, IndexInsert) else change.to_token)
                for change in batch.index
                for key in change.keys
            ),
            batch.dedup.record.key if batch.dedup else None,
        )

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Self:
        """The opposite of :meth:`to_json`."""
        plain = json.loads(line)
        plain["audit"] = tuple(plain["audit"])
        plain["tokens"] = tuple(TokenPrint(**token) for token in plain["tokens"])
        plain["keys"] = tuple((key, token) for key, token in plain["keys"])
        return cls(**plain)
