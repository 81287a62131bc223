"""The common base of every error nutstate raises, and the storage family."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from attrs import frozen

from .catalogue import ERRORS

R = TypeVar("R")
D = TypeVar("D")


class NutstateError(Exception):
    """Base of the three families ``Refused``, ``MintError`` and ``StorageError``.

    ``code`` is stable, ``severity`` one of LOW MEDIUM HIGH CRITICAL, ``retryable`` says whether the
    same call may succeed later, ``details`` holds only values that are safe to print. Severity and
    ``retryable`` are those of the catalogue unless the raiser knows better.
    """

    code: str = "NUTSTATE_ERROR"
    severity: str = "HIGH"
    retryable: bool = False

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        severity: str | None = None,
        retryable: bool | None = None,
        **details: Any,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details: Mapping[str, Any] = details
        self.recode(self.code if code is None else code)
        if severity is not None:
            self.severity = severity
        if retryable is not None:
            self.retryable = retryable

    def recode(self, code: str) -> None:
        """Give the error another code, with the severity and ``retryable`` the catalogue has for it."""
        self.code = code
        entry = ERRORS.get(code)
        if entry is not None:
            self.severity, self.retryable = entry.severity, entry.retryable

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

    def __init__(self, entity: str) -> None:
        super().__init__(f"{entity} changed meanwhile", entity=entity)
        self.entity = entity


class Duplicate(StorageError):
    """A unique key exists already. ``key`` names the constraint: operation_id, idempotency_key,
    claim, quote, token_id, proof, dedup or audit."""

    code = "DUPLICATE"

    def __init__(self, key: str) -> None:
        super().__init__(f"duplicate {key}", key=key)
        self.key = key


class CommitUnknown(StorageError):
    """The batch may or may not have been applied. Send the same batch again to find out."""

    code = "COMMIT_UNKNOWN"

    def __init__(self, batch_id: str, why: str = "") -> None:
        super().__init__(f"outcome of batch {batch_id} unknown{': ' + why if why else ''}", batch_id=batch_id)
        self.batch_id = batch_id
        self.why = why


class StoreUnavailable(StorageError):
    """The store cannot be reached, is busy, full or read-only; nothing was written."""

    code = "STORE_UNAVAILABLE"


class StoreUnsupported(StorageError):
    """The URL, the server or the schema version is not one this release can work with."""

    code = "STORE_UNSUPPORTED"


class CorruptRecord(StorageError):
    """A stored document does not decode; ``details`` names it and the field, never the value. Where a
    page of documents was read, ``page`` holds the others."""

    code = "CORRUPT_RECORD"
    page: Page[Any] | None = None


@frozen
class Page(Generic[R]):
    """The readable and the unreadable documents of one page. ``size`` counts both; ``last`` is the
    cursor of the last one, readable or not."""

    records: tuple[R, ...]
    unreadable: tuple[CorruptRecord, ...] = ()
    size: int = 0
    last: Any = None


def page_of(read: Callable[[], Sequence[R]], cursor: Callable[[R], Any]) -> Page[R]:
    """The page that ``read`` gives, also when documents in it do not decode: they must not hide the others
    (R214). ``cursor`` makes of a record what the next query goes on behind. Raises CorruptRecord where
    the store cannot tell the page apart."""
    try:
        records = tuple(read())
    except CorruptRecord as error:
        if error.page is None:
            raise
        return error.page
    return Page(records, (), len(records), cursor(records[-1]) if records else None)


def decoded(
    documents: Sequence[D], make: Callable[[D], R], cursor: Callable[[D], Any] | None = None
) -> list[R]:
    """Every document as a record; CorruptRecord for the first that does not decode, with the page."""
    records: list[R] = []
    unreadable: list[CorruptRecord] = []
    for document in documents:
        try:
            records.append(make(document))
        except CorruptRecord as error:
            unreadable.append(error)
    if not unreadable:
        return records
    torn = CorruptRecord(unreadable[0].message, **unreadable[0].details)
    last = cursor(documents[-1]) if cursor is not None else None
    torn.page = Page(tuple(records), tuple(unreadable), len(documents), last)
    raise torn


class NotAsWritten(StorageError):
    """A commit that reads back what it wrote found something else: it was rolled back, and nothing was
    written. ``why`` says what differs."""

    code = "NOT_AS_WRITTEN"

    def __init__(self, why: str) -> None:
        super().__init__(f"the store does not hold what was written: {why}")
        self.why = why


class BatchTooLarge(StorageError):
    """The server cannot hold a transaction of this size, so no retry helps; nothing was written.
    ``server_code`` is what the server calls it (MongoDB: 257, 388)."""

    code = "BATCH_TOO_LARGE"

    def __init__(self, server_code: int) -> None:
        super().__init__(
            f"the server cannot hold a transaction of this size (code {server_code}): nothing was written; "
            "pay with fewer proofs at once, or give the server more cache",
            server_code=server_code,
        )


class InvalidBatch(StorageError):
    """The batch breaks a rule every store enforces (a programming error); nothing was written."""

    code = "INVALID_BATCH"


def unknown_address(url: object) -> StoreUnsupported:
    """The error for an address that names no kind of store. Only its scheme is shown: the rest may hold a
    password."""
    scheme = url.partition("://")[0] if isinstance(url, str) and "://" in url else ""
    shown = scheme.replace("+", "").isalnum() and len(scheme) <= 20
    return StoreUnsupported(
        (f"no store has an address with {scheme}://" if shown else "the address of the store has no scheme")
        + "; write sqlite:///wallet.db or sqlite:////srv/wallet.db for a file,"
        " mongodb://host/database?replicaSet=rs0 for MongoDB, or memory:// in tests"
    )
