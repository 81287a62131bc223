"""F3: servers that die, freeze, step down or are cut off while clients write (and, F9, read)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nutstate.storage.errors import CommitUnknown
from nutstate.storage.local.replica_set import ReplicaSet
from nutstate.storage.mongo.gateway import GatewayDuplicate, GatewayUnknown, Transaction
from nutstate.storage.mongo.schema import ID_INDEX, OPERATIONS
from nutstate.storage.mongo.store import RESENDS
from nutstate.storage.testing.records import batch_for, make_operation
from tests.faults import scenarios as faults
from tests.faults.ledger import (
    Verdict,
    assert_all_resolved,
    assert_nothing_wrong,
    assert_refusals_had_a_reason,
)
from tests.faults.load import mongo_store, wait_until
from tests.faults.scenarios import HASTY, rounds

pytestmark = [pytest.mark.faults, pytest.mark.real_mongo]
Report = Callable[[str, Verdict], Verdict]
BUDGETS = {"default": None, "hasty": HASTY}
each_budget = pytest.mark.parametrize("budget", BUDGETS)


def assert_sound(verdict: Verdict) -> None:
    """Nothing wrong, every refusal had a reason, and everything came to an end."""
    assert_nothing_wrong(verdict)
    assert_refusals_had_a_reason(verdict)
    assert_all_resolved(verdict)


@each_budget
def test_the_only_node_is_killed(one: ReplicaSet, database: str, report: Report, budget: str) -> None:
    verdict = faults.run(one, database, rounds(faults.kill_primary), budget=BUDGETS[budget])
    assert_sound(report(f"1 node: kill -9, {budget} budget", verdict))


def test_the_primary_steps_down(three: ReplicaSet, database: str, report: Report) -> None:
    verdict = faults.run(three, database, rounds(faults.step_down), budget=HASTY)
    assert_sound(report("3 nodes: stepdown", verdict))


@each_budget
def test_the_primary_is_killed(three: ReplicaSet, database: str, report: Report, budget: str) -> None:
    verdict = faults.run(three, database, rounds(faults.kill_primary), seed=2, budget=BUDGETS[budget])
    assert_sound(report(f"3 nodes: primary kill -9, {budget} budget", verdict))


def test_the_primary_is_frozen_and_thawed(three: ReplicaSet, database: str, report: Report) -> None:
    verdict = faults.run(three, database, rounds(faults.freeze_primary), budget=HASTY)
    assert_sound(report("3 nodes: primary frozen, then thawed", verdict))


def test_an_isolated_primary_is_killed(three: ReplicaSet, database: str, report: Report) -> None:
    verdict = faults.run(three, database, rounds(faults.isolate_and_kill_primary), budget=HASTY)
    assert_sound(report("3 nodes: primary isolated, then killed", verdict))


@each_budget
def test_a_primary_that_wrote_alone_is_killed(
    three: ReplicaSet, database: str, report: Report, budget: str
) -> None:
    """It comes back and must forget what it wrote alone; nothing of that was ever acknowledged."""
    before = faults.rollbacks(three)
    verdict = faults.run(
        three, database, rounds(faults.cut_off_and_kill_primary, 0.5), budget=BUDGETS[budget]
    )
    assert_sound(report(f"3 nodes: primary cut off, then killed, {budget} budget", verdict))
    wait_until(lambda: faults.rollbacks(three) > before, "nothing was rolled back")


# -- what the store says -----------------------------------------------------------------------------


def assert_unknown_until_majority(servers: ReplicaSet, database: str) -> Verdict:
    """A commit that the primary wrote but no majority has yet is unknown, never "nothing was written"."""
    answers, verdict = faults.commit_without_majority(servers, database)
    assert answers == ["unknown"], answers
    assert verdict.unknown_applied + verdict.unknown_not == 1, verdict
    assert_sound(verdict)
    return verdict


def test_a_commit_without_majority_is_unknown(three: ReplicaSet, database: str, report: Report) -> None:
    report("3 nodes: one batch without majority", assert_unknown_until_majority(three, database))


class _CutOff:
    """The gateway of a client whose primary is cut off: the first commits stay unknown, the next is
    refused because of what the first left there, and then another primary leads that has never seen
    any of them."""

    def __init__(self, gateway: Any, unknown: int) -> None:
        self._gateway = gateway
        self._script: list[Exception] = [GatewayUnknown("cut off")] * unknown
        self._script.append(GatewayDuplicate(OPERATIONS, ID_INDEX))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gateway, name)

    def transaction(self, work: Callable[[Transaction], None]) -> None:
        if self._script:
            raise self._script.pop(0)
        self._gateway.transaction(work)


def assert_refusal_is_asked_again(servers: ReplicaSet, database: str, unknown: int) -> None:
    """However the sendings fall on calls of ``commit``: in the end the batch is there."""
    with mongo_store(servers.url(database)) as store:
        gateway: Any = _CutOff(store._gateway, unknown)
        store._gateway = gateway
        batch = batch_for(make_operation("tx-1"))
        for _ in range(unknown // (1 + RESENDS)):
            with pytest.raises(CommitUnknown):
                store.commit(batch)
        store.commit(batch)
        assert store.operation("tx-1") is not None


def test_a_refusal_because_of_what_was_rolled_back_is_not_believed(one: ReplicaSet, database: str) -> None:
    """Seen for real with a long ``settle_s``: ``cut_off_and_kill_primary`` then ended with batches
    refused though no other client touched their documents (``Verdict.refused_wrongly``)."""
    assert_refusal_is_asked_again(one, database, 1)


@pytest.mark.parametrize("unknown", [RESENDS, 1 + RESENDS], ids=["last sending", "next call"])
def test_nor_is_it_when_it_comes_late(one: ReplicaSet, database: str, unknown: int) -> None:
    assert_refusal_is_asked_again(one, database, unknown)
