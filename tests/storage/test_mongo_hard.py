"""What a hostile reader of the MongoDB store found, kept as tests on a real server."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from attrs import evolve, field, frozen
from pymongo import MongoClient

from nutstate import open_store
from nutstate.engine.audit.verify import spans_of
from nutstate.storage.errors import CommitUnknown, Duplicate, InvalidBatch, StoreUnavailable
from nutstate.storage.mongo.gateway import GatewayUnavailable
from nutstate.storage.mongo.session import SessionWrites
from nutstate.storage.mongo.store import MongoStore
from nutstate.storage.port import AuditQuery, Store, TokenQuery, TombstoneQuery
from nutstate.storage.records import TokenMetadata, Tombstone
from nutstate.storage.testing.records import NPUB, batch_for, make_operation, make_proofs, make_token

pytestmark = pytest.mark.real_mongo
MARK = "ab5ec2e7"


@pytest.fixture
def url(mongo_urls: Callable[[], str]) -> str:
    return mongo_urls()


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


def open_transactions(store: Store) -> int:
    assert isinstance(store, MongoStore)
    client = store._gateway._client  # type: ignore[attr-defined]
    return int(client.admin.command("serverStatus")["transactions"]["currentOpen"])


def everything_shown(error: BaseException) -> str:
    text = "".join(traceback.format_exception(error))
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        text += f"{link!r} {link.__dict__!r} {getattr(link, 'details', '')!r}"
        link = link.__cause__ or link.__context__
    return text


@pytest.mark.parametrize("levels", [50, 62, 64, 100, 190, 199, 205])
def test_depth_is_stored_or_refused_and_never_shown(url: str, levels: int) -> None:
    metadata = TokenMetadata("p2p", extra={"deep": nested(levels)})
    proof = evolve(make_proofs("deep", 4)[0], secret=type(make_proofs("x", 1)[0].secret)(MARK))
    batch = batch_for(make_operation(), tokens=[make_token("deep", proofs=(proof,), metadata=metadata)])
    with open_store(url) as store:
        try:
            store.commit(batch)
        except InvalidBatch as error:
            assert MARK not in everything_shown(error) and store.token("deep") is None
            assert levels >= 62
        else:
            assert store.token("deep") is not None and levels < 64


def test_no_failure_of_the_server_shows_a_document(url: str) -> None:
    """Whatever error the server answers a write with, its copy of the document is not passed on."""
    proof = evolve(make_proofs("t", 4)[0], secret=type(make_proofs("x", 1)[0].secret)(MARK))
    with open_store(url) as store, MongoClient[dict[str, Any]](url) as client:
        database = client.get_default_database()
        database.command({"collMod": "cashu_tokens", "validator": {"nobody": "passes"}})
        try:
            with pytest.raises(InvalidBatch) as caught:
                store.commit(batch_for(make_operation(), tokens=[make_token("t", proofs=(proof,))]))
            assert MARK not in everything_shown(caught.value)
        finally:
            database.command({"drop": "cashu_tokens"})
    open_store(url).close()


def test_the_drivers_log_at_debug_shows_no_secret(url: str, caplog: pytest.LogCaptureFixture) -> None:
    proof = evolve(make_proofs("t", 4)[0], secret=type(make_proofs("x", 1)[0].secret)(MARK))
    with caplog.at_level(logging.DEBUG), open_store(url) as store:
        store.commit(batch_for(make_operation(), tokens=[make_token("t", proofs=(proof,))]))
        assert len(store.tokens(TokenQuery(npub=NPUB))) == 1
    assert MARK not in caplog.text
    assert MARK not in "".join(repr(record.msg) + repr(record.args) for record in caplog.records)


def test_one_secret_under_two_spellings_of_a_mint_is_one_proof(url: str) -> None:
    with open_store(url) as store, MongoClient[dict[str, Any]](url) as client:
        tokens = client.get_default_database().cashu_tokens
        store.commit(batch_for(make_operation(), tokens=[make_token("a", 4)]))
        stored = tokens.find_one({"transaction_id": "a"})
        assert stored is not None
        twice = stored | {"_id": "b", "transaction_id": "b", "mint_url": "HTTPS://mint.example/"}
        with pytest.raises(Exception, match="E11000"):
            tokens.insert_one(twice)
        tokens.drop_index("proof_keys_1")
        other = make_token("c", proofs=make_proofs("a", 4), mint_url="https://mint.example/")
        with pytest.raises(Duplicate, match="proof"):
            store.commit(batch_for(make_operation("tx-2"), tokens=[other]))


@pytest.mark.parametrize("source, target", [("a", "b"), ("b", "a")])
def test_a_proof_moves_between_stored_tokens_in_either_direction(url: str, source: str, target: str) -> None:
    with open_store(url) as store:
        first = batch_for(make_operation(state="unknown"), tokens=[make_token("a"), make_token("b", 8, 16)])
        store.commit(first)
        stored = {change.after.transaction_id: change.after for change in first.tokens}
        giver, taker = stored[source], stored[target]
        moved, rest = giver.proofs[0], giver.proofs[1:]
        smaller = evolve(giver, proofs=rest, total_amount=giver.total_amount - moved.amount)
        larger = evolve(taker, proofs=(*taker.proofs, moved), total_amount=taker.total_amount + moved.amount)
        operation = first.operation.after
        store.commit(
            batch_for(
                evolve(operation, state="pending"), operation, tokens=[(giver, smaller), (taker, larger)]
            )
        )
        assert store.token(target) is not None
        assert sum(held.amount for held in store.balance(NPUB)) == 31


@frozen
class Halt:
    """The first statement of a transaction says that it is done (``inside``), and waits for ``go_on``."""

    inside: threading.Event = field(factory=threading.Event)
    go_on: threading.Event = field(factory=threading.Event)


@pytest.fixture
def halt(monkeypatch: pytest.MonkeyPatch) -> Iterator[Halt]:
    """A transaction that halts behind its first statement."""
    made = Halt()
    original = SessionWrites.insert_many

    def insert_many(self: SessionWrites, collection: str, documents: Any) -> None:
        original(self, collection, documents)
        if not made.inside.is_set():
            made.inside.set()
            made.go_on.wait(60)

    monkeypatch.setattr(SessionWrites, "insert_many", insert_many)
    yield made
    made.go_on.set()


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_inside_a_transaction_aborts_it(url: str, halt: Halt) -> None:
    def interrupt() -> None:
        halt.inside.wait(60)
        press_ctrl_c()

    with open_store(url) as store:
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            store.commit(batch_for(make_operation()))
        halt.go_on.set()
        thread.join()
        until(lambda: open_transactions(store) == 0)
        assert store.operation("tx-1") is None
        store.commit(batch_for(make_operation()))  # nothing holds a lock


def test_closing_from_another_thread_leaves_no_transaction_open(url: str, halt: Halt) -> None:
    store, failed = open_store(url), list[BaseException]()
    assert isinstance(store, MongoStore)
    calls = store._gateway._calls  # type: ignore[attr-defined]

    def write() -> None:
        try:
            store.commit(batch_for(make_operation()))
        except (StoreUnavailable, CommitUnknown) as error:
            failed.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    halt.inside.wait(60)
    closing = threading.Thread(target=store.close)
    closing.start()
    until(lambda: calls.closed)
    halt.go_on.set()
    closing.join()
    thread.join()
    with open_store(url) as again:
        assert open_transactions(again) == 0
        assert [type(error) for error in failed] == [StoreUnavailable]
        assert again.operation("tx-1") is None


def test_many_interruptions_leave_no_lock_and_no_lie(url: str) -> None:
    """Ctrl-C at any moment of a commit: afterwards the same batch says what happened."""
    armed, interrupted = False, 0

    def interrupt(number: int, frame: object) -> None:
        if armed:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        with open_store(url) as store:
            for n in range(60):
                batch = batch_for(make_operation(f"tx-{n}"))
                timer = threading.Timer(0.0003 * (n % 20), press_ctrl_c)
                try:
                    armed = True
                    timer.start()
                    store.commit(batch)
                    armed = False
                except KeyboardInterrupt:
                    armed, interrupted = False, interrupted + 1
                timer.join()
                store.commit(batch)
                assert store.operation(batch.operation.after.id) is not None
            until(lambda: open_transactions(store) == 0)
    finally:
        signal.signal(signal.SIGINT, before)
    assert interrupted > 10


def until(holds: Callable[[], bool], limit_s: float = 20) -> None:
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_other_programs_wrote_into_metadata_is_read(url: str) -> None:
    from bson import Binary, DBRef, Decimal128, ObjectId
    from bson.datetime_ms import DatetimeMS

    odd = {
        "far": DatetimeMS(10**15), "decimal": Decimal128("1.5"), "binary": Binary(b"x"), "nan": float("nan"),
        "id": ObjectId(), "ref": DBRef("c", "i"), "operation_timestamp": 1_760_000_000_000,
    }  # fmt: skip
    far = {"datetime_conversion": "DATETIME_AUTO"}
    with open_store(url) as store, MongoClient[dict[str, Any]](url, **far) as client:  # type: ignore[arg-type]
        store.commit(batch_for(make_operation(), tokens=[make_token("a", 4)]))
        tokens = client.get_default_database().cashu_tokens
        tokens.update_one(
            {"transaction_id": "a"}, {"$set": {f"metadata.{name}": value for name, value in odd.items()}}
        )
        token = store.token("a")
        assert token is not None and token.metadata.extra.keys() == odd.keys() - {"operation_timestamp"}
        operation = store.operation("tx-1")
        assert operation is not None
        reserved = evolve(token, state="reserved", reserved_by="tx-1")
        store.commit(batch_for(evolve(operation, state="quoted"), operation, tokens=[(token, reserved)]))
        kept = tokens.find_one({"transaction_id": "a"})
        assert kept is not None and kept["metadata"]["decimal"] == odd["decimal"]


def test_r224_a_purge_that_aborts_after_its_delete_loses_nothing(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R224: deleting is part of the transaction; what dies behind it leaves every record and no tombstone."""
    with open_store(url) as store:
        batch = batch_for(
            make_operation(kind="deposit", state="deposited", finished_at=5), tokens=[make_token("a")]
        )
        store.commit(batch)
        op = batch.operation.after
        stone = Tombstone(
            op.id, op.audit_seq, op.audit_hash, op.audit_seq, spans_of(batch.audit), 5, "0" * 64
        )
        held = list(store.audit(AuditQuery()))
        deleted = SessionWrites.delete_many
        gone: list[int] = []

        def dies_after(self: SessionWrites, *arguments: Any) -> int:
            gone.append(deleted(self, *arguments))
            raise GatewayUnavailable("died behind the delete")

        with monkeypatch.context() as dying:
            dying.setattr(SessionWrites, "delete_many", dies_after)
            with pytest.raises(StoreUnavailable):
                store.purge(stone)
        assert set(gone) == {len(held)}
        assert list(store.audit(AuditQuery())) == held and not store.tombstones(TombstoneQuery())
        assert store.purge(stone) == len(held)
        assert not store.audit(AuditQuery()) and list(store.tombstones(TombstoneQuery())) == [stone]
