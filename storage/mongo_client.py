"""The MongoDB gateway over a pymongo client: sessions, durable transactions, honest outcomes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NoReturn, TypeVar

import pymongo
from bson.errors import BSONError
from pymongo import MongoClient, ReadPreference, ReturnDocument, WriteConcern
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from .errors import StoreUnavailable, StoreUnsupported
from .mongo_gateway import (
    Document,
    GatewayDuplicate,
    GatewayRefused,
    GatewayUnavailable,
    GatewayUnknown,
    Reads,
    Sort,
    Transaction,
)
from .mongo_schema import COLLECTIONS, ID_INDEX, INDEXES, TOKENS

T = TypeVar("T")

COMMIT_DEADLINE_S: Final = 5.0
READ_DEADLINE_S: Final = 10.0
OLDEST_SERVER: Final = (6, 0)
_DURABLE: Final = WriteConcern(w="majority", j=True)
_DUPLICATE_KEY: Final = 11000
_NOT_ENCODABLE: Final = (BSONError, UnicodeError, OverflowError, TypeError, ValueError)


def duplicate_of(error: PyMongoError, collection: str) -> GatewayDuplicate | None:
    """Which unique index refused, or None if the error is another. The server's text shows the
    value, so only the name of the index is taken from it."""
    details: Any = getattr(error, "details", None) or {}
    if isinstance(error, BulkWriteError):
        details = next(iter(details.get("writeErrors") or [{}]))
    if details.get("code") != _DUPLICATE_KEY:
        return None
    found = re.search(r" index: (\S+) dup key", str(details.get("errmsg", "")))
    return GatewayDuplicate(collection, found[1] if found else ID_INDEX)


def outcome_of(error: PyMongoError, commit_tried: bool) -> GatewayUnknown | GatewayUnavailable:
    """What a failed transaction means, read from the labels and never from the class: without
    proof that nothing was committed, the outcome of a tried commit is unknown."""
    text = _named(error)
    if error.has_error_label("UnknownTransactionCommitResult"):
        return GatewayUnknown(text)
    if commit_tried and not error.has_error_label("TransientTransactionError"):
        return GatewayUnknown(text)
    return GatewayUnavailable(text)


def _named(error: PyMongoError) -> str:
    code = f" {error.code}" if isinstance(error, OperationFailure) and error.code is not None else ""
    return f"MongoDB: {type(error).__name__}{code}"


class _Session:
    """Reads and writes that all carry one session: the only place that passes ``session=``."""

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
    ) -> list[Document]:
        return _asked(
            collection,
            lambda: list(
                self._database[collection].find(
                    filter,
                    dict.fromkeys(fields, 1) or None,
                    sort=list(sort) or None,
                    limit=limit,
                    session=self._session,
                )
            ),
        )

    def aggregate(self, collection: str, pipeline: Sequence[Document]) -> list[Document]:
        stored = self._database[collection]
        return _asked(collection, lambda: list(stored.aggregate(list(pipeline), session=self._session)))

    def insert_many(self, collection: str, documents: Sequence[Document]) -> None:
        stored = self._database[collection]
        _asked(collection, lambda: stored.insert_many(list(documents), session=self._session))

    def update_many(self, collection: str, filter: Document, update: Document) -> int:
        stored = self._database[collection]
        done = _asked(collection, lambda: stored.update_many(filter, update, session=self._session))
        return done.matched_count


def _asked(collection: str, call: Callable[[], T]) -> T:
    """``call``, with the two errors that show values replaced. Any other error of the driver
    passes as it is: its labels tell ``with_transaction`` what to do."""
    refusal: GatewayDuplicate | GatewayRefused | None
    try:
        return call()
    except PyMongoError as error:
        refusal = duplicate_of(error, collection)
        if refusal is None:
            raise
    except _NOT_ENCODABLE:
        refusal = GatewayRefused("a value that BSON cannot hold")
    raise refusal  # outside the handlers: the causes show the values


class ClientGateway:
    """:class:`~nutstate.storage.mongo_gateway.Gateway` over ``client``, which it closes."""

    def __init__(self, client: MongoClient[Document], database: str) -> None:
        self._client = client
        self._closed = False
        self._database = client.get_database(
            database,
            read_concern=ReadConcern("majority"),
            write_concern=_DURABLE,
            read_preference=ReadPreference.PRIMARY,
        )
        # Inside a transaction concerns belong to the transaction; a snapshot session brings its own.
        self._bare = client.get_database(database)

    def prepare(self, create: bool) -> None:
        """Check the server, and make or check collections and indexes. StoreUnsupported when the
        server has no transactions, is too old, or lacks an index that ``create`` may not make."""
        try:
            hello: Mapping[str, Any] = self._client.admin.command("hello")
            version = tuple(self._client.server_info()["versionArray"][:2])
            if "setName" not in hello and hello.get("msg") != "isdbgrid":
                raise StoreUnsupported("MongoDB: this server has no transactions (not a replica set)")
            if version < OLDEST_SERVER:
                raise StoreUnsupported(f"MongoDB: {version[0]}.{version[1]} is too old, 6.0 is needed")
            if create:
                self._create()
            self._check_indexes()
        except PyMongoError as error:
            raise StoreUnavailable(_named(error)) from error

    def _create(self) -> None:
        present = set(self._database.list_collection_names())
        if TOKENS in present and self._database[TOKENS].find_one({"schema_version": {"$exists": False}}):
            raise StoreUnsupported(f"MongoDB: {TOKENS} holds documents that are not migrated yet")
        for name in COLLECTIONS:
            if name not in present:
                self._database.create_collection(name)
        for index in INDEXES:
            self._database[index.collection].create_index(list(index.keys), **index.options())

    def _check_indexes(self) -> None:
        for name in COLLECTIONS:
            wanted = {index.name for index in INDEXES if index.collection == name}
            missing = wanted - self._database[name].index_information().keys()
            if missing:
                raise StoreUnsupported(f"MongoDB: {name} lacks the index {min(missing)}")

    @contextmanager
    def _reading(self) -> Iterator[Reads]:
        self._check_open()
        try:
            with pymongo.timeout(READ_DEADLINE_S):
                yield _Session(self._database, None)
        except PyMongoError as error:
            _unavailable(error)

    def _check_open(self) -> None:
        if self._closed:
            raise GatewayUnavailable("the store is closed")

    def find(
        self,
        collection: str,
        filter: Document,
        *,
        sort: Sort = (),
        limit: int = 0,
        fields: Sequence[str] = (),
    ) -> list[Document]:
        with self._reading() as reads:
            return reads.find(collection, filter, sort=sort, limit=limit, fields=fields)

    def aggregate(self, collection: str, pipeline: Sequence[Document]) -> list[Document]:
        with self._reading() as reads:
            return reads.aggregate(collection, pipeline)

    def find_one_and_update(self, collection: str, filter: Document, update: Document) -> Document | None:
        self._check_open()
        stored = self._database[collection]
        after = ReturnDocument.AFTER
        try:
            with pymongo.timeout(COMMIT_DEADLINE_S):
                return _asked(
                    collection, lambda: stored.find_one_and_update(filter, update, return_document=after)
                )
        except PyMongoError as error:
            _unavailable(error)

    def transaction(self, work: Callable[[Transaction], None]) -> None:
        self._check_open()
        commit_tried = False

        def run(session: ClientSession) -> None:
            nonlocal commit_tried
            commit_tried = False
            work(_Session(self._bare, session))
            commit_tried = True

        try:
            with pymongo.timeout(COMMIT_DEADLINE_S), self._client.start_session() as session:
                session.with_transaction(
                    run,
                    read_concern=ReadConcern("snapshot"),
                    write_concern=_DURABLE,
                    read_preference=ReadPreference.PRIMARY,
                )
        except PyMongoError as error:
            raise outcome_of(error, commit_tried) from error

    @contextmanager
    def snapshot(self) -> Iterator[Reads]:
        self._check_open()
        try:
            with self._client.start_session(snapshot=True) as session:
                reads = _Session(self._bare, session)
                reads.find(TOKENS, {"_id": ""}, limit=1)  # the first read fixes the moment
                yield _Snapshot(reads)
        except PyMongoError as error:
            _unavailable(error)

    def close(self) -> None:
        self._closed = True
        self._client.close()


class _Snapshot:
    """Reads of a snapshot session, each with the deadline of a read."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    def find(
        self,
        collection: str,
        filter: Document,
        *,
        sort: Sort = (),
        limit: int = 0,
        fields: Sequence[str] = (),
    ) -> list[Document]:
        try:
            with pymongo.timeout(READ_DEADLINE_S):
                return self._reads.find(collection, filter, sort=sort, limit=limit, fields=fields)
        except PyMongoError as error:
            _unavailable(error)

    def aggregate(self, collection: str, pipeline: Sequence[Document]) -> list[Document]:
        try:
            with pymongo.timeout(READ_DEADLINE_S):
                return self._reads.aggregate(collection, pipeline)
        except PyMongoError as error:
            _unavailable(error)


def _unavailable(error: PyMongoError) -> NoReturn:
    raise GatewayUnavailable(_named(error)) from error
