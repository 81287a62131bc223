"""The work of a call does not grow with the past: the store counts it, twenty times as long a past changes
nothing. No clock is looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from pymongo import MongoClient

from benchmarks import past, work
from nutstate import Engine, SimulatedMint, Store, configure_logging, open_store
from nutstate.engine.audit import verify
from nutstate.storage.batch import proof_key
from nutstate.storage.doctor import examine
from nutstate.storage.local.replica_set import ReplicaSet
from nutstate.storage.port import TokenQuery
from tests.support.wallet import NPUB, funded, invoice

SHORT, LONG = 40, 800  # melts that ended; half of them are of the wallet that pays
TOKENS = 60


@frozen
class Grown:
    """A store with a past, and its counter."""

    store: Store
    engine: Engine
    mint: SimulatedMint
    clock: Any
    count: Callable[[Callable[[], Any]], dict[str, int]]
    operations: int
    url: str

    def melt(self) -> str:
        paid = self.engine.melt(npub=NPUB, mint_url=self.mint.url, invoice=invoice(100, self.clock))
        assert paid.state == "reconciled"
        return paid.id


@contextmanager
def grown(url: str, melts: int) -> Iterator[Grown]:
    """A store behind which so many melts lie."""
    configure_logging("off")
    with ExitStack() as stack:
        store: Any = stack.enter_context(open_store(url))
        engine, mint, clock = funded(store, amount=100_000)
        past.into(url, past.melts(mint.url, 0, melts))
        if url.startswith("sqlite"):
            count = partial(work.of_sqlite, store, every=10)
        else:
            client: MongoClient[dict[str, Any]] = stack.enter_context(MongoClient(url))
            stack.callback(client.drop_database, client.get_default_database().name)
            count = partial(work.of_mongodb, client)
        yield Grown(store, engine, mint, clock, count, melts + 1, url)


KINDS = ["sqlite", pytest.param("mongodb", marks=pytest.mark.real_mongo)]


@pytest.fixture(params=KINDS)
def both(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Grown, Grown]]:
    """The same wallet with a short and with a long past."""
    if request.param == "sqlite":
        urls = [f"sqlite:///{tmp_path}/{name}.db" for name in ("short", "long")]
    else:
        servers: ReplicaSet = request.getfixturevalue("mongo_servers")
        urls = [servers.url(f"flat_{name}") for name in ("short", "long")]
    with grown(urls[0], SHORT) as short, grown(urls[1], LONG) as long:
        yield short, long


def test_a_store_with_a_past_is_a_good_store(both: tuple[Grown, Grown]) -> None:
    """The control: the documents that are written in bulk obey all rules of the store, and are read."""
    for one in both:
        report = examine(one.url)
        assert not [finding for finding in report.findings if finding.status == "error"], report
        tokens = one.store.tokens(TokenQuery(ids=("tx_past_000000020_0", "tx_past_000000021_3"), limit=2))
        assert [(token.npub == NPUB, token.state) for token in tokens] == [(False, "spent"), (True, "spent")]
        owners = one.store.proof_owners([proof_key(proof.secret) for t in tokens for proof in t.proofs])
        assert sorted(owners.values()) == [token.transaction_id for token in tokens]


def total(found: dict[str, int]) -> int:
    return sum(found.values())


def same(both: tuple[Grown, Grown], call: Callable[[Grown], Any]) -> tuple[int, int]:
    """The work of a call with the short and with the long past, after it was made once."""
    counted = []
    for one in both:
        call(one)
        counted.append(total(one.count(lambda one=one: call(one))))  # type: ignore[misc]
    return counted[0], counted[1]


def test_r551_a_melt_and_a_balance_do_the_same_work(both: tuple[Grown, Grown]) -> None:
    """R551: statements, index entries and documents, read and written."""
    for call in (
        Grown.melt,
        lambda one: one.engine.balance(NPUB, spent=False),
        lambda one: one.engine.open_operations(),
    ):
        short, long = same(both, call)
        assert 0 < long <= 1.05 * short + 4


def test_r548_a_page_of_history_does_the_same_work(both: tuple[Grown, Grown]) -> None:
    """R548: the newest of a wallet or of all, of a kind with one operation only, and of a state."""
    one_kind = {"kind": "mint"}

    def page(one: Grown, npub: str | None, asked: dict[str, Any]) -> Any:
        return one.engine.operations(npub, limit=10, **asked)

    for npub in (None, NPUB):
        for asked in ({}, one_kind, one_kind | {"mint_url": both[0].mint.url}, {"states": ["reconciled"]}):
            short, long = same(both, partial(page, npub=npub, asked=asked))
            assert 0 < long <= 1.05 * short + 4, (npub, asked)
    for one in both:
        assert [op.kind for op in one.engine.operations(NPUB, kind="mint", limit=5)] == ["mint"]


def test_r550_reconciling_one_operation_does_the_same_work(both: tuple[Grown, Grown]) -> None:
    """R550: with a long past, and with sixty tokens more."""
    names = [one.melt() for one in both]
    long = both[1]
    before, after = same(both, lambda one: one.engine.reconcile(names[both.index(one)]))
    assert 0 < after <= 1.05 * before + 4
    for _ in range(TOKENS):
        long.engine.mint_tokens(npub=NPUB, mint_url=long.mint.url, amount=1)
    richer = total(long.count(lambda: long.engine.reconcile(names[1])))
    assert richer <= 1.05 * after + 4


def test_r549_a_count_reads_no_document_and_is_asked_once(
    both: tuple[Grown, Grown], monkeypatch: pytest.MonkeyPatch
) -> None:
    """R549: one index entry for each operation; a walk in many pages counts once."""
    for one in both:
        found = one.count(one.store.count_operations)
        if "docsExamined" in found:
            assert (
                found["docsExamined"] == 0 and one.operations <= found["keysExamined"] <= one.operations + 4
            )
        assert sum(each.number for each in one.store.count_operations()) == one.operations
    asked: list[Any] = []
    store: Any = both[0].store
    plain = type(store).count_operations

    def counted(*of: Any) -> Any:
        asked.append(of[1:])
        return plain(*of)

    monkeypatch.setattr(type(store), "count_operations", counted)
    monkeypatch.setattr(verify, "PAGE", 5)
    told: list[tuple[int, int]] = []
    both[0].engine.verify_audit(progress=lambda done, total: told.append((done, total)))
    assert len(told) >= SHORT // 5 and told[-1] == (SHORT + 1, SHORT + 1) and len(asked) == 1
    both[0].engine.verify_audit()
    both[0].engine.reconcile_all(npub=NPUB)
    assert len(asked) == 1, "without a progress nothing is counted"
