"""R205, R212, R219 to R221: what a batch may do to what another operation holds, and to proofs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from typing import Any

import pytest
from attrs import evolve

from nutstate.storage.batch import Advance, IndexMove, proof_key
from nutstate.storage.errors import Conflict, InvalidBatch
from nutstate.storage.port import Store
from nutstate.storage.records import Token, TokenMetadata
from nutstate.storage.rules.batch import _check_history, check_batch
from nutstate.storage.rules.machines import BUILT_IN
from nutstate.storage.testing.records import NPUB, batch_for, make_operation, make_proofs, make_token
from tests.contract.store.conftest import Place, SqlitePlace
from tests.contract.store.steps import put, rechained
from tests.support.foreign import Foreign, forget_key


def _thief(store: Store) -> Any:
    return put(store, operation=make_operation("thief"))[0]


STOLEN: dict[str, dict[str, Any]] = {
    "reserved again": {"reserved_by": "thief"},
    "freed": {"state": "unspent", "reserved_by": None},
    "freed and reserved": {"reserved_by": "thief", "path": ["unspent"]},
    "spent": {"state": "spent", "spent_at": 5},
    "spent by the thief": {"state": "spent", "spent_at": 5, "reserved_by": "thief"},
    "touched": {"updated_at": 9},
}


@pytest.mark.parametrize("how", STOLEN)
def test_r205_what_another_operation_holds_is_left_alone(place: Place, how: str) -> None:
    """R205: with a current before-image, whatever becomes of the token."""
    changes = dict(STOLEN[how])
    path = changes.pop("path", ["unspent"] if how in ("reserved again", "touched") else [])
    with place.open() as store:
        _, (token,) = put(store, make_token("a", state="reserved"), operation=make_operation())
        thief, held = _thief(store), place.dump()
        batch = batch_for(
            evolve(thief, state="quoted"), thief, tokens=[(token, evolve(token, **changes))], path={"a": path}
        )
        with pytest.raises(InvalidBatch, match="another operation holds it"):
            store.commit(batch)
        assert place.dump() == held


def test_r205_proofs_of_a_reservation_are_not_split_off_by_another(place: Place) -> None:
    """R205: to move the proofs would steal them as well."""
    with place.open() as store:
        _, (token,) = put(store, make_token("a", 1, 2, state="reserved"), operation=make_operation())
        thief, held = _thief(store), place.dump()
        rest = evolve(token, proofs=token.proofs[1:], total_amount=2)
        loot = make_token("loot", proofs=token.proofs[:1])
        batch = batch_for(evolve(thief, state="quoted"), thief, tokens=[(token, rest), loot])
        with pytest.raises(InvalidBatch, match="another operation holds it"):
            store.commit(batch)
        assert place.dump() == held


def test_r205_what_is_awaited_is_left_alone_too(place: Place) -> None:
    """R205: the place for proofs that are not issued yet is held by its operation as well."""
    with place.open() as store:
        awaited = make_token("a", state="awaiting", transaction_type="minted", reserved_by="tx-1")
        operation, (token,) = put(store, awaited, operation=make_operation())
        thief, held = _thief(store), place.dump()
        proofs = make_proofs("mine", 1)
        for changes in (
            {"state": "failed", "reserved_by": None},
            {"state": "unspent", "reserved_by": None, "proofs": proofs, "total_amount": 1},
        ):
            after = evolve(token, **changes)
            batch = batch_for(evolve(thief, state="quoted"), thief, tokens=[(token, after)])
            with pytest.raises(InvalidBatch, match="another operation holds it"):
                store.commit(batch)
        assert place.dump() == held
        issued = evolve(token, state="unspent", reserved_by=None, proofs=proofs, total_amount=1)
        store.commit(batch_for(evolve(operation, state="quoted"), operation, tokens=[(token, issued)]))


def test_r205_its_own_operation_gives_it_up_by_freeing_it_only(place: Place) -> None:
    """R205: the holder cannot pass the reservation on, nor spend it in another's name."""
    with place.open() as store:
        operation, (token,) = put(store, make_token("a", state="reserved"), operation=make_operation())
        held = place.dump()
        for changes in (
            {"reserved_by": "another"},
            {"state": "spent", "spent_at": 5, "reserved_by": "another"},
            {"state": "spent", "spent_at": 5, "reserved_by": None},
        ):
            after = evolve(token, **changes)
            path = {"a": ["unspent"] if after.state == "reserved" else []}
            batch = batch_for(
                evolve(operation, state="quoted"), operation, tokens=[(token, after)], path=path
            )
            with pytest.raises(InvalidBatch, match="reserved_by changes only by becoming free"):
                store.commit(batch)
        assert place.dump() == held
        freed = evolve(token, state="unspent", reserved_by=None)
        store.commit(batch_for(evolve(operation, state="quoted"), operation, tokens=[(token, freed)]))


def test_r205_the_parent_of_a_token_never_changes(place: Place) -> None:
    """R205: change stays the change of the operation that it came from."""
    with place.open() as store:
        operation, (token,) = put(
            store, make_token("a", transaction_type="change"), operation=make_operation()
        )
        after = evolve(token, metadata=TokenMetadata("change", parent_transaction_id="another"))
        batch = batch_for(
            evolve(operation, state="quoted"), operation, tokens=[(token, after)], path={"a": ["reserved"]}
        )
        held = place.dump()
        with pytest.raises(InvalidBatch, match="parent_transaction_id never changes"):
            store.commit(batch)
        assert place.dump() == held


# -- moving proofs -----------------------------------------------------------------------------------------


def test_r219_a_token_does_not_gain_and_lose_proofs_in_one_batch(place: Place) -> None:
    """R219: a store writes what loses before what gains, so a token that does both could not be written."""
    with place.open() as store:
        operation, (a, b) = put(
            store, make_token("a", 1, 2), make_token("b", 4, 8), operation=make_operation()
        )
        one, two = a.proofs[0], b.proofs[0]
        after_a = evolve(a, proofs=(a.proofs[1], two), total_amount=6)
        after_b = evolve(b, proofs=(b.proofs[1], one), total_amount=9)
        batch = batch_for(evolve(operation, state="quoted"), operation, tokens=[(a, after_a), (b, after_b)])
        held = place.dump()
        with pytest.raises(InvalidBatch, match="gains and loses proofs in one batch"):
            store.commit(batch)
        assert place.dump() == held


@pytest.mark.parametrize("names", ["ab", "ba"])
def test_r219_what_loses_proofs_is_written_before_what_gains_them(place: Place, names: str) -> None:
    """R219: also where the token that gains comes first by its id."""
    with place.open() as store:
        gains, loses = list(names)
        operation, tokens = put(store, *(make_token(name, 1, 2) for name in "ab"), operation=make_operation())
        by_name = {token.transaction_id: token for token in tokens}
        source, target = by_name[loses], by_name[gains]
        moved = source.proofs[:1]
        pairs = [
            (source, evolve(source, proofs=source.proofs[1:], total_amount=2)),
            (target, evolve(target, proofs=(*target.proofs, *moved), total_amount=4)),
        ]
        store.commit(batch_for(evolve(operation, state="quoted"), operation, tokens=pairs))
        assert store.proof_owners([proof_key(moved[0].secret)]) == {proof_key(moved[0].secret): gains}


@pytest.mark.parametrize("entry", ["of another token", "gone"])
def test_r220_only_a_proof_that_the_index_gives_to_a_token_is_moved_off_it(place: Place, entry: str) -> None:
    """R220: the before-image is right, but the index knows the proof elsewhere: Conflict, nothing written."""
    with place.open() as store:
        operation, (source, _) = put(
            store, make_token("s", 1, 2, 4), make_token("other", 8), operation=make_operation()
        )
        key = proof_key(source.proofs[0].secret)
        if entry == "gone":
            place.forget_proof(key)
        else:
            _give(store, key, "other")
        kept = make_token("keep", transaction_type="change", proofs=source.proofs[:2])
        rest = evolve(source, proofs=source.proofs[2:], total_amount=4)
        batch = batch_for(evolve(operation, state="quoted"), operation, tokens=[(source, rest), kept])
        (move,) = batch.index
        assert isinstance(move, IndexMove) and len(move.keys) == 2
        held = place.dump()
        with pytest.raises(Conflict) as caught:
            store.commit(batch)
        assert caught.value.entity == "token:s" and place.dump() == held


def _give(store: Store, key: str, token_id: str) -> None:
    """Another owner in the index, past the store."""
    if store.url.startswith("sqlite:"):
        with closing(sqlite3.connect(store.url.removeprefix("sqlite:///"))) as db, db:
            db.execute("UPDATE proof_index SET token_id = ? WHERE key = ?", (token_id, key))
        return
    with Foreign(store)._collections() as collections:
        tokens = collections["cashu_tokens"]
        forget_key(tokens, key)
        tokens.update_one({"transaction_id": token_id}, {"$set": {"proof_keys": [key]}})


# -- LE1: edges are legal in one direction -----------------------------------------------------------------


def _one_way(steps: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    known = set(steps)
    return sorted((a, b) for a, b in known if (b, a) not in known and a != "none")


@pytest.mark.parametrize(("source", "dest"), _one_way(BUILT_IN.token_edges))
def test_r221_no_token_edge_is_legal_backwards(source: str, dest: str) -> None:
    """R221: a history that goes an edge from its end to its beginning is none, for every store."""
    before = make_token("a", state=dest, version=5, proofs=())
    after = make_token("a", state=source, version=6, proofs=(), prev_state=dest)
    (_, record) = batch_for(make_operation(), tokens=[make_token("a")]).audit
    backwards = evolve(record, from_state=dest, to_state=source, version=6)
    with pytest.raises(InvalidBatch, match=f"{dest} to {source} is no edge of token@1"):
        _check_history(Advance(before, after), [backwards], "token:a", BUILT_IN)
    there = evolve(record, from_state=source, to_state=dest, version=6)
    back = evolve(after, state=dest, prev_state=source)
    _check_history(Advance(evolve(before, state=source), back), [there], "token:a", BUILT_IN)


@pytest.mark.parametrize(
    ("kind", "source", "dest"),
    [(kind, a, b) for kind in BUILT_IN.kinds for a, b in _one_way(BUILT_IN.edges_of(kind))],
)
def test_r221_no_operation_edge_is_legal_backwards(kind: str, source: str, dest: str) -> None:
    """R221: the same for every kind of operation; it is the step itself that is refused."""
    before = make_operation(kind=kind, state=dest, version=5, audit_seq=5, audit_hash="0" * 64)
    forwards = batch_for(evolve(before, state=dest), evolve(before, state=source))
    record = evolve(
        forwards.audit[-1], from_state=dest, to_state=source, version=6, seq=6, prev_hash="0" * 64
    )
    told = make_operation(kind=kind, state=source)
    after = evolve(
        before, state=source, prev_state=dest, version=6, kind_of_state=told.kind_of_state, ends=told.ends
    )
    batch = rechained(evolve(forwards, operation=Advance(before, after)), record)
    with pytest.raises(InvalidBatch, match=f"{dest} to {source} is no edge of {kind}@1"):
        check_batch(batch, BUILT_IN)


# -- melted (R212) -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("forced", [{"transaction_type": "melted"}, {"state": "melted"}])
def test_r212_a_melted_document_counts_in_no_balance(place: Place, forced: dict[str, Any]) -> None:
    """R212: one that was forced past every rule of the store is no money, whatever it holds."""
    with place.open() as store:
        _, (token,) = put(store, make_token("a", 1, 2), operation=make_operation())
        before = store.balance(NPUB)
        assert [(held.state, held.amount) for held in before] == [("unspent", 3)]
        _force(
            store, evolve(token, transaction_id="old", proofs=make_proofs("old", 64), total_amount=64), forced
        )
        assert store.balance(NPUB) == before


def _force(store: Store, token: Token, forced: dict[str, Any]) -> None:
    Foreign(store).put(token)
    if isinstance(store.url, str) and store.url.startswith("sqlite:"):
        with closing(sqlite3.connect(store.url.removeprefix("sqlite:///"))) as db, db:
            db.execute("PRAGMA ignore_check_constraints = ON")
            (name,) = forced
            db.execute(f"UPDATE tokens SET {name} = 'melted' WHERE transaction_id = 'old'")
        return
    with Foreign(store)._collections() as collections:
        bypass = {} if store.url.startswith("memory:") else {"bypass_document_validation": True}
        collections["cashu_tokens"].update_one({"transaction_id": "old"}, {"$set": forced}, **bypass)


def test_sqlite_place_is_what_these_tests_write_to(tmp_path: Any) -> None:
    """The helpers above find the file by the address of the store."""
    with SqlitePlace(tmp_path).open() as store:
        assert store.url == f"sqlite:///{tmp_path}/wallet.db"
