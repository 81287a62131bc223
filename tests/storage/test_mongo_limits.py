"""What only a real server shows: limits of size, and what the double says about itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from nutstate import open_store
from nutstate.storage.errors import InvalidBatch, NotAsWritten, StorageError
from nutstate.storage.port import Reader, TokenQuery
from nutstate.storage.read_back import ReadBack
from nutstate.storage.secret import Secret
from nutstate.storage.testing.records import batch_for, make_operation, make_proofs, make_token
from nutstate.testing import LACKS, memory_store
from tests.support.capabilities import PROVEN_BY, report

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.real_mongo
def test_a_document_beyond_16_mb_is_refused_and_nothing_is_written(mongo_urls: Callable[[], str]) -> None:
    huge = evolve(make_proofs("huge", 1)[0], witness=Secret("w" * 17_000_000))
    with open_store(mongo_urls()) as store:
        with pytest.raises(StorageError) as caught:
            store.commit(batch_for(make_operation(), tokens=[make_token("huge", proofs=(huge,))]))
        assert isinstance(caught.value, InvalidBatch) and "www" not in str(caught.value)
        assert store.operation("tx-1") is None and store.token("huge") is None


@pytest.mark.real_mongo
def test_a_batch_beyond_16_mb_in_all_is_committed(mongo_urls: Callable[[], str]) -> None:
    """One transaction may be larger than one document."""
    large = [evolve(make_proofs(f"large{n}", 1)[0], witness=Secret("w" * 6_000_000)) for n in range(4)]
    tokens = [make_token(f"large{n}", proofs=(proof,)) for n, proof in enumerate(large)]
    with open_store(mongo_urls()) as store:
        store.commit(batch_for(make_operation(), tokens=tokens))
        assert len(store.tokens(TokenQuery())) == 4


@pytest.mark.real_mongo
@pytest.mark.parametrize("size", [6_000_000, 100_000], ids=["too large", "fits"])
def test_r611_documents_that_cannot_be_read_back_together_are_not_taken_as_read(
    mongo_urls: Callable[[], str], size: int
) -> None:
    """R611: one answer of the server holds 16 MB. The commit is refused, not tried for ever; it is committed
    when it is sent without a read-back."""
    large = [evolve(make_proofs(f"large{n}", 1)[0], witness=Secret("w" * size)) for n in range(4)]
    tokens = [make_token(f"large{n}", proofs=(proof,)) for n, proof in enumerate(large)]
    batch, asked = batch_for(make_operation(), tokens=tokens), 0

    def check(reader: Reader) -> None:
        nonlocal asked
        asked += len(reader.tokens(TokenQuery()))

    with open_store(mongo_urls()) as store:
        if size > 1_000_000:
            with pytest.raises(NotAsWritten):
                store.commit(batch, ReadBack((TokenQuery(),), check))
            assert store.operation("tx-1") is None and not asked
            store.commit(batch)
        else:
            store.commit(batch, ReadBack((TokenQuery(),), check))
            assert asked == 4
        assert len(store.tokens(TokenQuery())) == 4


def test_every_guarantee_that_the_double_lacks_is_proven_elsewhere() -> None:
    assert {lack.capability for lack in LACKS} == PROVEN_BY.keys()
    assert all((ROOT / path).exists() for path in PROVEN_BY.values())
    assert all(lack.reason in line for lack, line in zip(LACKS, report(), strict=True))


def test_stores_in_memory_are_private_or_shared_by_name() -> None:
    with memory_store() as one, memory_store() as two, memory_store("shared-here") as three:
        one.commit(batch_for(make_operation()))
        assert two.operation("tx-1") is None and three.operation("tx-1") is None
        three.commit(batch_for(make_operation()))
        with memory_store("shared-here") as again:
            assert again.operation("tx-1") is not None
