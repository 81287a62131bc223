"""A batch: everything one commit changes, as plain data. Applying it twice changes nothing more."""

from __future__ import annotations

import hashlib
from typing import Generic, TypeVar

from attrs import frozen

from ..machines.shown import shown
from .records import AuditRecord, DedupRecord, Operation, Token
from .secret import Secret

R = TypeVar("R", Operation, Token)


def proof_key(secret: Secret) -> str:
    """Key of a proof in the proof index: hex SHA-256 of its secret, which alone fixes its Y (NUT-00).
    The mint's address plays no part: one mint has many spellings, and a proof is money only once."""
    return hashlib.sha256(secret.reveal().encode("utf-8", "surrogatepass")).hexdigest()


@frozen
class Insert(Generic[R]):
    """A record that must not exist yet. ``after.version`` is the number of its audit records."""

    after: R


@frozen
class Advance(Generic[R]):
    """Compare-and-set: applied only if the stored record still has ``before``'s state and version.
    Only fields that differ are written, so a lease taken meanwhile is not overwritten."""

    before: R
    after: R

    __repr__ = shown


@frozen
class IndexInsert:
    """These proofs enter the store, in this token. A key that exists is ``Duplicate("proof")``."""

    keys: tuple[str, ...]
    token_id: str

    __repr__ = shown


@frozen
class IndexMove:
    """These proofs leave one token document for another; each must be in ``from_token``."""

    keys: tuple[str, ...]
    from_token: str
    to_token: str

    __repr__ = shown


@frozen
class DedupTake:
    """Hold ``record.key``: a fresh insert when ``previous`` is None, else taken over from it by
    compare-and-set (operation_id and expires_at both still as in ``previous``)."""

    record: DedupRecord
    previous: DedupRecord | None = None

    __repr__ = shown


@frozen
class Batch:
    """One operation's commit (requirement: every batch belongs to exactly one operation)."""

    id: str
    operation: Insert[Operation] | Advance[Operation]
    tokens: tuple[Insert[Token] | Advance[Token], ...] = ()
    index: tuple[IndexInsert | IndexMove, ...] = ()
    dedup: DedupTake | None = None
    audit: tuple[AuditRecord, ...] = ()

    __repr__ = shown
