"""Reads and writes that carry one session, and the meaning of the driver's errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from bson.errors import BSONError, InvalidBSON
from pymongo import UpdateOne
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError, DocumentTooLarge, OperationFailure, PyMongoError, WriteError

from .gateway import (
    Change,
    Document,
    Find,
    GatewayCorrupt,
    GatewayDuplicate,
    GatewayRefused,
    GatewayTooLarge,
    GatewayUnavailable,
    GatewayUnknown,
    Sort,
)
from .schema import ID_INDEX

T = TypeVar("T")

_DUPLICATE_KEY: Final = 11000
_RULE_BROKEN: Final = 121  # DocumentValidationFailure
_TOO_LARGE: Final = (10334, 17419, 17420)  # a document beyond 16 MB, inserted or grown
# BadValue, FailedToParse, Overflow (nested too deeply), InvalidBSON, a field's name: no retry helps
_NEVER: Final = (2, 9, 15, 22, 52, 55, 56, 57)
_TRANSACTION_TOO_LARGE: Final = (257, 388)  # TransactionTooLarge, TransactionTooLargeForCache
TRANSIENT: Final = "TransientTransactionError"
_LABELS: Final = (TRANSIENT, "UnknownTransactionCommitResult", "RetryableWriteError")
_BATCH: Final = 100_000  # documents of one answer, if they fit into it
_NOT_ENCODABLE: Final = (BSONError, UnicodeError, OverflowError, TypeError, ValueError)


class SessionReads:
    """Everything the gateway asks a database inside or outside a session. The only place that
    passes ``session=``: a write without it is outside the transaction and survives its abort."""

    def __init__(self, database: Database[Document], session: ClientSession | None) -> None:
        self._database = database
        self._session = session

    def find(
        self,
        collection: str,
        filter: Document,
        *,
        sort: Sort = (),
        limit: int = 0,
        fields: Sequence[str] = (),
        hint: str = "",
    ) -> list[Document]:
        stored = self._database[collection]

        def read() -> list[Document]:
            found = stored.find(
                filter,
                dict.fromkeys(fields, 1) or None,
                sort=list(sort) or None,
                limit=limit,
                batch_size=limit,  # by default the first answer holds 101 documents
                hint=hint or None,
                session=self._session,
            )
            return list(found)

        return asked(collection, read)

    def several(self, finds: Sequence[Find]) -> list[list[Document]]:
        """One aggregate: the parts are put together by ``$unionWith``, each document with the number of its
        part."""
        first, *others = (
            (find.collection, [*_stages(find), {"$replaceRoot": {"newRoot": {"n": n, "document": "$$ROOT"}}}])
            for n, find in enumerate(finds)
        )
        collection, pipeline = first
        unions = [{"$unionWith": {"coll": coll, "pipeline": part}} for coll, part in others]
        parts: list[list[Document]] = [[] for _ in finds]
        for found in self.aggregate(collection, [*pipeline, *unions]):
            parts[found["n"]].append(found["document"])
        return parts

    def aggregate(self, collection: str, pipeline: Sequence[Document]) -> list[Document]:
        stored = self._database[collection]

        def read() -> list[Document]:
            return list(stored.aggregate(list(pipeline), session=self._session, batchSize=_BATCH))

        return asked(collection, read)


def _stages(find: Find) -> list[Document]:
    stages: list[Document] = [{"$match": find.filter}]
    if find.sort:
        stages.append({"$sort": dict(find.sort)})
    if find.limit:
        stages.append({"$limit": find.limit})
    if find.fields:
        stages.append({"$project": dict.fromkeys(find.fields, 1)})
    return stages


class SessionWrites(SessionReads):
    """Writes of one transaction."""

    def several(self, finds: Sequence[Find]) -> list[list[Document]]:
        """One aggregate, of one document: the server refuses ``$unionWith`` in a transaction, and allows
        ``$lookup``. ``$facet`` makes the one document even when the first part is empty."""
        first, *others = finds
        pipeline = [*_stages(first), {"$facet": {"0": [{"$match": {}}]}}]
        pipeline += [
            {"$lookup": {"from": find.collection, "pipeline": _stages(find), "as": str(n)}}
            for n, find in enumerate(others, 1)
        ]
        (found,) = self.aggregate(first.collection, pipeline)
        return [found[str(n)] for n in range(len(finds))]

    def insert_many(self, collection: str, documents: Sequence[Document]) -> None:
        stored = self._database[collection]
        asked(collection, lambda: stored.insert_many(list(documents), session=self._session))

    def update_many(self, collection: str, filter: Document, update: Document) -> int:
        stored = self._database[collection]
        done = asked(collection, lambda: stored.update_many(filter, update, session=self._session))
        return done.matched_count

    def update_each(self, collection: str, changes: Sequence[Change]) -> bool:
        stored = self._database[collection]
        orders = [UpdateOne(change.filter, change.update) for change in changes]
        done = asked(collection, lambda: stored.bulk_write(orders, session=self._session))
        return done.matched_count == len(changes)

    def delete_many(self, collection: str, filter: Document) -> int:
        stored = self._database[collection]
        return asked(collection, lambda: stored.delete_many(filter, session=self._session)).deleted_count


def insert_new(collection: Collection[Document], documents: Sequence[Document]) -> frozenset[str]:
    """Insert each document whose ``_id`` is new, in one command; the ids of the others."""
    try:
        collection.insert_many([dict(document) for document in documents], ordered=False)
        return frozenset()
    except BulkWriteError as error:
        failed = error.details.get("writeErrors") or []
        acknowledged = not error.details.get("writeConcernErrors")
        if acknowledged and all(one.get("code") == _DUPLICATE_KEY for one in failed):
            return frozenset(documents[one["index"]]["_id"] for one in failed)
        failure: Exception = refused_of(error, collection.name) or bare(error)
    except _NOT_ENCODABLE:
        failure = GatewayRefused("a value that BSON cannot hold")
    raise failure  # outside the handlers: the causes show the values


def asked(collection: str, call: Callable[[], T]) -> T:
    """``call``, with the errors that show values replaced. A driver's error keeps only its class, its code
    and its labels, which tell ``with_transaction`` what to do."""
    failure: Exception
    try:
        return call()
    except PyMongoError as error:
        failure = (
            duplicate_of(error, collection)
            or refused_of(error, collection)
            or too_large_of(error)
            or bare(error)
        )
    except InvalidBSON:
        failure = GatewayCorrupt(collection)
    except _NOT_ENCODABLE:
        failure = GatewayRefused("a value that BSON cannot hold")
    raise failure  # outside the handlers: the causes show the values


def bare(error: PyMongoError) -> PyMongoError:
    """The error without what the server sent with it: a failed write shows its whole document."""
    if not isinstance(error, OperationFailure):
        return error
    labels = [label for label in _LABELS if error.has_error_label(label)]
    return OperationFailure(named(error), error.code, {"errorLabels": labels, "code": error.code})


def _details(error: PyMongoError) -> dict[str, Any]:
    details: Any = getattr(error, "details", None) or {}
    if isinstance(error, BulkWriteError):
        details = next(iter(details.get("writeErrors") or [{}]))
    return dict(details)


def duplicate_of(error: PyMongoError, collection: str) -> GatewayDuplicate | None:
    """Which unique index refused, or None if the error is another. The server's text shows the
    value, so only the name of the index is taken from it."""
    details = _details(error)
    if details.get("code") != _DUPLICATE_KEY:
        return None
    found = re.search(r" index: (\S+) dup key", str(details.get("errmsg", "")))
    return GatewayDuplicate(collection, found[1] if found else ID_INDEX)


def refused_of(error: PyMongoError, collection: str) -> GatewayRefused | None:
    """A document that the server will never take, or None. Its details show the document."""
    code = _details(error).get("code")
    if code == _RULE_BROKEN:
        return GatewayRefused(f"the rules of {collection} refuse the document")
    if code in _TOO_LARGE or isinstance(error, DocumentTooLarge):
        return GatewayRefused(f"the document for {collection} is beyond 16 MB")
    if code in _NEVER and isinstance(error, BulkWriteError | WriteError):
        return GatewayRefused(f"MongoDB cannot hold the document for {collection} (code {code})")
    return None


def too_large_of(error: PyMongoError) -> GatewayTooLarge | None:
    """The error for a transaction that is too large for ever; None: the error has another cause."""
    code = _details(error).get("code", getattr(error, "code", None))
    return GatewayTooLarge(code) if code in _TRANSACTION_TOO_LARGE else None


def outcome_of(
    error: PyMongoError, commit_tried: bool
) -> GatewayUnknown | GatewayUnavailable | GatewayTooLarge:
    """The meaning of a failed transaction, read from the labels and never from the class: without
    proof that nothing was committed, the outcome of a tried commit is unknown. A server that calls the
    transaction too large has not committed it."""
    text = named(error)
    if error.has_error_label("UnknownTransactionCommitResult"):
        return GatewayUnknown(text)
    if (too_large := too_large_of(error)) is not None:
        return too_large
    if commit_tried and not error.has_error_label(TRANSIENT):
        return GatewayUnknown(text)
    return GatewayUnavailable(text)


def named(error: PyMongoError) -> str:
    """The error without its text, which may show values or addresses."""
    code = f" {error.code}" if isinstance(error, OperationFailure) and error.code is not None else ""
    meaning = _MEANINGS.get(getattr(error, "code", None) or type(error).__name__)
    return f"MongoDB: {type(error).__name__}{code}" + (f": {meaning}" if meaning else "")


_MEANINGS: Final[dict[object, str]] = {
    "ServerSelectionTimeoutError": "no primary of the replica set answered in time",
    13: "the user has no right to do this",
    18: "the server does not accept this user and password",
}
