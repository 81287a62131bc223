"""A commit that reads back what it wrote, inside its own transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve

from nutstate.storage.ahead import OperationRead, OwnersRead, Read
from nutstate.storage.batch import Batch, proof_key
from nutstate.storage.errors import Conflict, CorruptRecord, NotAsWritten, StorageError, StoreUnavailable
from nutstate.storage.port import AuditQuery, Reader, Store, TokenQuery, TombstoneQuery
from nutstate.storage.read_back import ReadBack
from nutstate.storage.testing.records import FaultyStore, batch_for, make_operation, make_token
from tests.contract.store.conftest import Place
from tests.contract.store.steps import after, put, reserved, shown


def step(store: Store) -> Batch:
    """A batch that changes a stored operation, splits a stored token and makes two new ones."""
    operation, (source, _) = put(
        store, make_token("a", 1, 2), make_token("other", 32), operation=make_operation("tx-1")
    )
    kept, moved = source.proofs
    split = evolve(source, state="reserved", reserved_by="tx-1", proofs=(kept,), total_amount=kept.amount)
    keep = make_token("tx-1_keep", proofs=(moved,))
    return batch_for(
        evolve(operation, state="quoted"), operation, tokens=[(source, split), keep, make_token("new", 8)]
    )


def named(batch: Batch) -> tuple[Read, ...]:
    """The reads of :func:`seen`."""
    op, tokens = after(batch)
    ids = tuple(sorted(token.transaction_id for token in tokens))
    keys = tuple(proof_key(proof.secret) for token in tokens for proof in token.proofs)
    return (
        OperationRead(op.id),
        AuditQuery(operation_id=op.id, home=op.npub),
        TombstoneQuery(operation_ids=(op.id,)),
        TokenQuery(ids=ids, limit=len(ids)),
        TokenQuery(reserved_by=op.id, home=op.npub),
        TokenQuery(parent="nobody", home=op.npub),
        OwnersRead(keys),
    )


def seen(reader: Reader, batch: Batch) -> dict[str, Any]:
    """The documents of the batch and their surroundings, as the reader gives them."""
    op, tokens = after(batch)
    operation, trail, stones, by_ids, held, made, owners = named(batch)
    assert isinstance(trail, AuditQuery) and isinstance(stones, TombstoneQuery)
    assert isinstance(by_ids, TokenQuery) and isinstance(held, TokenQuery) and isinstance(made, TokenQuery)
    assert isinstance(operation, OperationRead) and isinstance(owners, OwnersRead)
    return {
        "operation": reader.operation(op.id),
        "trail": list(reader.audit(trail)),
        "stones": list(reader.tombstones(stones)),
        "tokens": list(reader.tokens(by_ids)),
        "one": reader.token(tokens[-1].transaction_id),
        "held": list(reader.tokens(held)),
        "made": list(reader.tokens(made)),
        "owners": dict(reader.proof_owners(owners.keys)),
        "unasked": [token.transaction_id for token in reader.tokens(TokenQuery(npub=op.npub))],
    }


def truth(batch: Batch, before: list[Any]) -> dict[str, Any]:
    op, tokens = after(batch)
    by_id = sorted(tokens, key=lambda token: token.transaction_id)
    return {
        "operation": op,
        "trail": [*before, *batch.audit],
        "stones": [],
        "tokens": by_id,
        "one": tokens[-1],
        "held": [token for token in by_id if token.reserved_by == op.id],
        "made": [],
        "owners": {proof_key(p.secret): t.transaction_id for t in tokens for p in t.proofs},
        "unasked": sorted([*(token.transaction_id for token in tokens), "other"]),
    }


@pytest.mark.parametrize("ahead", ["all", "none", "some"])
def test_r610_a_commit_reads_back_what_it_wrote(store: Store, ahead: str) -> None:
    """Operation, tokens, proof index and audit records are read inside the transaction, after all writes of
    the batch: they are as they will be stored, whether the reads were named before or not."""
    batch = step(store)
    before = list(store.audit(AuditQuery(operation_id="tx-1")))
    found: list[Any] = []
    reads = {"all": named(batch), "none": (), "some": named(batch)[3:5]}[ahead]
    store.commit(batch, ReadBack(reads, lambda reader: found.append(seen(reader, batch))))
    assert found == [truth(batch, before)]
    assert seen(store, batch) == found[0]


def refuse(reader: Reader) -> None:
    raise NotAsWritten("a token is missing")


def stumble(reader: Reader) -> None:
    raise ZeroDivisionError("a secret in words")


def misread(reader: Reader) -> None:
    raise CorruptRecord("a token does not decode")


@pytest.mark.parametrize("check", [refuse, stumble, misread])
@pytest.mark.parametrize("first", [False, True], ids=["advance", "insert"])
def test_r611_what_is_not_as_written_is_not_written(
    place: Place, check: Callable[[Reader], None], first: bool
) -> None:
    """A check that refuses, fails or cannot decode rolls everything back: NOT_AS_WRITTEN, without the words
    of another exception. Another batch with the same documents is then committed as if nothing had been."""
    with place.open() as store:
        batch = step(store)
        if first:
            batch = batch_for(make_operation("tx-2"), tokens=[make_token("fresh", 4)])
        held = place.dump()
        with pytest.raises(NotAsWritten) as refused:
            store.commit(batch, ReadBack(named(batch), check))
        assert refused.value.code == "NOT_AS_WRITTEN" and "secret in words" not in shown(refused.value)
        assert place.dump() == held
        with pytest.raises(NotAsWritten):
            store.commit(batch, ReadBack((), check))
        assert place.dump() == held
        store.commit(batch)
        assert place.dump() != held


def test_r611_an_error_of_the_store_stays_what_it_is(place: Place) -> None:
    """An outage while it reads back is told as one, and nothing is written."""

    def fail(reader: Reader) -> None:
        raise StoreUnavailable("the disk is gone")

    with place.open() as store:
        batch, held = step(store), None
        held = place.dump()
        with pytest.raises(StoreUnavailable):
            store.commit(batch, ReadBack((), fail))
        assert place.dump() == held


def test_r612_a_batch_that_was_applied_is_not_judged_again(place: Place) -> None:
    """It returns quietly, though the check would refuse now, also after other commits followed; a batch on
    stale documents is a conflict before anything is asked."""
    with place.open() as store:
        batch, asked = step(store), 0

        def check(reader: Reader) -> None:
            nonlocal asked
            asked += 1

        store.commit(batch, ReadBack(named(batch), check))
        held = place.dump()
        store.commit(batch, ReadBack(named(batch), refuse))
        assert place.dump() == held and asked == 1
        stale = batch_for(
            evolve(make_operation("tx-1"), state="quoted"), make_operation("tx-1"), batch_id="b2"
        )
        with pytest.raises(Conflict):
            store.commit(stale, ReadBack((), refuse))
        assert place.dump() == held


def test_r612_a_lost_answer_is_resolved_by_sending_it_again(store: Store) -> None:
    """Applied and the answer lost: the second sending is quiet. Nothing written: the second one is asked."""
    for word in ("lost", "unknown"):
        operation, (token,) = put(store, make_token(word, 2), operation=make_operation(f"tx-{word}"))
        batch = batch_for(
            evolve(operation, state="quoted"), operation, tokens=[reserved(token, operation.id)]
        )
        faulty, asked = FaultyStore(store, [word]), 0

        def check(reader: Reader) -> None:
            nonlocal asked
            asked += 1

        with pytest.raises(StorageError):
            faulty.commit(batch, ReadBack((), check))
        faulty.commit(batch, ReadBack((), check))
        assert asked == 1 and store.operation(operation.id) == after(batch)[0]
