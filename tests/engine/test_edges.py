"""Every edge of every machine that an operation runs under, through every store: what its commit writes, to
the field; and before it, each of its guards failing alone, which leaves every stored byte as it was."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from nutstate import NutstateError
from nutstate.engine.loop.drive import Happened, Run
from nutstate.engine.loop.evidence import Evidence
from nutstate.engine.loop.look import Look
from nutstate.machines import MELT
from nutstate.machines.registry import latest
from nutstate.machines.spec import NONE, Machine, Transition
from nutstate.machines.words import EFFECTS
from nutstate.storage.records import Policy
from tests.engine.edge_checks import WRITES, Forced, check_written, guards_of
from tests.engine.edge_places import Place, opened
from tests.engine.edge_scenes_mint import scene_of
from tests.engine.edge_walks import (
    OPERATIONS,
    SETTINGS,
    Story,
    Walk,
    fund,
    holds_claim,
    is_foreign,
    leave,
    new_run,
    start,
    stories,
    walk_for,
)
from tests.support import invariants
from tests.support.everything import everything
from tests.support.stores import STORES

__all__ = ["SETTINGS", "fund", "new_run"]


@pytest.fixture(scope="module", params=STORES)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with opened(request, tmp_path_factory.mktemp("edges")) as found:
        yield found


@cache
def forced(spec: Machine[Any]) -> Forced:
    return Forced(spec)


def test_every_edge_has_a_scene() -> None:
    """A new edge, event or machine without a scene is named here, before any store is asked."""
    for story in stories():
        assert callable(scene_of(story.spec, story.edge))
        assert walk_for(story.spec, story.edge)[-1] is story.edge
    assert WRITES.keys() == {effect for spec in OPERATIONS for t in spec.transitions for effect in t.effects}
    assert WRITES.keys() <= set(EFFECTS)


def test_an_edge_without_a_scene_is_named() -> None:
    spec = latest("check")
    unknown: Transition[Any] = Transition("99.found_odd.none", "found_odd", NONE, "clean")
    with pytest.raises(AssertionError, match=r"no scene for edge 99\.found_odd\.none of check@1"):
        scene_of(spec, unknown)


@pytest.mark.every_store
@pytest.mark.parametrize("story", stories(), ids=str)
def test_every_edge(place: Place, story: Story) -> None:
    """Accepted: state, version, one record with the token records that belong to it, a chain that holds,
    the invariants. Before that, every guard of the edge failing alone changes nothing."""
    store, spec, edge = place.empty(), story.spec, story.edge
    path = walk_for(spec, edge)
    walk = start(store, spec, path).along(path[:-1])
    evidence = walk.evidence_for(edge)
    failing_alone(place, walk, edge, evidence)

    before = everything(store)
    walk.take(edge, evidence)
    after = everything(store)
    op = walk.run.operation
    assert store.operation(op.id) == op
    check_written(edge, op, before, after)
    report = walk.engine.verify_audit()
    assert report.holds, report.faults
    assert report.records == len(after.audit)
    claims = not is_foreign(path) and holds_claim(path)
    assert (op.claim is not None) == claims
    if "correct_spent" not in edge.effects:
        invariants.check(store)


def failing_alone(place: Place, walk: Walk, edge: Transition[Any], evidence: Evidence) -> None:
    """Turn each guard of the edge round, one at a time: refused or absorbed as the table says, or another
    edge of the cell (which is not taken here), and the store as it was."""
    run, turned = walk.run, forced(walk.spec)
    before = place.content()
    run.draft.machine = turned.machine
    for guard in guards_of(edge):
        with turned.failing(edge, guard):
            facts = run.kind.facts(
                Look(run.kind, run.draft, evidence, run.settings, run.now(), run.elapsed())
            )
            wanted = turned.expected(edge, facts)
            run._decided = None  # it rests on guards that are pure, and these are turned
            decision = run.decide(edge.event, evidence)
            assert decision.outcome == wanted.outcome, f"{edge.id} without {guard.name}"
            assert (decision.transition, decision.refusals) == (wanted.transition, wanted.refusals)
            assert decision.transition != edge.id
            if not decision.accepted:
                assert decision.outcome == "absorbed" or guard.code in {r.code for r in decision.refusals}
                leave(walk, Happened(edge.event, evidence))
        assert place.content() == before, f"{edge.id} without {guard.name} changed the store"
    run.draft.machine = walk.spec


def test_a_decision_is_never_half_committed(place: Place) -> None:
    """A batch that fails in the middle leaves every byte as it was."""
    store = place.empty()
    edge = next(t for t in MELT.transitions if t.id == "5.inputs_chosen.quoted")
    path = walk_for(MELT, edge)
    walk = start(store, MELT, path)
    for step in path:
        walk.engine._driver.take(walk.run, Happened(step.event, walk.evidence_for(step)))
    batch = walk.run.draft.batch()
    walk.engine._driver.commit(the_other(walk, path))
    before = place.content()
    with pytest.raises(NutstateError, match="changed meanwhile"):
        store.commit(batch)
    assert place.content() == before


def the_other(walk: Walk, path: list[Transition[Any]]) -> Run:
    """Another melt takes the same tokens first."""
    run = new_run(walk.engine, walk.clock, "melt", Policy())
    run.draft.set(id="tx_melt_the_other", payment_hash="cd" * 32)
    for step in path:
        walk.engine._driver.take(run, Happened(step.event, scene_of(MELT, step)(run, walk.clock, step)))
    return run


def test_cases_on_this_store(place: Place, request: pytest.FixtureRequest) -> None:
    """Tells how many cases the tests above are made of; each of them does all of its own."""
    for spec in OPERATIONS:
        asked = sum(len(guards_of(edge)) for edge in spec.transitions)
        edges = len(spec.transitions)
        line = f"{spec.name}@{spec.version}: {edges} edges accepted, {asked} guards failing alone"
        kind = request.node.callspec.params["place"]
        request.node.user_properties.append(("table", f"edges through {kind}: {line}"))
        assert spec.transitions
