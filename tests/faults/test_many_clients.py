"""F5 on a real server: many threads and processes go for the same thing, exactly one gets it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

import pytest

from nutstate import Engine, Handle, SimulatedMint
from nutstate.storage.local.replica_set import ReplicaSet
from nutstate.storage.mongo.store import MongoStore
from nutstate.storage.port import OperationQuery
from tests.faults.children import Child
from tests.faults.history import History
from tests.faults.ledger import Books, Ledger, assert_nothing_wrong
from tests.faults.load import SECONDS, mongo_store
from tests.faults.rivals import KINDS, assert_one_winner, lay_out, race_threads, start_soon
from tests.support import invariants
from tests.support.wallet import NPUB, payment_hash

pytestmark = [pytest.mark.faults, pytest.mark.real_mongo]

LONGER = max(1.0, SECONDS / 8)
ROUNDS = int(200 * LONGER)
ROUNDS_OF_PROCESSES = int(48 * LONGER)
CLIENTS = 4


@pytest.fixture
def clients(one: ReplicaSet, database: str) -> Iterator[list[MongoStore]]:
    """Four clients with connections of their own."""
    with ExitStack() as stack:
        yield [stack.enter_context(mongo_store(one.url(database))) for _ in range(CLIENTS)]


def test_of_four_threads_one_wins_every_round(clients: list[MongoStore]) -> None:
    """Four races of four threads each run beside one another: losers mostly wait for their turn."""
    with ThreadPoolExecutor(len(KINDS)) as pool:
        races = [pool.submit(race_threads, clients, kind, ROUNDS) for kind in KINDS]
    for race in races:
        race.result()
    assert_books_agree(clients[0])


def assert_books_agree(store: MongoStore) -> None:
    """Nothing doubled, nothing left over by losers."""
    assert_nothing_wrong(Ledger(Books.read(store)).verdict(History()))


def test_of_four_processes_one_wins_every_round(one: ReplicaSet, database: str) -> None:
    url, names = one.url(database), [f"p{number}" for number in range(CLIENTS)]
    with mongo_store(url) as store, ExitStack() as stack:
        children = [stack.enter_context(Child("race", url, name)) for name in names]
        for child in children:
            assert child.hear() == {"said": "ready"}
        for n in range(ROUNDS_OF_PROCESSES):
            kind = KINDS[n % len(KINDS)]
            lay_out(store, kind, n)
            for child in children:
                child.tell(kind=kind, n=n)
            for child in children:  # all have read what they go for before one of them commits
                assert child.hear() == {"said": "prepared"}
            at = start_soon()
            for child in children:
                child.tell(at=at)
            assert_one_winner(store, kind, n, names, [child.hear()["result"] for child in children])
        assert_books_agree(store)


# -- through the public engine -----------------------------------------------------------------------


def at_once(calls: Sequence[Callable[[], Handle]]) -> list[Handle]:
    """All calls at the same time, each in a thread."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [call.result() for call in [pool.submit(call) for call in calls]]


def test_melts_with_one_key_are_one_melt(clients: list[MongoStore]) -> None:
    with SimulatedMint() as mint:
        engines = [Engine(store, mint) for store in clients]
        engines[0].mint_tokens(npub=NPUB, mint_url=mint.url, amount=2000)
        for n in range(int(10 * LONGER)):
            invoice = mint.lightning.invoice(50).reveal()

            def melt(engine: Engine, invoice: str = invoice, key: str = f"key-{n}") -> Handle:
                return engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice, idempotency_key=key)

            handles = at_once([partial(melt, engine) for engine in engines])
            assert {handle.id for handle in handles} == {handles[0].id}, handles
            assert {handle.state for handle in handles} == {"reconciled"}, handles
            assert mint.lightning.attempts(payment_hash(invoice)) == 1
            assert len(clients[0].operations(OperationQuery(kind="melt", limit=1000))) == n + 1
        invariants.check(clients[0], mint)
