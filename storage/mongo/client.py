"""The MongoDB gateway over a pymongo client: sessions, durable transactions, honest outcomes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol, TypeVar

import pymongo
from attrs import frozen
from pymongo import MongoClient, ReadPreference, ReturnDocument, WriteConcern
from pymongo.client_session import ClientSession
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from ..errors import StorageError, StoreUnavailable, StoreUnsupported
from ..rules.machines import BUILT_IN, Machines
from .calls import Calls, Left
from .gateway import Document, Find, GatewayUnavailable, Reads, Sort, Transaction
from .schema import AUDIT, TOMBSTONES
from .session import SessionReads, SessionWrites, asked, insert_new, named, outcome_of
from .setup import check_schema, check_server, create, problems, put_rules_right, refuse, stored_machines
from .shards import check_sharding

T = TypeVar("T")

DURABLE: Final = WriteConcern(w="majority", j=True)
_NO_RIGHTS: Final = (13, 18)  # Unauthorized, AuthenticationFailed
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
    """:class:`~nutstate.storage.mongo.gateway.Gateway` over ``client``, which it closes."""

    def __init__(self, client: MongoClient[Document], database: str, budget: Budget | None = None) -> None:
        self.lacking: frozenset[str] = frozenset()
        self.sharded = False
        self._machines = BUILT_IN
        self._client = client
        self._budget = budget or Budget()
        self._calls = Calls()
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

    def prepare(self, create_missing: bool, machines: Machines) -> None:
        """Check the server, the schema, the collections, indexes, validators and machines, after making what
        is missing if ``create_missing``. Without it a machine that the database does not know is no obstacle:
        it is told by :attr:`lacking`. StoreUnsupported if anything else is not as it must be."""
        self._machines = machines

        def look() -> None:
            hello = self._client.admin.command("hello")
            check_server(hello, tuple(self._client.server_info()["versionArray"]))
            check_schema(self._database)
            self.sharded = check_sharding(self._database, hello)
            wrong = problems(self._database, machines)
            if wrong and create_missing:
                create(self._database, machines)
                wrong = problems(self._database, machines)
            machines.missing_in(stored_machines(self._database).hashes)
            lacking = [] if create_missing else [p for p in wrong if p.kind == "machine" and p.fixable]
            refuse([problem for problem in wrong if problem not in lacking])
            self.lacking = frozenset(problem.name for problem in lacking)

        self._set_up(look)

    def restore_rules(self) -> bool:
        def restore() -> bool:
            # Only what an older program of ours left: a validator of another kind is for the doctor.
            return put_rules_right(self._database, self._machines, of=("machine",))

        return not self.lacking and self._calls.run(lambda left: self._set_up(restore))

    def _set_up(self, work: Callable[[], T]) -> T:
        """``work`` on collections and validators, in its time. StoreUnavailable, StoreUnsupported."""
        failure: StorageError
        try:
            with pymongo.timeout(self._budget.start_s):
                return work()
        except PyMongoError as error:
            failure = StoreUnavailable(named(error))
            if isinstance(error, OperationFailure) and error.code in _NO_RIGHTS:
                failure = StoreUnsupported(f"MongoDB refuses this user ({named(error)})")
        raise failure

    def _bounded(self, seconds: float, call: Callable[[], T]) -> T:
        """``call`` with a deadline; the driver's error is told by name and never chained."""

        def within(left: Left) -> T:
            failure: GatewayUnavailable
            try:
                with pymongo.timeout(seconds):
                    return call()
            except PyMongoError as error:
                failure = GatewayUnavailable(named(error))
            raise failure

        return self._calls.run(within)

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
        reads = SessionReads(self._database, None)
        return self._bounded(
            self._budget.read_s,
            lambda: reads.find(collection, filter, sort=sort, limit=limit, fields=fields, hint=hint),
        )

    def several(self, finds: Sequence[Find]) -> list[list[Document]]:
        with self.snapshot(at_once=False) as reads:
            return reads.several(finds)

    def aggregate(self, collection: str, pipeline: Sequence[Document]) -> list[Document]:
        """All documents of one moment: a plain read may see a transfer between two of them."""

        def read() -> list[Document]:
            with self._client.start_session(snapshot=True) as session:
                reads = SessionReads(self._bare, session)
                return _when_there_is_a_snapshot(lambda: reads.aggregate(collection, pipeline))

        return self._bounded(self._budget.read_s, read)

    def holds_for_good(self, audit_id: str, batch_id: str, npub: str) -> bool:
        wanted = {"_id": {"$eq": audit_id}, "npub": {"$eq": npub}}
        found = self.find_for_good(AUDIT, wanted, ("batch_id",))
        return [document.get("batch_id") for document in found] == [batch_id]

    def buried_for_good(self, operation_id: str, batch_id: str, npub: str) -> bool:
        buried = {
            "_id": {"$eq": operation_id}, "npub": {"$eq": npub}, "spans.batches": {"$eq": batch_id}
        }  # fmt: skip
        return bool(self.find_for_good(TOMBSTONES, buried, ("_id",)))

    def find_for_good(self, collection: str, filter: Document, fields: Sequence[str] = ()) -> list[Document]:
        # Linearizable: a majority read on a primary that just lost its peers, or has not heard of
        # them yet, would miss a commit that is about to become durable.
        reads = SessionReads(self._linear, None)
        return self._bounded(self._budget.settle_s, lambda: reads.find(collection, filter, fields=fields))

    def insert_new(self, collection: str, documents: Sequence[Document]) -> frozenset[str]:
        stored = self._database[collection]
        return self._bounded(self._budget.note_s, lambda: insert_new(stored, documents))

    def delete_many(self, collection: str, filter: Document) -> int:
        stored = self._database[collection]

        def delete() -> int:
            return asked(collection, lambda: stored.delete_many(filter)).deleted_count

        return self._bounded(self._budget.note_s, delete)

    def find_one_and_update(self, collection: str, filter: Document, update: Document) -> Document | None:
        stored = self._database[collection]
        after = ReturnDocument.AFTER

        def write() -> Document | None:
            return asked(
                collection, lambda: stored.find_one_and_update(filter, update, return_document=after)
            )

        return self._bounded(self._budget.note_s, write)

    def transaction(self, work: Callable[[Transaction], None]) -> None:
        self._calls.run(lambda left: self._transaction(work, left))

    def _transaction(self, work: Callable[[Transaction], None], left: Left) -> None:
        failure: Exception
        commit_tried = False
        last_start = time.monotonic() + self._budget.transaction_s

        def run(session: ClientSession) -> None:
            nonlocal commit_tried
            commit_tried = False
            rest = last_start - time.monotonic()
            if rest <= 0:
                raise GatewayUnavailable("the store is busy: the transaction found no gap in time")
            # The work has less time than the whole, so that an abort can still be sent: what the
            # server is not told to abort holds its locks until the lifetime limit.
            with pymongo.timeout(rest):
                work(SessionWrites(self._bare, session))
            if time.monotonic() > last_start:  # a read-back also computes, which no deadline interrupts
                raise GatewayUnavailable("the work of the transaction took all of its time")
            if left.is_set() or self._calls.closed:
                raise GatewayUnavailable("interrupted or closed before the commit")
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
            return
        except PyMongoError as error:
            failure = outcome_of(error, commit_tried)
        raise failure

    @contextmanager
    def snapshot(self, *, at_once: bool = True) -> Iterator[Reads]:
        with self._client.start_session(snapshot=True) as session:
            reads = _Snapshot(self._bounded, SessionReads(self._bare, session), self._budget.read_s)
            if at_once:
                reads.find(AUDIT, {"_id": ""}, limit=1)
            yield reads

    def close(self) -> None:
        """Wait for what runs, end the sessions on the server and close the connections."""
        self._calls.close(self._budget.transaction_s + self._budget.commit_s)
        self._client.close()


class Bounded(Protocol):
    """Runs a call with a deadline in seconds."""

    def __call__(self, seconds: float, call: Callable[[], T]) -> T: ...


class _Snapshot:
    """Reads of a snapshot session, each with the deadline of a read."""

    def __init__(self, bounded: Bounded, reads: SessionReads, read_s: float) -> None:
        self._bounded = bounded
        self._reads = reads
        self._read_s = read_s
        self._begun = False

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
        return self._asked(
            lambda: self._reads.find(collection, filter, sort=sort, limit=limit, fields=fields, hint=hint)
        )

    def several(self, finds: Sequence[Find]) -> list[list[Document]]:
        return self._asked(lambda: self._reads.several(finds))

    def aggregate(self, collection: str, pipeline: Sequence[Document]) -> list[Document]:
        return self._asked(lambda: self._reads.aggregate(collection, pipeline))

    def _asked(self, read: Callable[[], T]) -> T:
        """The first read of the session fixes the moment; so it waits until there is one."""
        if self._begun:
            return self._bounded(self._read_s, read)
        found = self._bounded(self._read_s, lambda: _when_there_is_a_snapshot(read))
        self._begun = True
        return found


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
