"""In every state of every machine that an operation runs under: every event that the state does not accept,
with no evidence and with all the evidence any edge for it was ever given. Refused, absorbed or undefined as
the table says, and in every store every byte stays as it was. The same for the calls a person can make."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import attrs
import pytest

from nutstate import Engine, NutstateError, open_store
from nutstate.engine.loop.drive import Happened
from nutstate.engine.loop.evidence import Evidence
from nutstate.machines.spec import NONE, Machine, Transition
from nutstate.review.kit import Cell, matrix
from tests.engine.edge_places import Place, opened
from tests.engine.edge_walks import OPERATIONS, Walk, leave, start, stories, walk_for
from tests.support.stores import STORES

CALLS: dict[str, Callable[[Engine, str], Any]] = {
    "cancel": lambda engine, name: engine.cancel(name),
    "unhold": lambda engine, name: engine.unhold(name),
    "resume": lambda engine, name: engine.resume(name, "because", 0),
    "release": lambda engine, name: engine.release(name, "because"),
    "write_off": lambda engine, name: engine.write_off(name, "because", force=True),
    "resolve": lambda engine, name: engine.resolve(name, "because"),
}
"""What a caller or an operator decides about a stored operation."""


LOOKED_AT = {("swap", "release"), ("receive", "release")}
"""Calls whose last look at the mint is all that they need: a mint that knows nothing calls inputs UNSPENT
and signed no output."""


@attrs.frozen
class Stage:
    """A state, and the edge it was entered by; None where nothing exists yet."""

    spec: Machine[Any]
    state: str
    into: Transition[Any] | None

    def __str__(self) -> str:
        entered = f"-by-{self.into.id}" if self.into else ""
        return f"{self.spec.name}@{self.spec.version}-{self.state}{entered}"


def stages() -> list[Stage]:
    """Every state once; a parked one by every edge into it, since what is stored differs."""
    found: list[Stage] = []
    for spec in OPERATIONS:
        for state in spec.states:
            into = [t for t in spec.transitions if t.dest == state.name and t.source != state.name]
            if state.name == NONE:
                found.append(Stage(spec, NONE, None))
            elif state.kind == "parked":
                found += [Stage(spec, state.name, edge) for edge in into]
            else:
                assert into, f"nothing leads to {state.name} of {spec.name}@{spec.version}"
                found.append(Stage(spec, state.name, into[0]))
    return found


@pytest.fixture(scope="module", params=STORES)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with opened(request, tmp_path_factory.mktemp("refused")) as found:
        yield found


@cache
def seen(spec: Machine[Any]) -> dict[str, list[Evidence]]:
    """Every piece of evidence that an edge of the machine was accepted with, by event."""
    found: dict[str, list[Evidence]] = defaultdict(list)
    for story in stories():
        if story.spec is spec:
            path = walk_for(spec, story.edge)
            with open_store("memory://") as store:
                walk = start(store, spec, path).along(path[:-1])
                found[story.edge.event].append(walk.evidence_for(story.edge))
    return dict(found)


def at(place: Place, stage: Stage) -> Walk:
    """A fresh look at an operation that stands in the state."""
    store = place.empty()
    path = walk_for(stage.spec, stage.into) if stage.into else []
    walk = start(store, stage.spec, path).along(path)
    assert walk.run.operation.state == stage.state
    if stage.into is not None:
        walk.run = walk.engine._open(walk.run.operation, "test")
    return walk


def possible(spec: Machine[Any], cell: Cell) -> set[str]:
    """What the declaration lets a cell answer when it does not accept, read without the library."""
    state = spec.state(cell.state)
    if cell.event in state.absorbs:
        return {"absorbed"}
    if cell.edges or any(refusal.event == cell.event for refusal in state.refuses):
        return {"refused"}
    return {"undefined"}


@pytest.mark.parametrize("stage", stages(), ids=str)
def test_what_a_state_does_not_accept_changes_nothing(place: Place, stage: Stage) -> None:
    walk = at(place, stage)
    before = place.content()
    did = Counter[str]()
    for cell in matrix(stage.spec):
        if cell.state != stage.state:
            continue
        for evidence in (Evidence(), *seen(stage.spec).get(cell.event, [])):
            decision = walk.run.decide(cell.event, evidence)
            if decision.accepted:
                continue
            assert {decision.outcome} == possible(stage.spec, cell), cell.event
            assert decision.next_state == stage.state
            fixed = {r.code for r in stage.spec.state(stage.state).refuses if r.event == cell.event}
            if fixed and not cell.edges:
                assert {refusal.code for refusal in decision.refusals} == fixed
            leave(walk, Happened(cell.event, evidence))
            did[decision.outcome] += 1
        assert place.content() == before, f"{cell.event} in {stage.state} changed the store"
    assert not walk.run.decide("no_such_event", Evidence()).accepted
    leave(walk, Happened("no_such_event"))
    assert place.content() == before
    cells = [cell for cell in matrix(stage.spec) if cell.state == stage.state and not cell.edges]
    assert did.total() >= len(cells)


@pytest.mark.parametrize("stage", [stage for stage in stages() if stage.into is not None], ids=str)
def test_a_call_that_is_refused_changes_nothing(place: Place, stage: Stage) -> None:
    """Through the engine's front door: no lease, no schedule, no timing is left behind either."""
    walk = at(place, stage)
    before = place.content()
    for event, call in CALLS.items():
        decision = walk.run.decide(event, Evidence(operator_reason="because", forced=True))
        if decision.accepted or (stage.spec.name, event) in LOOKED_AT:
            continue
        if decision.outcome == "absorbed":
            assert call(walk.engine, walk.run.operation.id).state == stage.state
        else:
            with pytest.raises(NutstateError):
                call(walk.engine, walk.run.operation.id)
        assert place.content() == before, f"{event} in {stage.state} changed the store"


def test_cases_on_this_store(place: Place, request: pytest.FixtureRequest) -> None:
    """Tells how many cells the tests above go through; each of them does all of its state."""
    kind = request.node.callspec.params["place"]
    for spec in OPERATIONS:
        counted = Counter(
            next(iter(possible(spec, cell))) if not cell.edges else "with edges" for cell in matrix(spec)
        )
        told = ", ".join(f"{number} {name}" for name, number in sorted(counted.items()))
        line = f"cells through {kind}: {spec.name}@{spec.version}: {told}"
        request.node.user_properties.append(("table", line))
        assert counted.total() == len(spec.states) * len(spec.events)
