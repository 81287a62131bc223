"""The hash that chains an operation's audit records, the one that ties a token to them, and the proof on a
tombstone. Pure."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

import attrs

from .batch import proof_key
from .records import AuditRecord, Token, Tombstone

_HASHED = tuple(sorted(set(AuditRecord.__annotations__) - {"hash"}))


def _mapping(value: object) -> dict[Any, Any]:
    # json knows dict only; records may hold any Mapping. The value stays out of the text.
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


_ENCODER = json.JSONEncoder(
    sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_mapping
)


def audit_canonical(record: AuditRecord) -> str:
    """Canonical JSON of ``record`` without ``hash``: field names as in :class:`AuditRecord`, keys
    sorted at every depth, no spaces, nothing escaped that UTF-8 can carry."""
    return _ENCODER.encode({name: getattr(record, name) for name in _HASHED})


def audit_hash(record: AuditRecord) -> str:
    """Hex SHA-256 of :func:`audit_canonical`. ``record.hash`` itself does not matter."""
    return hashlib.sha256(audit_canonical(record).encode()).hexdigest()


def token_hash(token: Token) -> str:
    """Hex SHA-256 of whose money ``token`` is and of what it consists: owner, wallet, mint, unit, type,
    parent, reservation and, of each proof, key, amount, keyset and (hashed) signature. It stands in the
    token's audit records, so that a document changed behind their back is seen; no secret can be had
    from it."""
    proofs = sorted([proof_key(p.secret), p.amount, p.id, proof_key(p.C)] for p in token.proofs)
    parts = [
        *(token.transaction_id, token.npub, token.wallet_id, token.mint_url, token.unit),
        *(token.transaction_type, token.metadata.parent_transaction_id, token.reserved_by, proofs),
    ]
    return hashlib.sha256(_ENCODER.encode(parts).encode()).hexdigest()


def tombstone_canonical(tombstone: Tombstone) -> str:
    """Canonical JSON of ``tombstone`` without ``mac``, in the form of :func:`audit_canonical`."""
    return _ENCODER.encode({k: v for k, v in attrs.asdict(tombstone).items() if k != "mac"})


def tombstone_mac(tombstone: Tombstone, key: bytes) -> str:
    """Hex HMAC-SHA256 of :func:`tombstone_canonical`. ``tombstone.mac`` itself does not matter."""
    return hmac.new(key, tombstone_canonical(tombstone).encode(), hashlib.sha256).hexdigest()
