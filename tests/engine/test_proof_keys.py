"""On MongoDB the proof index is a field of the tokens: the key of each of their proofs."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from attrs import evolve

from nutstate import Store
from nutstate.storage.batch import IndexInsert, proof_key
from nutstate.storage.errors import InvalidBatch
from nutstate.storage.mongo.codec import token_document
from nutstate.storage.mongo.schema import TOKENS
from nutstate.storage.port import TokenQuery
from nutstate.storage.testing.records import batch_for, make_operation, make_proofs, make_token
from tests.support.foreign import Foreign
from tests.support.wallet import NPUB, funded, invoice

FALSE = proof_key(make_proofs("another", 1)[0].secret)


def on_mongodb(store: Store) -> bool:
    return not store.url.startswith("sqlite:")


def stored_tokens(store: Store) -> list[dict[str, Any]]:
    with Foreign(store)._collections() as collections:
        assert "proof_index" not in collections.list_collection_names()
        return list(collections[TOKENS].find({}))


@pytest.mark.every_store
def test_r615_a_token_has_the_keys_of_its_proofs(store: Store) -> None:
    """R615: in their order, whatever happened to them: funded, split, kept, spent, come as change. Each proof
    is found by its key, and there is no collection of keys."""
    engine, mint, clock = funded(store)
    for amount in (100, 7, 300):
        paid = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(amount, clock))
        assert paid.state == "reconciled"
    tokens = store.tokens(TokenQuery())
    assert {token.state for token in tokens} >= {"unspent", "spent"}
    proofs = {proof_key(proof.secret): t.transaction_id for t in tokens for proof in t.proofs}
    assert store.proof_owners([*proofs, FALSE]) == proofs
    if on_mongodb(store):
        for document in stored_tokens(store):
            keys = [sha256(proof["secret"].encode()).hexdigest() for proof in document["proofs"]]
            assert document["proof_keys"] == keys and document["npub"] == NPUB


@pytest.mark.every_store
def test_r616_a_token_with_a_false_key_is_found(store: Store) -> None:
    """R616: the server cannot tell that a key is not that of the proof. The reconciliation and the sweep do,
    and the money can still be read."""
    engine, mint, clock = funded(store)
    paid = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock))
    before = engine.balance(NPUB)
    (change,) = (t for t in store.tokens(TokenQuery(parent=paid.id)) if t.transaction_id.endswith("change"))
    Foreign(store).unindex(proof_key(change.proofs[0].secret))
    assert engine.balance(NPUB) == before and store.token(change.transaction_id) == change
    for report in (engine.reconcile_all(), engine.reconcile(paid.id)):
        assert any("transaction_completeness" in text for text in report.discrepancies_found), report


def test_r617_a_proof_twice_in_one_token_is_refused(store: Store) -> None:
    """R617: a unique index over an array compares documents, not the elements of one. So the check of the
    batch refuses it, before anything is sent; a key twice among its index changes too."""
    twice = make_token("t", proofs=make_proofs("x", 1) * 2)
    batch = batch_for(make_operation(), tokens=[twice])
    with pytest.raises(InvalidBatch, match="a secret appears twice"):
        store.commit(batch)
    once = batch_for(make_operation(), tokens=[make_token("t", proofs=make_proofs("x", 1))])
    (entry,) = once.index
    assert isinstance(entry, IndexInsert)
    with pytest.raises(InvalidBatch):
        store.commit(evolve(once, index=(evolve(entry, keys=entry.keys * 2),)))
    assert store.tokens(TokenQuery()) == [] and store.operation("tx-1") is None
    assert token_document(twice)["proof_keys"] == [proof_key(twice.proofs[0].secret)] * 2
