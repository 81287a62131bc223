"""Servers of a cluster die while clients write: those that hold the wallet, and those that hold its keys."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from nutstate.storage.local.replica_set import ReplicaSet
from nutstate.storage.mongo.client import Budget
from nutstate.storage.mongo.schema import KEYS, OPERATIONS, TOKENS
from nutstate.storage.testing.records import NPUB
from tests.faults.conftest import ELECTION_TIMEOUT_MS
from tests.faults.history import History, watch
from tests.faults.ledger import (
    Books,
    Ledger,
    Verdict,
    assert_all_resolved,
    assert_nothing_wrong,
    assert_refusals_had_a_reason,
)
from tests.faults.load import Watcher, Writers
from tests.faults.scenarios import (
    HASTY,
    Load,
    Scenario,
    in_step,
    isolate_and_kill_primary,
    kill_primary,
    rounds,
)
from tests.faults.test_server_death import Report
from tests.servers.cluster import Cluster, cluster
from tests.servers.two_sets import shard_of
from tests.support.folders import on_disk
from tests.support.memory_cluster import check_keys

pytestmark = [pytest.mark.faults, pytest.mark.real_mongo, pytest.mark.cluster]
HOME = shard_of(NPUB)


@pytest.fixture(scope="module")
def both() -> Iterator[Cluster]:
    """Two sets of one node each."""
    with on_disk() as folder, cluster(folder) as running:
        yield running


@pytest.fixture(scope="module")
def three_each() -> Iterator[Cluster]:
    """Two sets of three nodes each."""
    with on_disk() as folder, cluster(folder, nodes=3, election_timeout_ms=ELECTION_TIMEOUT_MS) as running:
        yield running


def run(
    there: Cluster, scenario: Scenario, sets: tuple[int, ...], budget: Budget | None, seed: int
) -> Verdict:
    """Writers and a reader work while ``scenario`` happens to each of these sets in turn; then count. No key
    may be held twice, or without its entry in ``global_keys``."""
    name, history = there.take(), History()

    def everywhere(servers: ReplicaSet, load: Load, draw: random.Random) -> None:
        for number in sets:
            scenario(there.servers[number], load, draw)
            in_step(there.servers[number])

    with there.open(name, budget) as store, there.open(name) as other:
        watch(store, history)
        with Watcher(other) as watcher, Writers(store, f"s{seed}", history=history) as load:
            load.wait_for_acknowledgements(20)
            everywhere(there.servers[0], load, random.Random(seed))
            load.wait_for_acknowledgements(20)
        for servers in there.servers:
            in_step(servers)
        assert watcher.checked > 0, "the reader never saw anything"
        verdict = Ledger(Books.read(store)).verdict(history)
    stored = there.everything(name)
    check_keys({collection: stored[collection] for collection in (OPERATIONS, TOKENS, KEYS)})
    return verdict


@pytest.mark.parametrize("budget", [None, HASTY], ids=["default", "hasty"])
@pytest.mark.parametrize("sets", [(HOME,), (1 - HOME,), (0, 1)], ids=["wallet", "keys", "both"])
def test_r603_servers_of_a_cluster_are_killed(
    both: Cluster, report: Report, sets: tuple[int, ...], budget: Budget | None
) -> None:
    """R603: ``kill -9`` of the servers that hold the wallet, of those that hold half of its keys, and of
    both: nothing acknowledged is lost, nothing is held twice, and every batch ends."""
    verdict = run(both, rounds(kill_primary, 0.5), sets, budget, seed=len(sets))
    assert_nothing_wrong(report(f"cluster, 1 node each: kill -9 of {len(sets)} of 2 sets", verdict))
    assert_refusals_had_a_reason(verdict)
    assert_all_resolved(verdict)


def test_r603_a_set_that_wrote_alone(three_each: Cluster, report: Report) -> None:
    """R603: the primary of each set in turn loses its peers and dies; what it wrote alone, keys too, is
    rolled back, and was never believed."""
    verdict = run(three_each, rounds(isolate_and_kill_primary, 0.4), (0, 1), HASTY, seed=5)
    assert_nothing_wrong(report("cluster, 3 nodes each: primaries isolated, then killed", verdict))
    assert_refusals_had_a_reason(verdict)
    assert_all_resolved(verdict)
