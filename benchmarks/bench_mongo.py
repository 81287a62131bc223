"""Parts of the MongoDB store: its floor, a commit, its validators. `make bench-parts`; a melt: `make bench`.

One node on loopback: a round trip is nearly free here and costs 0.5 to 2 ms in a real network. Baselines
run in turn with what is measured; their times stand in the report at the end and in ``extra_info``."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

import pytest
from pymongo import WriteConcern
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.read_concern import ReadConcern

from benchmarks.fair.documents import Plain as Document
from benchmarks.fair.mongo import DURABLE, Client
from benchmarks.meters import Neighbours, Report
from nutstate import configure_logging, open_store
from nutstate.storage.batch import Batch
from nutstate.storage.local.replica_set import ReplicaSet
from nutstate.storage.mongo.schema import AUDIT, OPERATIONS, TOKENS
from nutstate.storage.mongo.setup import create
from nutstate.storage.mongo.write import apply_batch
from nutstate.storage.rules.machines import BUILT_IN
from nutstate.storage.testing.records import batch_for, make_operation, make_token
from tests.servers.mongod import replica_set

COMMITS, INSERTS, DOCUMENTS = 300, 40, 100
WARMUP = 5
COINS = tuple(1 << n for n in range(8))  # of each token in commits and inserts
Arguments = tuple[tuple[Any, ...], dict[str, Any]]


@pytest.fixture(autouse=True)
def quiet() -> None:
    configure_logging("off")


@pytest.fixture(scope="session")
def report(pytestconfig: pytest.Config) -> Report:
    made = Report()
    pytestconfig.pluginmanager.register(made)
    return made


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaSet]:
    with replica_set(tmp_path_factory.mktemp("bench")) as started:
        yield started


@pytest.fixture
def client(servers: ReplicaSet) -> Iterator[Client]:
    with Client(servers.url()) as opened:
        yield opened


# -- the floor -----------------------------------------------------------------------------------------


@pytest.mark.benchmark(group="MongoDB: the floor")
@pytest.mark.parametrize("what", ["one round trip (ping)", "one durable write (majority, journal)"])
def test_floor(benchmark: Any, client: Client, report: Report, what: str) -> None:
    stored = client["floor"].get_collection("documents", write_concern=DURABLE)
    n = itertools.count()

    def ask() -> object:
        return client.admin.command("ping") if "ping" in what else stored.insert_one({"_id": next(n)})

    benchmark.pedantic(ask, rounds=COMMITS, warmup_rounds=WARMUP)
    report.add(what, benchmark)


# -- one commit ----------------------------------------------------------------------------------------


class Written:
    """Takes the writes of a batch instead of a database."""

    def __init__(self) -> None:
        self.documents: dict[str, list[Document]] = {}

    def insert_many(self, collection: str, documents: Sequence[Document]) -> None:
        self.documents.setdefault(collection, []).extend(documents)


def _batch(n: int) -> Batch:
    return batch_for(make_operation(f"tx-{n:08}"), tokens=[make_token(f"token-{n:08}", *COINS)])


def _writes(batches: Sequence[Batch]) -> dict[str, list[Document]]:
    """Collection -> the documents that these batches insert."""
    written: Any = Written()
    for batch in batches:
        apply_batch(written, batch)
    documents: dict[str, list[Document]] = written.documents
    return documents


@pytest.mark.benchmark(group="one commit on MongoDB (operation, token, audit: three writes)")
def test_store_commit(benchmark: Any, servers: ReplicaSet, client: Client, report: Report) -> None:
    """Beside hand-written transactions with the same documents, which are made before their clock runs."""
    beside, n = Neighbours(WARMUP), itertools.count()
    create(client["commit_ruled"], BUILT_IN)
    for name in (OPERATIONS, TOKENS, AUDIT):
        client["commit_bare"].create_collection(name)

    def by_hand(database: str, writes: dict[str, list[Document]]) -> None:
        def work(session: ClientSession) -> None:
            for name, documents in writes.items():
                client[database][name].insert_many(documents, session=session)

        with client.start_session() as session:
            session.with_transaction(work, read_concern=ReadConcern("snapshot"), write_concern=DURABLE)

    with open_store(servers.url("commit_store")) as store:

        def batch() -> Arguments:
            made = _batch(next(n))
            writes = _writes([made])
            client.admin.command("ping")  # awake now
            beside.run("hand-written, bare collections", by_hand, "commit_bare", writes)
            beside.run("hand-written, same indexes and validators", by_hand, "commit_ruled", writes)
            return (made,), {}

        benchmark.pedantic(store.commit, setup=batch, rounds=COMMITS, warmup_rounds=WARMUP)
    report.add("one commit, three writes: store.commit", benchmark, beside)


# -- validators ----------------------------------------------------------------------------------------


@pytest.mark.benchmark(group=f"inserting {DOCUMENTS} documents in one command, validated")
@pytest.mark.parametrize("collection", [TOKENS, OPERATIONS, AUDIT])
def test_insert(benchmark: Any, client: Client, report: Report, collection: str) -> None:
    """Beside a twin without validator. Both have all indexes; nothing waits for a disk."""
    twins: list[Collection[Document]] = []
    for level in ("off", "strict"):
        db = client[f"insert_{level}_{collection}"]
        create(db, BUILT_IN)
        db.command({"collMod": collection, "validationLevel": level})
        twins.append(db.get_collection(collection, write_concern=WriteConcern(w=1)))
    unruled, ruled = twins
    beside, n = Neighbours(WARMUP), itertools.count()

    def documents() -> Arguments:
        fresh = _writes([_batch(next(n)) for _ in range(DOCUMENTS + 10)])[collection]
        for twin in twins:
            twin.insert_many(fresh[DOCUMENTS:])  # awake now
        beside.run("without validator", unruled.insert_many, fresh[:DOCUMENTS])
        return (fresh[:DOCUMENTS],), {}

    benchmark.pedantic(ruled.insert_many, setup=documents, rounds=INSERTS, warmup_rounds=WARMUP)
    report.add(f"{DOCUMENTS} inserts: {collection}", benchmark, beside)
    if benchmark.stats is not None:
        both = zip(benchmark.stats.stats.data, beside.of_rounds("without validator"), strict=True)
        cost = median(one - other for one, other in both) * 1e6 / DOCUMENTS
        benchmark.extra_info["validator_us_per_document"] = round(cost, 2)
        report.note(f"the validator costs {cost:.1f} µs per document")
