"""Reads that a caller names before it makes them, so that a store may answer them together."""

from __future__ import annotations

from attrs import frozen

from ..machines.shown import shown
from .port import AuditQuery, TokenQuery, TombstoneQuery


@frozen
class OperationRead:
    """``operation(operation_id)``."""

    operation_id: str


@frozen
class KeyRead:
    """``operation_by_key(npub, key)``."""

    npub: str
    key: str

    __repr__ = shown


@frozen
class ClaimRead:
    """``operation_by_claim(claim)``."""

    claim: str


@frozen
class DedupRead:
    """``dedup(key)``."""

    key: str


@frozen
class OwnersRead:
    """``proof_owners(keys)``, also for some of these keys."""

    keys: tuple[str, ...]


Read = OperationRead | KeyRead | ClaimRead | DedupRead | OwnersRead | TokenQuery | AuditQuery | TombstoneQuery
"""A query stands for the read that it is made for; one for nothing but token ids also for some of them."""
