"""The MongoDB gateway over a pymongo client: sessions, durable transactions, honest outcomes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NoReturn, TypeVar

import pymongo
from attrs import frozen
from pymongo import MongoClient, ReadPreference, ReturnDocument, WriteConcern
from pymongo.client_session import ClientSession
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from .errors import StoreUnavailable, StoreUnsupported
from .mongo_gateway import (
    Document,
    GatewayUnavailable,
    Reads,
    Sort,
    Transaction,
)
from .mongo_schema import AUDIT
from .mongo_session import SessionReads, SessionWrites, asked, named, outcome_of
from .mongo_setup import check_server, create, problems, refuse

T = TypeVar("T")

DURABLE: Final = WriteConcern(w="majority", j=True)
_SNAPSHOT_UNAVAILABLE: Final = 246  # right after an election there is no common moment yet


@frozen
class Budget:
    """How long each kind of call may take, in seconds; retries by the driver are part of it."""

    start_s: float = 15.0  # looking at the server and making collections and indexes
    transaction_s: float = 5.0  # the writes of one transaction with its re-runs
    commit_s: float = 3.0  # on top of it: the commit itself, or the abort
    settle_s: float = 5.0  # asking whether a batch was committed
    read_s: float = 10.0
    note_s: float = 5.0


class ClientGateway:
    """:class:`~nutstate.storage.mongo_gateway.Gateway` over ``client``, which it closes."""

    def __init__(self, client: MongoClient[Document], database: str, budget: Budget | None = None) -> None:
        self._client = client
        self._budget = budget or Budget()
        self._closed = False
        self._database = client.get_database(
            database,
            read_concern=ReadConcern("majority"),
            write_concern=DURABLE,
            read_preference=ReadPreference.PRIMARY,
        )
        # Inside a transaction concerns belong to the transaction; a snapshot session brings its own.
        self._bare = client.get_database(
            database,
            read_concern=ReadConcern(),
            write_concern=WriteConcern(),
            read_preference=ReadPreference.PRIMARY,
        )
        self._linear = self._database.with_options(read_concern=ReadConcern("linearizable"))

    def prepare(self, create_missing: bool) -> None:
        """Check the server, the collections, indexes and validators, after making what is missing if
        ``create_missing``. StoreUnsupported if anything is not as it must be."""
        try:
            with pymongo.timeout(self._budget.start_s):
                hello = self._client.admin.command("hello")
                check_server(hello, tuple(self._client.server_info()["versionArray"]))
                wrong = problems(self._database)
                if wrong and create_missing:
                    create(self._database)
                    wrong = problems(self._database)
                refuse(wrong)
        except PyMongoError as error:
            if isinstance(error, OperationFailure) and error.code in (
                13,
                18,
            ):  # Unauthorized, Authentication…
                raise StoreUnsupported(f"MongoDB refuses this user ({named(error)})") from None
            raise StoreUnavailable(named(error)) from None  # its text may show addresses and names

    @contextmanager
    def _within(self, seconds: float) -> Iterator[None]:
        if self._closed:
            raise GatewayUnavailable("the store is closed")
        try:
            with pymongo.timeout(seconds):
                yield
        except PyMongoError as error:
            _unavailable(error)

    def find(
        self,
        collection: str,
        filter: Document,
        *,
        sort: Sort = (),
        limit: int = 0,
        fields: Sequence[str] = (),
    ) -> list[Document]:
        with self._within(self._budget.read_s):
            reads = SessionReads(self._database, None)
            return reads.find(collection, filter, sort=sort, limit=limit, fields=fields)

    def aggregate(self, collection: str, pipeline: Sequence[Document]) -> list[Document]:
        """All documents of one moment: a plain read may see a transfer between two of them."""
        with self._within(self._budget.read_s), self._client.start_session(snapshot=True) as session:
            reads = SessionReads(self._bare, session)
            return _when_there_is_a_snapshot(lambda: reads.aggregate(collection, pipeline))

    def holds_for_good(self, audit_id: str, batch_id: str) -> bool:
        # Linearizable: a majority read on a primary that just lost its peers, or has not heard of
        # them yet, would miss a commit that is about to become durable.
        with self._within(self._budget.settle_s):
            reads = SessionReads(self._linear, None)
            found = reads.find(AUDIT, {"_id": {"$eq": audit_id}}, fields=("batch_id",))
            return [document.get("batch_id") for document in found] == [batch_id]

    def find_one_and_update(self, collection: str, filter: Document, update: Document) -> Document | None:
        stored = self._database[collection]
        after = ReturnDocument.AFTER
        with self._within(self._budget.note_s):
            return asked(
                collection, lambda: stored.find_one_and_update(filter, update, return_document=after)
            )

    def transaction(self, work: Callable[[Transaction], None]) -> None:
        if self._closed:
            raise GatewayUnavailable("the store is closed")
        commit_tried = False
        last_start = time.monotonic() + self._budget.transaction_s

        def run(session: ClientSession) -> None:
            nonlocal commit_tried
            commit_tried = False
            left = last_start - time.monotonic()
            if left <= 0:
                raise GatewayUnavailable("the store is busy: the transaction found no gap in time")
            # The work has less time than the whole, so that an abort can still be sent: what the
            # server is not told to abort holds its locks until the lifetime limit.
            with pymongo.timeout(left):
                work(SessionWrites(self._bare, session))
            commit_tried = True

        try:
            with (
                pymongo.timeout(self._budget.transaction_s + self._budget.commit_s),
                self._client.start_session() as session,
            ):
                session.with_transaction(
                    run,
                    read_concern=ReadConcern("snapshot"),
                    write_concern=DURABLE,
                    read_preference=ReadPreference.PRIMARY,
                )
        except PyMongoError as error:
            raise outcome_of(error, commit_tried) from error

    @contextmanager
    def snapshot(self) -> Iterator[Reads]:
        if self._closed:
            raise GatewayUnavailable("the store is closed")
        try:
            with self._client.start_session(snapshot=True) as session:
                reads = _Snapshot(SessionReads(self._bare, session), self._budget.read_s)
                # The first read fixes the moment.
                _when_there_is_a_snapshot(lambda: reads.raw(AUDIT, {"_id": ""}))
                yield reads
        except PyMongoError as error:
            _unavailable(error)

    def close(self) -> None:
        """End the sessions on the server and close the connections."""
        self._closed = True
        self._client.close()


class _Snapshot:
    """Reads of a snapshot session, each with the deadline of a read."""

    def __init__(self, reads: SessionReads, read_s: float) -> None:
        self._reads = reads
        self._read_s = read_s

    def raw(self, collection: str, filter: Document) -> list[Document]:
        with pymongo.timeout(self._read_s):
            return self._reads.find(collection, filter, limit=1)

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
            with pymongo.timeout(self._read_s):
                return self._reads.find(collection, filter, sort=sort, limit=limit, fields=fields)
        except PyMongoError as error:
            _unavailable(error)

    def aggregate(self, collection: str, pipeline: Sequence[Document]) -> list[Document]:
        try:
            with pymongo.timeout(self._read_s):
                return self._reads.aggregate(collection, pipeline)
        except PyMongoError as error:
            _unavailable(error)


_SNAPSHOT_PAUSES_S: Final = (0.05, 0.1, 0.2, 0.4, 0.8)


def _when_there_is_a_snapshot(read: Callable[[], T]) -> T:
    for pause in _SNAPSHOT_PAUSES_S:
        try:
            return read()
        except OperationFailure as error:
            if error.code != _SNAPSHOT_UNAVAILABLE:
                raise
        time.sleep(pause)
    return read()


def _unavailable(error: PyMongoError) -> NoReturn:
    raise GatewayUnavailable(named(error)) from error
