"""The documents as existing deployments know them, and what foreign programs put into them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from attrs import evolve
from bson import ObjectId

from nutstate.storage.batch import DedupTake
from nutstate.storage.errors import CorruptRecord
from nutstate.storage.memory import MockGateway, open_memory
from nutstate.storage.mongo.codec import operation_document, token_document, token_from_document
from nutstate.storage.mongo.schema import INDEXES, TOKENS
from nutstate.storage.mongo.shards import collections_of
from nutstate.storage.mongo.store import MongoStore
from nutstate.storage.port import TokenQuery
from nutstate.storage.records import DedupRecord, TokenMetadata
from nutstate.storage.testing.records import batch_for, make_operation, make_token
from tests.contract.store.steps import put, reserved

SOURCE_INDEXES = {
    "npub_1_mint_url_1_status_1", "npub_1_transaction_type_1_status_1", "metadata.parent_transaction_id_1",
    "atomic_transaction_lookup",
}  # fmt: skip


@pytest.fixture
def store() -> MongoStore:
    return open_memory("memory://")


def collection(store: MongoStore, name: str = TOKENS) -> Any:
    assert isinstance(store._gateway, MockGateway)
    return store._gateway._database.collections[name]


def test_a_token_document_has_exactly_the_known_field_names() -> None:
    token = make_token("tx_keep", 8, transaction_type="change", created_at=1_000, updated_at=2_500)
    document = token_document(token)
    assert set(document) == {
        "_id", "npub", "wallet_id", "proofs", "proof_keys", "mint_url", "unit", "total_amount", "status",
        "transaction_type", "transaction_id", "metadata", "spent_at", "createdAt", "updatedAt",
        "state", "prev_state", "version", "reserved_by", "schema_version",
    }  # fmt: skip
    assert document["createdAt"] == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert document["updatedAt"] == datetime(1970, 1, 1, 0, 0, 2, 500_000, tzinfo=UTC)
    assert document["metadata"] == {"source": "change", "parent_transaction_id": "tx-parent"}
    assert document["transaction_id"] == "tx_keep" and document["spent_at"] is None
    assert set(document["proofs"][0]) == {"id", "amount", "secret", "C"}


@pytest.mark.parametrize(
    "state, status",
    [("awaiting", "pending"), ("reserved", "pending"), ("outstanding", "pending"), ("unspent", "unspent"),
     ("spent", "spent"), ("failed", "failed")],
)  # fmt: skip
def test_status_is_the_projection_of_state(state: str, status: str) -> None:
    assert token_document(make_token("a", state=state))["status"] == status


def test_the_status_follows_every_advance(store: MongoStore) -> None:
    operation, (token,) = put(store, make_token("a"), operation=make_operation())
    store.commit(batch_for(evolve(operation, state="prepared"), operation, tokens=[reserved(token)]))
    assert collection(store).find_one({"transaction_id": "a"})["status"] == "pending"


def test_the_four_indexes_of_the_source_design_keep_their_names(store: MongoStore) -> None:
    present = collection(store).index_information().keys()
    assert present >= SOURCE_INDEXES
    assert {i.name for i in INDEXES if i.unique and i.collection == TOKENS} == {
        "transaction_id_1", "proof_keys_1", "proofs.secret_1",
    }  # fmt: skip


def test_r604_a_token_has_the_types_that_its_readers_know(store: MongoStore) -> None:
    """R604: ``_id`` is an ObjectId, so is a wallet's id of 24 hex digits; ``operation_timestamp`` is ISO
    text. It is read back as it was written, and found by either spelling of the wallet."""
    wallet = "65f1c0ffee65f1c0ffee65f1"
    metadata = TokenMetadata("p2p", operation_timestamp=1_700_000_000_123)
    put(store, make_token("a", wallet_id=wallet, metadata=metadata, created_at=1_700_000_000_000))
    stored = collection(store).find_one({"transaction_id": "a"})
    assert isinstance(stored["_id"], ObjectId) and stored["wallet_id"] == ObjectId(wallet)
    assert stored["_id"].generation_time == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert stored["metadata"]["operation_timestamp"] == "2023-11-14T22:13:20.123Z"
    token = store.token("a")
    assert token is not None and token.wallet_id == wallet and token.metadata == metadata
    for spelling in (wallet, ObjectId(wallet)):
        collection(store).update_one({"transaction_id": "a"}, {"$set": {"wallet_id": spelling}})
        assert [t.transaction_id for t in store.tokens(TokenQuery(wallet_id=wallet))] == ["a"]


@pytest.mark.parametrize(
    ("stored", "read"),
    [("2023-11-14T22:13:20.123Z", 1_700_000_000_123), (1_700_000_000_123.0, 1_700_000_000_123),
     (1_700_000_000_123, 1_700_000_000_123), ("2023-11-14T22:13:20+00:00", 1_700_000_000_000)],
)  # fmt: skip
def test_r604_every_form_of_a_timestamp_is_read(store: MongoStore, stored: Any, read: int) -> None:
    """R604: documents of other programs and of an older schema are read as well."""
    put(store, make_token("a"))
    change = {"metadata.operation_timestamp": stored, "wallet_id": "plain text"}
    collection(store).update_one({"transaction_id": "a"}, {"$set": change})
    token = store.token("a")
    assert token is not None and token.metadata.operation_timestamp == read
    assert token.wallet_id == "plain text"


def test_r604_every_document_says_whose_wallet_it_belongs_to(store: MongoStore) -> None:
    """R604: operations with their duplicate windows, tokens, records and tombstones carry ``npub``, on one
    replica set as on a cluster, so that moving to a cluster rewrites none of them."""
    dedup = DedupRecord("key", "tx-1", 9)
    store.commit(batch_for(make_operation(), tokens=[make_token("a")], dedup=dedup))
    for name in (TOKENS, "operations", "audit_log"):
        found = list(collection(store, name).find({}))
        assert found and {document["npub"] for document in found} == {make_token("a").npub}, name


def test_r618_the_duplicate_window_is_a_field_of_its_operation(store: MongoStore) -> None:
    """R618: it is no field of the record, and goes with the takeover; a form that is not ours is told of."""
    first = batch_for(make_operation("tx-1"), dedup=DedupRecord("key", "tx-1", 9))
    store.commit(first)
    operations = collection(store, "operations")
    stored = operations.find_one({"_id": "tx-1"})
    assert stored == operation_document(first.operation.after, DedupRecord("key", "tx-1", 9))
    assert stored["dedup"] == {"key": "key", "until": 9} and "dedup" not in collections_of(False)
    taken = DedupTake(DedupRecord("key", "tx-2", 19), DedupRecord("key", "tx-1", 9))
    store.commit(batch_for(make_operation("tx-2"), dedup=taken))
    assert operations.find_one({"_id": "tx-1"}) == operation_document(first.operation.after)
    operations.update_one({"_id": "tx-2"}, {"$set": {"dedup.until": "soon"}})
    with pytest.raises(CorruptRecord, match="dedup record"):
        store.dedup("key")


def test_foreign_object_ids_and_dates_are_read_and_never_rewritten(store: MongoStore) -> None:
    operation, (token,) = put(store, make_token("a"), operation=make_operation())
    wallet, moment = ObjectId(), datetime(2024, 5, 6, 7, 8, 9)
    foreign = {"wallet_id": wallet, "metadata.sent_at": moment, "metadata.info": {"by": wallet}}
    collection(store).update_one({"transaction_id": "a"}, {"$set": foreign})
    read = store.token("a")
    assert read is not None and read.wallet_id == str(wallet)
    assert read.metadata.extra == {"sent_at": moment.isoformat(), "info": {"by": str(wallet)}}
    assert [t.transaction_id for t in store.tokens(TokenQuery(wallet_id=str(wallet)))] == ["a"]
    assert sum(held.amount for held in store.coins_by_keyset(token.npub, wallet_id=str(wallet))) == 7
    stamped = evolve(read.metadata, operation_hash="ab" * 8)
    changed = evolve(read, state="reserved", reserved_by="tx-1", metadata=stamped)
    store.commit(batch_for(evolve(operation, state="quoted"), operation, tokens=[(read, changed)]))
    stored = collection(store).find_one({"transaction_id": "a"})
    assert stored["wallet_id"] == wallet and stored["metadata"]["sent_at"] == moment
    assert stored["metadata"]["operation_hash"] == "ab" * 8 and token.version + 1 == stored["version"]


@pytest.mark.parametrize(
    "change, field",
    [
        ({"$set": {"status": "melted"}}, "status"),
        ({"$unset": {"createdAt": 1}}, "createdAt"),
        ({"$set": {"updatedAt": 5}}, "updatedAt"),
        ({"$set": {"proofs.0.amount": 1.5}}, "proofs[0].amount"),
        ({"$set": {"surprise": 1}}, "surprise"),
        ({"$unset": {"version": 1}}, "version"),
        ({"$set": {"metadata": None}}, "metadata"),
    ],
)
def test_a_foreign_document_that_does_not_decode_is_named(store: MongoStore, change: Any, field: str) -> None:
    put(store, make_token("a"))
    collection(store).update_one({"transaction_id": "a"}, change)
    with pytest.raises(CorruptRecord) as caught:
        store.token("a")
    assert caught.value.details == {"document": "token:a", "field": field}


def test_a_fractional_total_is_not_summed_up(store: MongoStore) -> None:
    put(store, make_token("a"))
    collection(store).update_one({"transaction_id": "a"}, {"$set": {"total_amount": 1.5}})
    with pytest.raises(CorruptRecord):
        store.balance(make_token("a").npub)


def test_sixty_four_bit_integers_of_the_driver_are_plain_integers() -> None:
    from bson.int64 import Int64

    document = token_document(make_token("a", 2**40))
    document["total_amount"] = Int64(2**40)
    document["proofs"][0]["amount"] = Int64(2**40)
    token = token_from_document(document)
    assert type(token.total_amount) is int and type(token.proofs[0].amount) is int


def test_the_lease_is_always_a_document_so_that_its_term_lives_on() -> None:
    document = operation_document(make_operation())
    assert document["lease"] == {"worker": None, "until": 0, "term": 0} and document["_id"] == "tx-1"


def test_metadata_that_changes_only_elsewhere_is_written_whole(store: MongoStore) -> None:
    operation, (token,) = put(store, make_token("a"), operation=make_operation())
    changed = evolve(token, state="reserved", reserved_by="x", metadata=TokenMetadata("p2p", extra={"n": 1}))
    store.commit(batch_for(evolve(operation, state="quoted"), operation, tokens=[(token, changed)]))
    assert collection(store).find_one({"transaction_id": "a"})["metadata"] == {"n": 1, "source": "p2p"}
