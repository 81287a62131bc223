"""F4: clients that die in the middle of what they do, and clients whose time is over."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from nutstate.storage.batch import Batch
from nutstate.storage.errors import StoreUnavailable
from nutstate.storage.local.replica_set import ReplicaSet
from nutstate.storage.mongo.client import Budget
from nutstate.storage.mongo.gateway import GatewayUnavailable, Transaction
from nutstate.storage.mongo.schema import AUDIT
from nutstate.storage.mongo.store import MongoStore
from nutstate.storage.mongo.write import apply_batch
from tests.faults.children import Child, heard
from tests.faults.conftest import mended
from tests.faults.footprint import Footprint
from tests.faults.history import History
from tests.faults.ledger import Books, Ledger, Verdict, assert_nothing_wrong, assert_refusals_had_a_reason
from tests.faults.load import PATIENCE_S, SECONDS, Writers, mongo_store, watched_store
from tests.faults.rivals import KINDS, Kind, everything_of, holder, lay_out, result_of, rival
from tests.servers.mongod import replica_set
from tests.support.folders import on_disk

pytestmark = [pytest.mark.faults, pytest.mark.real_mongo]
Report = Callable[[str, Verdict], Verdict]

LIFETIME_S = 3
BLOCK_MAX_S = 1.5 * LIFETIME_S
SLACK_S = 1.5
"""One more try of a client that waits, on a busy machine."""
BRIEF = Budget(transaction_s=0.5, commit_s=2.0, settle_s=2.0)
"""A client that rather hears "busy" than waits."""


@pytest.fixture(scope="module")
def short_lived_set() -> Iterator[ReplicaSet]:
    limit = {"transactionLifetimeLimitSeconds": str(LIFETIME_S)}
    with on_disk() as folder, replica_set(folder, parameters=limit) as servers:
        yield servers


@pytest.fixture
def short_lived(short_lived_set: ReplicaSet) -> ReplicaSet:
    """One node that ends forgotten transactions after ``LIFETIME_S``."""
    return mended(short_lived_set)


def insist(url: str, kind: Kind, budget: Budget | None) -> tuple[str, list[str], float]:
    """Another client goes for what the dead one holds, until it is told yes or no: the result, what
    it heard before, and when it ended."""
    heard_before: list[str] = []
    with mongo_store(url, budget) as store:
        batch = rival(store, kind, 0, "living")
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                return result_of(store, batch), heard_before, time.monotonic()
            except StoreUnavailable as error:
                heard_before.append(error.message)
    return "never", heard_before, time.monotonic()


def die_inside(url: str) -> float:
    """A client process writes everything, does not commit, and is killed. Returns when."""
    with Child("hang", url) as child:
        assert child.hear() == {"said": "inside"}
        child.kill()
        return time.monotonic()


@pytest.mark.parametrize("budget", [None, BRIEF], ids=["patient", "brief"])
def test_a_client_that_dies_inside_its_transaction_blocks_others_for_a_bounded_time(
    short_lived: ReplicaSet, database: str, budget: Budget | None
) -> None:
    url = short_lived.url(database)
    with mongo_store(url) as store:
        lay_out(store, "token", 0)
        dead = Footprint.of(everything_of(store, "dead"))
        died_at = die_inside(url)
        with ThreadPoolExecutor(len(KINDS)) as pool:
            answers = list(pool.map(lambda kind: insist(url, kind, budget), KINDS))
        assert [result for result, _, _ in answers] == ["won"] * len(KINDS), answers
        for _, before, ended_at in answers:
            assert ended_at - died_at <= BLOCK_MAX_S + SLACK_S, answers
            assert before or budget is None, answers
        assert budget is None or any("busy" in message for _, before, _ in answers for message in before)
        assert [holder(store, kind, 0) for kind in KINDS] == [f"{kind}-0-living" for kind in KINDS]
        books = Books.read(store)
        assert dead.operation not in books.operations
        assert not {record.id for record in books.audit} & set(dead.audit)
        assert_nothing_wrong(Ledger(books).verdict(History()))


def test_clients_are_killed_under_load(one: ReplicaSet, database: str, report: Report) -> None:
    url, history, draw = one.url(database), History(), random.Random(4)
    with watched_store(url, history) as store:
        with Writers(store, "stays", history=history, writers=2) as load:
            end = time.monotonic() + SECONDS
            killed = 0
            while killed < 4 or time.monotonic() < end:
                with Child("load", url, f"child{killed}") as child:
                    child.hear()
                    time.sleep(draw.uniform(0.0, 1.0))
                    child.kill()
                    killed += 1
                heard(child, history)
            load.wait_for_acknowledgements(10)
        verdict = report("1 node: clients kill -9", Ledger(Books.read(store)).verdict(history))
    assert_nothing_wrong(verdict)
    assert_refusals_had_a_reason(verdict)
    assert verdict.unresolved == 0 and verdict.acknowledged > 10, verdict


# -- time that is over -------------------------------------------------------------------------------

SLOW = Budget(transaction_s=0.5, commit_s=5.0)


def run_out_of_time(store: MongoStore, batch: Batch) -> None:
    """The writes of ``batch``, then nothing until the budget for writes is over, then one more call."""

    def work(transaction: Transaction) -> None:
        apply_batch(transaction, batch)
        time.sleep(SLOW.transaction_s + 0.2)
        transaction.find(AUDIT, {"_id": ""})

    with pytest.raises(GatewayUnavailable):
        store._gateway.transaction(work)


def assert_aborted_at_once(servers: ReplicaSet, database: str) -> None:
    """Not after the lifetime limit (10 s here): the very next client writes without waiting."""
    url = servers.url(database)
    with mongo_store(url, SLOW) as slow, mongo_store(url, BRIEF) as other:
        lay_out(other, "token", 0)
        run_out_of_time(slow, everything_of(slow, "slow"))
        for kind in KINDS:
            try:
                assert result_of(other, rival(other, kind, 0, "other")) == "won"
            except StoreUnavailable as error:
                raise AssertionError(f"{kind}: {error.message}") from error
        assert other.operation("all-0-slow") is None


def test_a_transaction_whose_time_is_over_is_aborted_at_once(one: ReplicaSet, database: str) -> None:
    assert_aborted_at_once(one, database)
