"""Paths and tours cover what they say they cover, and the machine really goes that way."""

from __future__ import annotations

import itertools
from typing import Any

import attrs
import pytest

from nutstate.machines import step
from nutstate.machines.registry import RELEASED, latest
from nutstate.machines.spec import Machine, State, Transition, edges
from nutstate.review.kit import TooManySequences, paths, script_of, simulate, switched, tours
from nutstate.review.kit.graph import witness
from nutstate.review.kit.paths import Cover
from tests.machines.toy import ORDER, trapped, unreachable

MACHINES = [*RELEASED, ORDER]
COVERS: list[Cover] = ["states", "edges", "pairs", 1, 2, 3]


def walks_on(path: tuple[Transition[Any], ...]) -> bool:
    return path[0].source == "none" and all(a.dest == b.source for a, b in itertools.pairwise(path))


@pytest.mark.parametrize("cover", COVERS)
@pytest.mark.parametrize("spec", MACHINES, ids=lambda spec: spec.name)
def test_paths_cover_all_there_is(spec: Machine[Any], cover: Cover) -> None:
    found = paths(spec, cover)
    assert all(walks_on(path) for path in found.paths)
    assert [len(path) for path in found.paths] == sorted(len(path) for path in found.paths)
    assert found.unreachable == ()
    if cover == "states":
        passed = {edge.dest for path in found.paths for edge in path} | {"none"}
        assert {(name,) for name in passed} == set(found.covered) == {(s.name,) for s in spec.states}
        return
    length = {"edges": 1, "pairs": 2}.get(str(cover)) or int(cover)
    wanted: set[tuple[str, ...]] = {(edge.id,) for edge in spec.transitions}
    if length >= 2:
        wanted |= {(a.id, b.id) for a in spec.transitions for b in spec.transitions if a.dest == b.source}
    ids = [tuple(edge.id for edge in path) for path in found.paths]
    seen = {
        path[n : n + size]
        for path in ids
        for size in range(1, length + 1)
        for n in range(len(path) - size + 1)
    }
    assert seen == set(found.covered) and wanted <= seen
    assert len(found.covered) == len(set(found.covered))


@pytest.mark.parametrize("spec", MACHINES, ids=lambda spec: spec.name)
def test_no_path_is_needless(spec: Machine[Any]) -> None:
    found = paths(spec, "edges")
    for left_out in found.paths:
        rest = {edge.id for path in found.paths if path is not left_out for edge in path}
        assert rest != {edge.id for edge in spec.transitions}


def test_the_machine_really_goes_every_path() -> None:
    for spec in MACHINES:
        for path in (*paths(spec, "pairs").paths, *tours(spec).tours):
            trace = simulate(spec, script=script_of(spec, path))
            assert [played.decision.transition for played in trace.steps] == [edge.id for edge in path]
            assert trace.state == path[-1].dest


def test_a_witness_makes_its_edge_the_first() -> None:
    for spec in MACHINES:
        machine = switched(spec)
        for edge in spec.transitions:
            cell = spec.cells[edge.source, edge.event]
            answers = witness(cell, edge)
            assert answers is not None
            for rest in (False, True):
                facts = {name: answers.get(name, rest) for name in spec.guards}
                assert step(machine, edge.source, edge.event, facts).transition == edge.id


def test_what_cannot_be_covered_is_told() -> None:
    spec = unreachable()
    assert paths(spec, "states").unreachable == (("lost",),)
    told = paths(spec, "edges")
    assert told.unreachable == (("7.ship.packed",), ("8.look.lost",))
    assert len(told.covered) == len(ORDER.transitions)
    assert ("8.look.lost", "8.look.lost") in paths(spec, "pairs").unreachable
    assert tours(spec).unreachable == ("7.ship.packed", "8.look.lost")


def test_a_self_loop_is_walked_more_than_once() -> None:
    found = paths(ORDER, 3)
    loop = "4.tick.packed"
    assert (loop, loop, loop) in found.covered
    assert any([edge.id for edge in path].count(loop) == 3 for path in found.paths)


@pytest.mark.parametrize("cover", [0, -1, 33, True, "nodes", 1.5, None])
def test_other_covers_are_refused(cover: Any) -> None:
    with pytest.raises(ValueError, match="cover is"):
        paths(ORDER, cover)


def test_too_many_sequences_are_refused_before_any_is_made() -> None:
    with pytest.raises(TooManySequences, match="more than 100000 sequences of up to 32 edges"):
        paths(latest("melt"), 32)
    assert paths(latest("deposit"), 32).covered == (("1.deposit.none",),)


@pytest.mark.parametrize("spec", MACHINES, ids=lambda spec: spec.name)
def test_tours_take_every_edge_and_end(spec: Machine[Any]) -> None:
    found = tours(spec)
    assert all(walks_on(tour) for tour in found.tours)
    assert {edge.id for tour in found.tours for edge in tour} == {edge.id for edge in spec.transitions}
    finals = {state.name for state in spec.states if state.kind == "final"}
    assert {tour[-1].dest for tour in found.tours} <= finals
    assert found.steps == sum(len(tour) for tour in found.tours)
    assert len(found.tours) <= len(paths(spec, "edges").paths)


def test_the_numbers_of_melt() -> None:
    melt = latest("melt")
    assert len(tours(melt).tours) <= 56 and tours(melt).steps <= 400
    assert len(paths(melt, "edges").paths) <= 150 and len(paths(melt, "states").paths) <= 15


def test_a_tour_ends_where_it_can() -> None:
    assert {tour[-1].dest for tour in tours(trapped()).tours} == {"held", "done"}
    ring = attrs.evolve(
        ORDER,
        states=(ORDER.states[0], State("a", "a"), State("b", "b")),
        transitions=(
            *edges("1", "begin", "none", "a"),
            *edges("2", "tick", "a", "b"),
            *edges("3", "tick", "b", "a"),
        ),
    )
    (tour,) = tours(ring).tours
    assert [edge.dest for edge in tour] == ["a", "b", "a"]


def test_the_same_machine_gives_the_same_paths() -> None:
    melt = latest("melt")
    assert paths(melt, "pairs").as_data() == paths(attrs.evolve(melt), "pairs").as_data()
    assert tours(melt).as_data() == tours(attrs.evolve(melt)).as_data()


def test_a_machine_without_a_pseudo_state_starts_at_its_first() -> None:
    spec = attrs.evolve(ORDER, states=ORDER.states[1:], transitions=ORDER.transitions[1:])
    assert all(path[0].source == "open" for path in paths(spec).paths)
    assert paths(attrs.evolve(ORDER, transitions=())).paths == ()
    with pytest.raises(ValueError, match="declares no states"):
        paths(attrs.evolve(ORDER, states=(), transitions=()))
