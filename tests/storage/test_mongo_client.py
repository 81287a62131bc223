"""How errors of the driver are read. What needs a server is proven on a server, not here."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    DuplicateKeyError,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from nutstate.storage.errors import (
    CommitUnknown,
    Conflict,
    Duplicate,
    InvalidBatch,
    NotAsWritten,
    StorageError,
    StoreUnavailable,
)
from nutstate.storage.memory import MockGateway, _Database, _MockTransaction, open_memory
from nutstate.storage.mongo import client
from nutstate.storage.mongo.client import ClientGateway
from nutstate.storage.mongo.gateway import (
    Gateway,
    GatewayDuplicate,
    GatewayRefused,
    GatewayUnavailable,
    GatewayUnknown,
    Transaction,
)
from nutstate.storage.mongo.open import address, connect
from nutstate.storage.mongo.schema import INDEXES, UNIQUE_KEYS
from nutstate.storage.mongo.session import asked, duplicate_of, outcome_of
from nutstate.storage.mongo.store import RESENDS, MongoStore
from nutstate.storage.port import Reader
from nutstate.storage.read_back import ReadBack
from nutstate.storage.records import Span, Tombstone
from nutstate.storage.testing.records import batch_for, make_operation
from tests.contract.store.steps import shown

MARK = "MARKER-never-to-be-shown"


def labelled(error: PyMongoError, *labels: str) -> PyMongoError:
    for label in labels:
        error._add_error_label(label)
    return error


UNKNOWN, TRANSIENT = "UnknownTransactionCommitResult", "TransientTransactionError"


@pytest.mark.parametrize(
    "error, tried, expected",
    [
        (labelled(NetworkTimeout(MARK), UNKNOWN), True, GatewayUnknown),
        (labelled(OperationFailure(MARK, 50), UNKNOWN), True, GatewayUnknown),
        (labelled(OperationFailure(MARK, 112), TRANSIENT), True, GatewayUnavailable),
        (labelled(AutoReconnect(MARK), TRANSIENT), False, GatewayUnavailable),
        (ServerSelectionTimeoutError(MARK), False, GatewayUnavailable),
        (AutoReconnect(MARK), True, GatewayUnknown),  # no label: then unknown, never failed
        (OperationFailure(MARK, 13), False, GatewayUnavailable),
    ],
)
def test_the_outcome_is_read_from_the_label(
    error: PyMongoError, tried: bool, expected: type[Exception]
) -> None:
    outcome = outcome_of(error, tried)
    assert type(outcome) is expected and MARK not in str(outcome)


def message(index: str) -> str:
    return f'E11000 duplicate key error collection: db.c index: {index} dup key: {{ x: "{MARK}" }}'


@pytest.mark.parametrize("index", ["_id_", "claim_1", "npub_1_idempotency.key_1", "proofs.secret_1"])
def test_a_broken_unique_index_is_named_without_the_value(index: str) -> None:
    details = {"code": 11000, "errmsg": message(index)}
    for error in (
        DuplicateKeyError(message(index), 11000, details),
        BulkWriteError({"writeErrors": [details]}),
    ):
        duplicate = duplicate_of(error, "c")
        assert duplicate is not None and duplicate.index == index and MARK not in str(duplicate)


@pytest.mark.parametrize(
    "error",
    [
        AutoReconnect("x"),
        OperationFailure("x", 112, {"code": 112}),
        BulkWriteError({"writeErrors": [{"code": 121}]}),
        BulkWriteError({"writeErrors": []}),
    ],
)
def test_other_errors_are_no_duplicates(error: PyMongoError) -> None:
    assert duplicate_of(error, "c") is None


def test_every_unique_index_has_a_name_for_callers() -> None:
    unique = {(index.collection, index.name) for index in INDEXES if index.unique}
    assert unique <= UNIQUE_KEYS.keys()


def test_both_gateways_fit_the_protocol() -> None:
    fits: list[type[Gateway]] = [MockGateway, ClientGateway]
    assert len(fits) == 2


class _Broken(MockGateway):
    """Fails its next transaction, before or after doing it."""

    error: Exception | None = None
    times = 1
    applied = False
    blind = False
    tried = 0

    def transaction(self, work):  # type: ignore[no-untyped-def]
        self.tried += 1
        error = self.error if self.tried <= self.times else None
        if error is None or self.applied:
            super().transaction(work)
        if error is not None:
            raise error

    def holds_for_good(self, audit_id: str, batch_id: str, npub: str) -> bool:
        if self.blind:
            raise GatewayUnavailable("gone")
        return super().holds_for_good(audit_id, batch_id, npub)


@pytest.fixture
def broken() -> tuple[MongoStore, _Broken]:
    store = open_memory("memory://")
    assert isinstance(store._gateway, MockGateway)
    gateway = _Broken(store._gateway._database)
    return MongoStore("memory://", gateway), gateway


@pytest.mark.parametrize(
    "error, expected",
    [
        (GatewayUnavailable("x"), StoreUnavailable),
        (GatewayRefused("x"), InvalidBatch),
        (GatewayDuplicate("operations", "claim_1"), Duplicate),
        (Conflict("token:a"), Conflict),
    ],
)
def test_failures_of_a_transaction_that_wrote_nothing(
    broken: tuple[MongoStore, _Broken], error: Exception, expected: type[Exception]
) -> None:
    store, gateway = broken
    gateway.error = error
    with pytest.raises(expected):
        store.commit(batch_for(make_operation()))
    assert store.operation("tx-1") is None
    store.commit(batch_for(make_operation()))


@pytest.mark.parametrize(
    "error", [GatewayUnknown("x"), GatewayDuplicate("operations", "_id_"), Conflict("operation:tx-1")]
)
def test_a_transaction_that_was_applied_is_found_and_returns_quietly(
    broken: tuple[MongoStore, _Broken], error: Exception
) -> None:
    store, gateway = broken
    gateway.error, gateway.applied = error, True
    store.commit(batch_for(make_operation()))
    assert store.operation("tx-1") is not None


@pytest.mark.parametrize("error", [GatewayDuplicate("operations", "_id_"), Conflict("operation:tx-1")])
def test_what_cannot_be_looked_up_is_unknown(broken: tuple[MongoStore, _Broken], error: Exception) -> None:
    store, gateway = broken
    gateway.error, gateway.applied, gateway.blind = error, True, True
    with pytest.raises(CommitUnknown):
        store.commit(batch_for(make_operation()))


def test_an_unknown_outcome_is_resolved_by_sending_the_batch_again(
    broken: tuple[MongoStore, _Broken],
) -> None:
    store, gateway = broken
    gateway.error, gateway.times = GatewayUnknown("x"), RESENDS
    store.commit(batch_for(make_operation()))
    assert gateway.tried == RESENDS + 1 and store.operation("tx-1") is not None


def test_an_outcome_that_stays_unknown_is_said_to_be(broken: tuple[MongoStore, _Broken]) -> None:
    store, gateway = broken
    gateway.error, gateway.times = GatewayUnknown("x"), 100
    with pytest.raises(CommitUnknown):
        store.commit(batch_for(make_operation()))
    assert gateway.tried == RESENDS + 1


def test_unavailable_after_unknown_is_still_unknown(broken: tuple[MongoStore, _Broken]) -> None:
    """The second attempt wrote nothing; the first may have."""
    store, gateway = broken
    errors = iter([GatewayUnknown("x"), GatewayUnavailable("y")])

    def transaction(work: object) -> None:
        raise next(errors)

    gateway.transaction = transaction  # type: ignore[method-assign]
    with pytest.raises(CommitUnknown):
        store.commit(batch_for(make_operation()))


def test_the_lookup_is_linearizable() -> None:
    """A majority read may miss what is about to become durable, and a batch that was committed would
    be reported as refused."""
    gateway = ClientGateway(connect(address("mongodb://localhost:1/x")), "x")
    assert gateway._linear.read_concern.level == "linearizable"
    gateway.close()


@pytest.mark.parametrize("code", [257, 388])
@pytest.mark.parametrize("where", ["work", "commit"])
def test_r209_a_transaction_that_never_fits_is_told_with_the_servers_code(code: int, where: str) -> None:
    """R209: it is not tried again, for no retry helps; nothing was written, and the code says why."""
    refusal = labelled(OperationFailure(MARK, code, {"code": code, "errmsg": MARK}), TRANSIENT)
    store = open_memory("memory://")
    tried = []

    class Full(MockGateway):
        def transaction(self, work: Callable[[Transaction], None]) -> None:
            tried.append(1)
            if where == "work":
                asked("operations", lambda: _raise(refusal))
            raise outcome_of(refusal, commit_tried=True)

    gateway = store._gateway
    assert isinstance(gateway, MockGateway)
    with MongoStore("mongodb://x", Full(gateway._database)) as full:
        for call in (lambda: full.commit(batch_for(make_operation())), lambda: full.purge(_tombstone())):
            tried.clear()
            with pytest.raises(StorageError) as caught:
                call()
            error = caught.value
            assert (error.code, error.retryable) == ("BATCH_TOO_LARGE", False) and tried == [1]
            assert error.details == {"server_code": code} and str(code) in error.message
            assert MARK not in shown(error)
    assert store.operation("tx-1") is None


def test_r209_a_commit_of_unknown_outcome_stays_unknown() -> None:
    """R209: the code alone proves nothing where the server says that it does not know."""
    error = labelled(OperationFailure(MARK, 388), UNKNOWN)
    assert isinstance(outcome_of(error, commit_tried=True), GatewayUnknown)


def _raise(error: Exception) -> None:
    raise error


def _tombstone() -> Tombstone:
    span = Span("operation:tx-1", 1, 1, "none", "deposited")
    return Tombstone("tx-1", 1, "0" * 64, 1, (span,), 5, "0" * 64)


class _Forgetful(_Broken):
    """Its transactions are applied, and their answers are lost; then the sender meets an old primary, which
    does not know yet that it is none any more and shows the documents of before."""

    def transaction(self, work: Callable[[Transaction], None]) -> None:
        self.tried += 1
        if self.tried == 1:
            MockGateway.transaction(self, work)
            raise GatewayUnknown("x")
        work(_MockTransaction(_Database()))


@pytest.mark.parametrize("applied", [True, False])
def test_r613_an_old_primary_does_not_say_that_a_batch_was_not_as_written(applied: bool) -> None:
    """After an unknown outcome a refusing read-back proves nothing by itself: the batch may stand on another
    server. A look that cannot be rolled back decides; only then NOT_AS_WRITTEN is told, and never for a batch
    that is stored."""
    store = open_memory("memory://")
    assert isinstance(store._gateway, MockGateway)
    looks: list[str] = []

    class Old(_Forgetful):
        def holds_for_good(self, audit_id: str, batch_id: str, npub: str) -> bool:
            looks.append(batch_id)
            return applied and MockGateway.holds_for_good(self, audit_id, batch_id, npub)

    gateway = Old(store._gateway._database)
    fresh = MongoStore("memory://", gateway)
    asked: list[int] = []

    def check(reader: Reader) -> None:
        asked.append(1)
        if len(asked) > 1:
            raise NotAsWritten("a token is missing")

    batch = batch_for(make_operation())
    if applied:
        fresh.commit(batch, ReadBack((), check))
        assert len(asked) == 2 and looks == [batch.id] and store.operation("tx-1") is not None
        return
    with pytest.raises(NotAsWritten):
        fresh.commit(batch, ReadBack((), check))
    assert len(asked) == 3 and looks == [batch.id] * 2, "the refusal counts when it is repeated after a look"


def test_r613_a_refusing_read_back_of_a_known_outcome_asks_nobody() -> None:
    """Nothing of the batch was sent before, so its own rolled back transaction is proof enough."""
    store = open_memory("memory://")
    assert isinstance(store._gateway, MockGateway)
    gateway = _Broken(store._gateway._database)
    gateway.times, gateway.blind = 0, True

    def refuse(reader: Reader) -> None:
        raise NotAsWritten("a token is missing")

    with pytest.raises(NotAsWritten):
        MongoStore("memory://", gateway).commit(batch_for(make_operation()), ReadBack((), refuse))
    assert gateway.tried == 1 and store.operation("tx-1") is None


class _Sessions:
    """A client whose transactions run their work once and are committed."""

    def __init__(self) -> None:
        self.committed = 0

    def start_session(self) -> Any:
        return contextlib.nullcontext(self)

    def with_transaction(self, run: Callable[[Any], None], **_: object) -> None:
        run(self)
        self.committed += 1

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("seconds", "committed"), [(4, 1), (6, 0)])
def test_r457_work_that_took_too_long_is_not_committed(
    seconds: int, committed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R457: a read-back that computes for longer than the transaction may take leaves no time to learn how
    its commit ended. So it is not committed at all: the outcome is known, and the caller may write less."""
    now = [0.0]
    monkeypatch.setattr(client, "time", SimpleNamespace(monotonic=lambda: now[0]))
    gateway = ClientGateway(connect(address("mongodb://localhost:1/x")), "x")
    gateway._client.close()
    sessions: Any = _Sessions()
    gateway._client = sessions

    def work(transaction: Transaction) -> None:
        now[0] += seconds

    with contextlib.nullcontext() if committed else pytest.raises(GatewayUnavailable, match="time"):
        gateway.transaction(work)
    assert sessions.committed == committed
    gateway.close()
