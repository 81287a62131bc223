"""The hash that chains an operation's audit records. Pure; the engine and every store use it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from .records import AuditRecord

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
