"""A foreign program with plain ``pymongo`` cannot write money that the rules do not know."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from bson import Decimal128
from bson.datetime_ms import DatetimeMS
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, OperationFailure, WriteError

from nutstate import open_store
from nutstate.storage.batch import proof_key
from nutstate.storage.port import TokenQuery
from nutstate.storage.rules.plain import AMOUNT_MAX
from nutstate.storage.testing.records import NPUB, batch_for, make_operation, make_proofs, make_token

pytestmark = pytest.mark.real_mongo

Document = dict[str, Any]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
REFUSED = 121
STATES = ("unspent", "reserved", "outstanding", "spent", "awaiting")


@pytest.fixture
def raw(mongo_urls: Callable[[], str]) -> Iterator[Database[Document]]:
    """A plain connection to a store with one token in each state."""
    url = mongo_urls()
    with open_store(url) as store, MongoClient[Document](url) as client:
        fields = {"outstanding": {"transaction_type": "sent"}, "awaiting": {"transaction_type": "minted"}}
        tokens = [make_token(state, 1, 2, state=state, **fields.get(state, {})) for state in STATES[:4]]
        awaiting = make_token("awaiting", state="awaiting", transaction_type="minted")
        store.commit(batch_for(make_operation(), tokens=[*tokens, awaiting]))
        yield client.get_default_database()
        assert len(store.tokens(TokenQuery())) >= 5  # all still decode


def proofs(*amounts: Any, tag: str = "raw") -> list[Document]:
    return [{"id": "k", "amount": a, "secret": f"{tag}{n}", "C": "c"} for n, a in enumerate(amounts)]


def document(**fields: Any) -> Document:
    """A token document that the rules accept."""
    made = {
        "_id": "new", "transaction_id": "new", "npub": "n", "wallet_id": "w", "mint_url": "https://m",
        "unit": "sat", "transaction_type": "received", "state": "unspent", "status": "unspent",
        "version": 1, "prev_state": None, "total_amount": 3, "proofs": proofs(1, 2),
        "metadata": {"source": "p2p"}, "createdAt": NOW, "updatedAt": NOW, "spent_at": None,
        "reserved_by": None, "schema_version": 1,
    } | fields  # fmt: skip
    return {"proof_keys": keys(made["proofs"])} | made


def keys(held: Any) -> list[str]:
    """What belongs beside such proofs, as far as they are proofs."""
    held = [proof for proof in held if isinstance(proof, dict)] if isinstance(held, list) else []
    return [sha256(proof.get("secret", "").encode()).hexdigest() for proof in held]


def test_a_lawful_document_is_accepted(raw: Database[Document]) -> None:
    raw.cashu_tokens.insert_one(document())
    spent = {"state": "spent", "status": "spent", "spent_at": NOW, "proofs": proofs(1, 2, tag="s")}
    raw.cashu_tokens.insert_one(document(_id="s", transaction_id="s", **spent))
    extra = {"metadata": {"source": "p2p", "recipient_info": {"x": 1}}}
    raw.cashu_tokens.insert_one(document(_id="e", transaction_id="e", proofs=proofs(3, tag="e"), **extra))


SPENT: Document = {"state": "spent", "status": "spent", "spent_at": NOW}
PARENT: Document = {"metadata": {"source": "change", "parent_transaction_id": "p"}}
CHANGE: Document = {"transaction_type": "change"}

UNLAWFUL: dict[str, Document] = {
    "type melted": {"transaction_type": "melted"},
    "type missing": {"transaction_type": None},
    "state melted": {"state": "melted", "status": "spent"},
    "status melted": {"status": "melted"},
    "status of another state": {"state": "reserved", "reserved_by": "x"},
    "change without parent": CHANGE,
    "change with null parent": CHANGE | {"metadata": {"source": "c", "parent_transaction_id": None}},
    "change with empty parent": CHANGE | {"metadata": {"source": "c", "parent_transaction_id": ""}},
    "change with a number as parent": CHANGE | {"metadata": {"source": "c", "parent_transaction_id": 5}},
    "change born spent": CHANGE | PARENT | SPENT,
    "change born spent, pretending a past": CHANGE | PARENT | SPENT | {"version": 2},
    "spent without a time": SPENT | {"spent_at": None},
    "spent at a text": SPENT | {"spent_at": "2026-01-01"},
    "unspent with a time": {"spent_at": NOW},
    "reserved by nobody": {"state": "reserved", "status": "pending"},
    "reserved by the empty name": {"state": "reserved", "status": "pending", "reserved_by": ""},
    "unspent but owned by an operation": {"reserved_by": "tx"},
    "total that is not the sum": {"total_amount": 4},
    "total as text": {"total_amount": "3"},
    "total as a double": {"total_amount": 3.0},
    "fractional total": {"total_amount": 3.5, "proofs": proofs(1, 2.5)},
    "fractional proof": {"proofs": proofs(0.5, 2.5)},
    "zero proof": {"proofs": proofs(3, 0)},
    "negative proof": {"proofs": proofs(4, -1)},
    "huge proof": {"total_amount": AMOUNT_MAX + 1, "proofs": proofs(AMOUNT_MAX + 1)},
    "total of nothing": {"proofs": []},
    "no proofs field": {"proofs": None},
    "proofs that are an object": {"proofs": {"amount": 3, "secret": "s"}},
    "the same secret twice in one document": {"proofs": [*proofs(1), *proofs(2)]},
    "a proof without secret": {"proofs": [{"id": "k", "amount": 3, "C": "c"}]},
    "version zero": {"version": 0},
    "version as a double": {"version": 1.0},
    "version two at birth": {"version": 2},
    "version one after a step": {"prev_state": "reserved"},
    "no edge: unspent from outstanding": {"prev_state": "outstanding", "version": 2},
    "no edge: out of spent": {"prev_state": "spent", "version": 2},
    "no edge: failed at birth": {"state": "failed", "status": "failed", "proofs": [], "total_amount": 0},
    "awaited money that has a value": {
        "state": "awaiting",
        "status": "pending",
        "transaction_type": "minted",
    },
    "an id that is not the document's": {"transaction_id": "other"},
    "another program's document": {"_id": 5},
    "no schema version": {"schema_version": None},
    "a date as a number": {"createdAt": 1_700_000_000_000},
    "a date nobody can read": {"createdAt": DatetimeMS(300_000_000_000_000)},
    "spent before the calendar": SPENT | {"spent_at": DatetimeMS(-(10**15))},
    "a field our reader does not know": {"note": "x"},
    "a proof field our reader does not know": {"proofs": [proofs(3)[0] | {"note": "x"}]},
    "a dleq of nothing": {"proofs": [proofs(3)[0] | {"dleq": {}}]},
    "metadata with a hash that is a number": {"metadata": {"source": "p2p", "operation_hash": 5}},
    "an array for the state": {"state": ["unspent"]},
    "an amount that is no number": {"total_amount": float("nan"), "proofs": proofs(float("nan"))},
    "a decimal amount": {"total_amount": Decimal128("3"), "proofs": proofs(Decimal128("3"))},
    "proofs in proofs": {"proofs": [proofs(1, 2)]},
    "no proof keys": {"proof_keys": None},
    "a proof without a key": {"proof_keys": ["a" * 64]},
    "a key without a proof": {"proof_keys": ["a" * 64, "b" * 64, "c" * 64]},
    "a key twice": {"proof_keys": ["a" * 64, "a" * 64]},
    "a secret for a key": {"proof_keys": ["a" * 64, "raw1"]},
}  # fmt: skip


@pytest.mark.parametrize("rule", UNLAWFUL)
def test_an_unlawful_document_is_refused(raw: Database[Document], rule: str) -> None:
    with pytest.raises(WriteError) as caught:
        raw.cashu_tokens.insert_one(document(**UNLAWFUL[rule]))
    assert caught.value.code == REFUSED
    assert raw.cashu_tokens.count_documents({}) == len(STATES)


UPDATES: dict[str, tuple[str, Document]] = {
    "spent to unspent": ("spent", {"state": "unspent"}),
    "spent to unspent with its status": ("spent", {"state": "unspent", "status": "unspent"}),
    "spent to unspent, saying where it comes from": (
        "spent",
        {"state": "unspent", "status": "unspent", "spent_at": None, "prev_state": "spent", "version": 2},
    ),
    "only the status, as old programs do": ("unspent", {"status": "spent"}),
    "only the state": ("unspent", {"state": "spent"}),
    "no edge: outstanding to reserved": (
        "outstanding",
        {"state": "reserved", "prev_state": "outstanding", "reserved_by": "x", "version": 2},
    ),
    "a step that does not count": (
        "unspent",
        {"state": "reserved", "status": "pending", "prev_state": "unspent", "reserved_by": "x"},
    ),
    "value from nothing": ("unspent", {"total_amount": 300}),
    "proofs taken away": ("unspent", {"proofs": []}),
    "proofs taken away with their value": ("unspent", {"proofs": [], "total_amount": 0}),
    "keys taken away": ("unspent", {"proof_keys": []}),
    "into melted": ("unspent", {"transaction_type": "melted"}),
    "reserved without its owner": ("reserved", {"reserved_by": None}),
    "an amount made fractional": ("unspent", {"proofs.0.amount": 0.5, "total_amount": 2.5}),
}


@pytest.mark.parametrize("rule", UPDATES)
def test_an_unlawful_update_is_refused(raw: Database[Document], rule: str) -> None:
    token, change = UPDATES[rule]
    before = raw.cashu_tokens.find_one({"transaction_id": token})
    with pytest.raises(WriteError) as caught:
        raw.cashu_tokens.update_one({"transaction_id": token}, {"$set": change})
    assert caught.value.code == REFUSED
    with pytest.raises(OperationFailure) as found:
        raw.cashu_tokens.find_one_and_update({"transaction_id": token}, {"$set": change})
    assert found.value.code == REFUSED
    with pytest.raises(WriteError):
        raw.cashu_tokens.replace_one({"transaction_id": token}, {**(before or {}), **_flat(change)})
    assert raw.cashu_tokens.find_one({"transaction_id": token}) == before


def _flat(change: Document) -> Document:
    if "proofs.0.amount" in change:
        return {"proofs": proofs(0.5, 2), "total_amount": 2.5}
    return change


def test_a_secret_is_in_one_document_only(raw: Database[Document]) -> None:
    """By its key, and by itself where the key is false."""
    held = make_proofs("unspent", 1)[0]
    stolen = [{"id": "k", "amount": 3, "secret": held.secret.reveal(), "C": "c"}]
    with pytest.raises(DuplicateKeyError):
        raw.cashu_tokens.insert_one(document(proofs=stolen, mint_url=make_token().mint_url))
    with pytest.raises(DuplicateKeyError):
        raw.cashu_tokens.insert_one(document(proofs=proofs(3), proof_keys=[proof_key(held.secret)]))
    with pytest.raises(DuplicateKeyError):  # with a false key
        raw.cashu_tokens.insert_one(document(proofs=stolen, proof_keys=["f" * 64]))


OTHERS: dict[str, tuple[str, Document]] = {
    "an operation of an unknown kind": ("operations", {"kind": "heist"}),
    "an operation in an unknown state": ("operations", {"state": "melted"}),
    "an operation that jumps": ("operations", {"state": "reconciled"}),
    "an operation that says it jumped": (
        "operations",
        {"state": "reconciled", "prev_state": "requested", "version": 2},
    ),
    "an operation paid before it was sent": (
        "operations",
        {"state": "paid", "prev_state": "quoted", "version": 3},
    ),
    "a quote that may be paid twice": ("operations", {"quote_open": False}),
    "an operation of a fractional amount": ("operations", {"amount": 100.5}),
    "an operation without its chain": ("operations", {"audit_hash": ""}),
    "a duplicate window without a key": ("operations", {"dedup": {"until": 9}}),
    "a duplicate window without an end": ("operations", {"dedup": {"key": "k", "until": None}}),
    "a duplicate window that says more": ("operations", {"dedup": {"key": "k", "until": 9, "more": 1}}),
    "an audit record that is no hash": ("audit_log", {"hash": "none"}),
    "an audit record without a place in the chain": ("audit_log", {"prev_hash": ""}),
    "an audit record of no level": ("audit_log", {"compliance_level": "LOW"}),
    "an audit record born expired": ("audit_log", {"expires_at": 1}),
    "an audit record out of nothing": ("audit_log", {"version": 3, "from": "none"}),
}


@pytest.mark.parametrize("rule", OTHERS)
def test_unlawful_documents_beside_the_tokens_are_refused(raw: Database[Document], rule: str) -> None:
    collection, change = OTHERS[rule]
    before = raw[collection].find_one({"seq": {"$ne": 1}}) or {}
    with pytest.raises(WriteError) as caught:
        raw[collection].update_one({"_id": before["_id"]}, {"$set": change})
    assert caught.value.code == REFUSED
    with pytest.raises(WriteError) as caught:
        raw[collection].insert_one({**before, "_id": "f" * 64, "seq": 99, "version": 99, **change})
    assert caught.value.code == REFUSED


def test_what_a_validator_cannot_see(raw: Database[Document]) -> None:
    """The limit of a rule over one document: a complete forgery passes, and the audit trail shows it
    (docs/operations.md says so)."""
    forged = {
        "state": "unspent",
        "status": "unspent",
        "spent_at": None,
        "prev_state": "reserved",
        "version": 9,
    }
    raw.cashu_tokens.update_one({"transaction_id": "spent"}, {"$set": forged})
    with open_store(f"mongodb://{raw.client.address[0]}:{raw.client.address[1]}/{raw.name}") as store:  # type: ignore[index]
        token = store.token("spent")
        assert token is not None and token.state == "unspent" and token.version == 9


def test_an_unlawful_tombstone_is_refused(raw: Database[Document]) -> None:
    """R135: its form is held; that it is true is proven by its mac."""
    span = {"entity": "e", "first": 1, "last": 1, "from_state": "none", "to_state": "x",
            "token_hash": None}  # fmt: skip
    good = {"_id": "o", "npub": NPUB, "last_seq": 1, "last_hash": "0" * 64, "records": 1, "spans": [span],
            "purged_at": 5, "mac": "0" * 64}  # fmt: skip
    wrong: list[Document] = [{"mac": ""}, {"records": 2}, {"spans": []}, {"spans": [{}]}, {"more": 1}]
    for change in wrong:
        with pytest.raises(WriteError) as caught:
            raw.tombstones.insert_one(good | change)
        assert caught.value.code == REFUSED
    raw.tombstones.insert_one(good)
