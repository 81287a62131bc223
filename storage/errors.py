"""The common base of every error nutstate raises, and the storage family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class NutstateError(Exception):
    """Base of the three families ``Refused``, ``MintError`` and ``StorageError``.

    ``code`` is stable, ``severity`` one of LOW MEDIUM HIGH CRITICAL, ``retryable`` says whether the
    same call may succeed later, ``details`` holds only values that are safe to print.
    """

    code: str = "NUTSTATE_ERROR"
    severity: str = "HIGH"
    retryable: bool = False

    def __init__(self, message: str, *, code: str | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        self.details: Mapping[str, Any] = details

    def as_dict(self) -> dict[str, Any]:
        """The error as JSON-ready data: family, code, message, severity, retryable, details."""
        return {
            "family": self.family,
            "code": self.code,
            "message": self.message,
            "severity": self.severity,
            "retryable": self.retryable,
            "details": dict(self.details),
        }

    family: ClassVar[str] = "Nutstate"


class StorageError(NutstateError):
    """The store could not do what was asked; nothing was written unless the class says otherwise."""

    family = "StorageError"
    code = "STORAGE_ERROR"


class Conflict(StorageError):
    """Compare-and-set failed: ``entity`` is no longer in the state and version the batch expects."""

    code = "CONFLICT"
    severity = "LOW"
    retryable = True

    def __init__(self, entity: str) -> None:
        super().__init__(f"{entity} changed meanwhile", entity=entity)
        self.entity = entity


class Duplicate(StorageError):
    """A unique key exists already. ``key`` names the constraint: operation_id, idempotency_key,
    claim, quote, token_id, proof, dedup or audit."""

    code = "DUPLICATE"
    severity = "LOW"

    def __init__(self, key: str) -> None:
        super().__init__(f"duplicate {key}", key=key)
        self.key = key


class CommitUnknown(StorageError):
    """The batch may or may not have been applied. Send the same batch again to find out."""

    code = "COMMIT_UNKNOWN"
    severity = "CRITICAL"
    retryable = True

    def __init__(self, batch_id: str, why: str = "") -> None:
        super().__init__(f"outcome of batch {batch_id} unknown{': ' + why if why else ''}", batch_id=batch_id)
        self.batch_id = batch_id
        self.why = why


class StoreUnavailable(StorageError):
    """The store cannot be reached, is busy, full or read-only; nothing was written."""

    code = "STORE_UNAVAILABLE"
    retryable = True


class StoreUnsupported(StorageError):
    """The URL, the server or the schema version is not one this release can work with."""

    code = "STORE_UNSUPPORTED"


class CorruptRecord(StorageError):
    """A stored document does not decode; ``details`` names it and the field, never the value."""

    code = "CORRUPT_RECORD"
    severity = "CRITICAL"


class InvalidBatch(StorageError):
    """The batch breaks a rule every store enforces (a programming error); nothing was written."""

    code = "INVALID_BATCH"
    severity = "CRITICAL"
