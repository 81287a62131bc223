"""Reads that are named when a snapshot begins, and writes that share one command."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from nutstate.storage.ahead import ClaimRead, DedupRead, KeyRead, OperationRead, OwnersRead, Read
from nutstate.storage.batch import proof_key
from nutstate.storage.errors import Conflict, Duplicate
from nutstate.storage.port import AuditQuery, Reader, Store, TokenQuery, TombstoneQuery
from nutstate.storage.records import DedupRecord, Idempotency
from nutstate.storage.testing.records import NPUB, batch_for, make_operation, make_token

from .steps import after, put, reserved

SMALL = TokenQuery(npub=NPUB, smallest_first=True, min_total=2, limit=3)
TRAIL = AuditQuery(operation_id="tx-1", limit=9)
IDS = TokenQuery(ids=("a", "b", "nobody"), limit=3)


def filled(store: Store) -> tuple[Any, tuple[str, ...]]:
    """An operation with a key, a claim and a dedup record, three tokens, and the keys of their proofs."""
    op = make_operation("tx-1", claim="hash", idempotency=Idempotency("key", "a" * 64))
    tokens = [make_token("a", 1), make_token("b", 2, 4), make_token("c", 8)]
    made = batch_for(op, tokens=tokens, dedup=DedupRecord("d", "tx-1", 9))
    store.commit(made)
    return after(made), tuple(proof_key(proof.secret) for token in tokens for proof in token.proofs)


def answers(reader: Reader, keys: tuple[str, ...]) -> list[Any]:
    """Every read that can be named, and two that are parts of named ones."""
    return [
        reader.operation("tx-1"),
        reader.operation("nobody"),
        reader.operation_by_key(NPUB, "key"),
        reader.operation_by_claim("hash"),
        reader.dedup("d"),
        list(reader.tokens(SMALL)),
        list(reader.tokens(IDS)),
        list(reader.tokens(TokenQuery(ids=("b",), limit=1))),
        list(reader.audit(TRAIL)),
        list(reader.tombstones(TombstoneQuery(operation_ids=("tx-1",)))),
        dict(reader.proof_owners(keys)),
        dict(reader.proof_owners(keys[:1])),
        list(reader.tokens(TokenQuery(npub=NPUB))),
    ]


def named(keys: tuple[str, ...]) -> tuple[Read, ...]:
    return (
        OperationRead("tx-1"), OperationRead("nobody"), KeyRead(NPUB, "key"), ClaimRead("hash"),
        DedupRead("d"), SMALL, IDS, TRAIL, TombstoneQuery(operation_ids=("tx-1",)), OwnersRead(keys),
    )  # fmt: skip


@pytest.mark.parametrize("which", ["all", "none", "each"])
def test_r545_naming_a_read_changes_no_answer(store: Store, which: str) -> None:
    """Whether all reads, one of them or others were named: the answers are the same, of the moment at which
    the block was entered, though another commit follows at once."""
    (operation, tokens), keys = filled(store)
    with store.snapshot() as reader:
        wanted = answers(reader, keys)
    assert wanted[0] is not None and wanted[3] is not None and len(wanted[5]) == 2 and len(wanted[10]) == 4
    lists: list[tuple[Read, ...]] = [named(keys)]
    if which == "none":
        lists = [(OperationRead("another"), OwnersRead(keys[1:2]), TokenQuery(ids=("c",), limit=1))]
    elif which == "each":
        lists = [(read,) for read in named(keys)]
    for reads in lists:
        with store.snapshot(reads) as reader:
            later = batch_for(evolve(operation, state="quoted"), operation, tokens=[reserved(tokens[0])])
            if which != "each":
                store.commit(later)
            assert answers(reader, keys) == wanted


def test_r546_a_token_that_moved_on_is_a_conflict_though_its_proofs_are_there(store: Store) -> None:
    """A part of a token becomes a token of its own, but the stored token is newer: CONFLICT that names it, as
    when its update stood alone, and no DUPLICATE of its proofs. Nothing is written."""
    operation, (token,) = put(store, make_token("a", 1, 2), operation=make_operation("tx-1"))
    other = put(store, operation=make_operation("tx-2"))[0]
    store.commit(batch_for(evolve(other, state="quoted"), other, tokens=[reserved(token, "tx-2")]))
    rest, moved = token.proofs
    split = evolve(token, state="reserved", reserved_by="tx-1", proofs=(rest,), total_amount=1)
    keep = make_token("keep", proofs=(moved,))
    batch = batch_for(evolve(operation, state="quoted"), operation, tokens=[(token, split), keep])
    with pytest.raises(Conflict) as stale:
        store.commit(batch)
    assert stale.value.entity == "token:a" and store.token("keep") is None


def test_r546_a_token_that_is_there_is_never_born_again(store: Store) -> None:
    """Beside changes of other tokens too: DUPLICATE token_id, and the stored token stays as it is."""
    operation, (token, there) = put(
        store, make_token("a", 1), make_token("b", 2), operation=make_operation("tx-1")
    )
    batch = batch_for(
        evolve(operation, state="quoted"), operation, tokens=[reserved(token), make_token("b", 4, 8)]
    )
    with pytest.raises(Duplicate) as twice:
        store.commit(batch)
    assert twice.value.key == "token_id"
    assert store.token("b") == there and store.token("a") == token
