"""F10: planted faults. Each test removes one thing the store rests on and shows that the checks of
this folder notice. A check that cannot fail checks nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from typing import Any

import pytest
from pymongo import MongoClient, WriteConcern
from pymongo.client_session import ClientSession
from pymongo.errors import AutoReconnect, PyMongoError, WriteError
from pymongo.read_concern import ReadConcern

from nutstate.storage.local.replica_set import ReplicaSet
from nutstate.storage.mongo import client as mongo_client
from nutstate.storage.mongo.client import Budget
from nutstate.storage.mongo.codec import token_document
from nutstate.storage.mongo.filters import equal
from nutstate.storage.mongo.gateway import Document, GatewayUnavailable, GatewayUnknown
from nutstate.storage.mongo.schema import AUDIT, OPERATIONS, TOKENS
from nutstate.storage.mongo.session import SessionWrites, asked
from nutstate.storage.mongo.store import MongoStore
from nutstate.storage.testing.records import make_token
from tests.faults import scenarios as faults
from tests.faults.history import History
from tests.faults.ledger import Books, Ledger, Verdict
from tests.faults.load import Watcher, Writers, mongo_store
from tests.faults.rivals import race_threads
from tests.faults.test_client_death import assert_aborted_at_once
from tests.faults.test_many_clients import CLIENTS
from tests.faults.test_server_death import assert_unknown_until_majority

pytestmark = [pytest.mark.faults, pytest.mark.real_mongo]

ROUNDS = 20
Plant = pytest.MonkeyPatch


@pytest.fixture
def clients(one: ReplicaSet, database: str) -> Iterator[list[MongoStore]]:
    """Four clients with connections of their own."""
    with ExitStack() as stack:
        yield [stack.enter_context(mongo_store(one.url(database))) for _ in range(CLIENTS)]


def counted(store: MongoStore) -> Verdict:
    return Ledger(Books.read(store)).verdict(History())


def drop_index(servers: ReplicaSet, database: str, collection: str, *names: str) -> None:
    with MongoClient[Document](servers.url(database)) as client:
        for name in names:
            client[database][collection].drop_index(name)


# -- one winner --------------------------------------------------------------------------------------


def forget_what_was_expected(monkeypatch: Plant) -> None:
    """The compare-and-set compares nothing but the id."""

    def blind(**fields: Any) -> Document:
        return equal(**{name: value for name, value in fields.items() if name not in ("state", "version")})

    monkeypatch.setattr("nutstate.storage.mongo.write.equal", blind)


def test_without_state_and_version_in_the_filter_losers_hear_nonsense(
    clients: list[MongoStore], monkeypatch: Plant
) -> None:
    """The unique audit index still stops the second winner, but no longer as a Conflict."""
    forget_what_was_expected(monkeypatch)
    with pytest.raises(AssertionError, match="Duplicate audit"):
        race_threads(clients, "token", ROUNDS)


def test_without_state_and_version_and_the_audit_index_a_token_is_reserved_twice(
    one: ReplicaSet, database: str, clients: list[MongoStore], monkeypatch: Plant
) -> None:
    drop_index(one, database, AUDIT, "entity_1_version_1")
    forget_what_was_expected(monkeypatch)
    with pytest.raises(AssertionError, match=r"'won', .*'won'"):
        race_threads(clients, "token", ROUNDS)
    assert counted(clients[0]).doubled > 0


def test_without_the_unique_index_a_key_has_many_operations(
    one: ReplicaSet, database: str, clients: list[MongoStore]
) -> None:
    drop_index(one, database, OPERATIONS, "npub_1_idempotency.key_1")
    with pytest.raises(AssertionError, match=r"'won', .*'won'"):
        race_threads(clients, "idempotency_key", ROUNDS)
    assert counted(clients[0]).doubled > 0


def test_without_the_proof_index_a_proof_is_in_many_tokens(
    clients: list[MongoStore], one: ReplicaSet, database: str
) -> None:
    drop_index(one, database, TOKENS, "proof_keys_1")
    drop_index(one, database, TOKENS, "proofs.secret_1")  # the cross-check would catch it
    with pytest.raises(AssertionError, match=r"'won', .*'won'"):
        race_threads(clients, "proof", ROUNDS)
    assert counted(clients[0]).doubled > 0


# -- all or nothing ----------------------------------------------------------------------------------


def test_without_session_the_writes_survive_the_abort(clients: list[MongoStore], monkeypatch: Plant) -> None:
    def sessionless(self: SessionWrites, collection: str, documents: Sequence[Document]) -> None:
        stored = self._database[collection]
        asked(collection, lambda: stored.insert_many(list(documents)))

    monkeypatch.setattr(SessionWrites, "insert_many", sessionless)
    with pytest.raises(AssertionError):
        race_threads(clients, "token", ROUNDS)
    verdict = counted(clients[0])
    assert verdict.partial > 0, verdict


def test_without_the_abort_others_wait_for_a_client_whose_time_is_over(
    one: ReplicaSet, database: str, monkeypatch: Plant
) -> None:
    real = ClientSession._finish_transaction_with_retry

    def commits_only(self: ClientSession, command: str) -> dict[str, Any]:
        return real(self, command) if command == "commitTransaction" else {}

    monkeypatch.setattr(ClientSession, "_finish_transaction_with_retry", commits_only)
    with pytest.raises(AssertionError, match="token: "):
        assert_aborted_at_once(one, database)


def test_without_a_snapshot_the_reader_sees_half_a_batch(
    one: ReplicaSet, database: str, monkeypatch: Plant
) -> None:
    with mongo_store(one.url(database)) as store, mongo_store(one.url(database)) as other:
        monkeypatch.setattr(other, "snapshot", lambda: nullcontext(other))
        with pytest.raises(AssertionError, match=r"value appeared|of another moment|: \d+ of"):
            with Watcher(other), Writers(store, "s1") as load:
                load.wait_for_acknowledgements(300)


# -- what is acknowledged stays ----------------------------------------------------------------------

HASTY_ALONE = Budget(transaction_s=0.2, commit_s=0.2, settle_s=0.4)
"""So hasty that a primary that was cut off is still there when the batch is sent again."""


def local_reads(monkeypatch: Plant, *levels: str) -> None:
    """These read concerns are forgotten."""

    def concern(level: str | None = None) -> ReadConcern:
        return ReadConcern("local" if level in levels else level)

    monkeypatch.setattr(mongo_client, "ReadConcern", concern)


def test_without_majority_an_acknowledged_batch_is_lost(
    three: ReplicaSet, database: str, monkeypatch: Plant
) -> None:
    monkeypatch.setattr(mongo_client, "DURABLE", WriteConcern(w=1, j=True))
    local_reads(monkeypatch, "majority")
    verdict = faults.run(three, database, faults.cut_off_and_kill_primary)
    assert verdict.lost > 0, verdict


def test_without_a_linearizable_look_an_acknowledged_batch_is_lost(
    three: ReplicaSet, database: str, monkeypatch: Plant
) -> None:
    """The batch is found on the primary that wrote it alone, and taken for committed."""
    local_reads(monkeypatch, "linearizable")
    verdict = faults.run(three, database, faults.cut_off_and_kill_primary, budget=HASTY_ALONE)
    assert verdict.lost > 0, verdict


# -- what the store says -----------------------------------------------------------------------------


def test_reading_the_class_instead_of_the_label_calls_a_commit_refused(
    three: ReplicaSet, database: str, monkeypatch: Plant
) -> None:
    """A connection that broke is unknown, whatever ran out of time or the server refused has failed."""

    def by_class(error: PyMongoError, commit_tried: bool) -> GatewayUnknown | GatewayUnavailable:
        kind = GatewayUnknown if commit_tried and type(error) is AutoReconnect else GatewayUnavailable
        return kind(type(error).__name__)

    monkeypatch.setattr(mongo_client, "outcome_of", by_class)
    with pytest.raises(AssertionError, match="unavailable"):
        assert_unknown_until_majority(three, database)


def test_without_looking_for_the_batch_a_committed_one_is_refused(
    three: ReplicaSet, database: str, monkeypatch: Plant
) -> None:
    monkeypatch.setattr(MongoStore, "_holds", lambda self, batch: False)
    with pytest.raises(AssertionError, match="refused"):
        assert_unknown_until_majority(three, database)


# -- foreign programs --------------------------------------------------------------------------------


def assert_no_melted_token_can_be_stored(servers: ReplicaSet, database: str) -> None:
    """Not even by a program that knows nothing of us."""
    token = make_token("foreign", 1)
    fields: dict[str, dict[str, Any]] = {
        "transaction_type": {"transaction_type": "melted"},
        "state": {"state": "melted"},
        "status": {"status": "melted"},
    }
    with MongoClient[Document](servers.url(database)) as client:
        tokens = client[database][TOKENS]
        for name, melted in fields.items():
            try:
                tokens.insert_one(token_document(token) | melted)
            except WriteError as error:
                assert error.code == 121, f"{name}: {error.code}"
            else:
                raise AssertionError(f"a token with {name} melted was stored")
        assert tokens.count_documents({}) == 0


def test_no_program_can_store_a_melted_token(one: ReplicaSet, database: str) -> None:
    mongo_store(one.url(database)).close()
    assert_no_melted_token_can_be_stored(one, database)


def test_without_the_validator_a_melted_token_is_stored(one: ReplicaSet, database: str) -> None:
    mongo_store(one.url(database)).close()
    with MongoClient[Document](one.url(database)) as client:
        client[database].command({"collMod": TOKENS, "validator": {}})
    with pytest.raises(AssertionError, match="melted was stored"):
        assert_no_melted_token_can_be_stored(one, database)
