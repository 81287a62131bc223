"""What lint says of guards is the truth: against every valuation of random small cells, and of ours."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nutstate.machines.registry import RELEASED
from nutstate.machines.spec import NONE, Event, Guard, Machine, State, Transition
from nutstate.review.kit import cells, matrix
from nutstate.review.lint import Gap, gaps, lint

NAMES = ("a", "b", "c", "d")
GUARDS = {name: Guard[Any](name, f"{name} holds", "NO", bool) for name in NAMES}

literals = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["yes", "no", "both"]), max_size=4)
tables = st.lists(literals, min_size=1, max_size=5)


def machine(table: Iterable[Mapping[str, str]], absorbs: tuple[str, ...] = ()) -> Machine[Any]:
    """One cell, with an edge for each line."""
    edges = tuple(
        Transition[Any](
            f"{n}.ask.none", "ask", NONE, "done",
            requires=tuple(GUARDS[name] for name in sorted(line) if line[name] in ("yes", "both")),
            forbids=tuple(GUARDS[name] for name in sorted(line) if line[name] in ("no", "both")),
        )
        for n, line in enumerate(table)
    )  # fmt: skip
    states = (State(NONE, "nothing", kind="pseudo", absorbs=absorbs), State("done", "done", kind="final"))
    return Machine("cell", 1, dict, states, (Event("ask", "asks", "mint"),), edges)


def agrees(edge: Transition[Any], facts: Mapping[str, bool]) -> bool:
    return all(facts[g.name] for g in edge.requires) and not any(facts[g.name] for g in edge.forbids)


def valuations(names: Iterable[str]) -> list[dict[str, bool]]:
    known = list(names)
    return [dict(zip(known, a, strict=True)) for a in itertools.product((False, True), repeat=len(known))]


def inside(terms: Iterable[tuple[str, bool]], facts: Mapping[str, bool]) -> bool:
    return all(facts[name] == answer for name, answer in terms)


def primes(names: list[str], open_facts: list[dict[str, bool]]) -> set[frozenset[tuple[str, bool]]]:
    """Every minimal condition all of whose valuations are open, by trying all 3**n conditions."""
    found = set()
    for answers in itertools.product((None, False, True), repeat=len(names)):
        terms = frozenset((n, a) for n, a in zip(names, answers, strict=True) if a is not None)
        if all(facts in open_facts for facts in valuations(names) if inside(terms, facts)):
            found.add(terms)
    return {terms for terms in found if not any(other < terms for other in found)}


@settings(max_examples=300)
@given(tables)
def test_gaps_are_exactly_the_minimal_conditions_nobody_accepts(table: list[dict[str, str]]) -> None:
    spec = machine(table)
    (cell,) = (cell for cell in matrix(spec) if cell.edges)
    open_facts = [f for f in cell.valuations() if not any(agrees(edge, f) for edge in cell.edges)]
    found = gaps(spec)
    assert {frozenset(gap.terms) for gap in found} == primes(list(cell.guards), open_facts)
    assert len({gap.terms for gap in found}) == len(found)
    assert all(gap.outcome == "refused" and gap.sentence for gap in found)


@settings(max_examples=300)
@given(tables)
def test_shadowed_and_contradictory_edges_are_those_that_are_never_taken(table: list[dict[str, str]]) -> None:
    spec = machine(table)
    taken = set()
    for facts in valuations(NAMES):
        taken |= {next((edge.id for edge in spec.transitions if agrees(edge, facts)), "")}
    found = {f.where for f in lint((spec,)) if f.code in ("L20", "L22")}
    assert found == {edge.id for edge in spec.transitions} - taken
    both = {e.id for e in spec.transitions if {g.name for g in e.requires} & {g.name for g in e.forbids}}
    assert {f.where for f in lint((spec,)) if f.code == "L22"} == both


@settings(max_examples=300)
@given(tables)
def test_overlapping_edges_are_those_that_agree_somewhere(table: list[dict[str, str]]) -> None:
    spec = machine(table)
    wanted = [
        (other.id, one.id)
        for one, other in itertools.combinations(spec.transitions, 2)
        if any(agrees(one, facts) and agrees(other, facts) for facts in valuations(NAMES))
    ]
    found = [(f.where, f.sentence.split()[2].rstrip(",")) for f in lint((spec,)) if f.code == "L21"]
    assert sorted(found) == sorted(wanted)
    for f in (f for f in lint((spec,)) if f.code == "L21"):
        told = f.sentence.partition("agree when ")[2]
        words = [] if told == "anything holds" else told.split(", ")
        facts = dict.fromkeys(NAMES, False) | {
            w.removeprefix("not "): not w.startswith("not ") for w in words
        }
        one, other = f.sentence.split()[2].rstrip(","), f.where
        assert all(agrees(edge, facts) for edge in spec.transitions if edge.id in (one, other)), f.sentence


@settings(max_examples=200)
@given(tables)
def test_an_absorbed_gap_is_said_to_be_absorbed(table: list[dict[str, str]]) -> None:
    asked, absorbing = gaps(machine(table)), gaps(machine(table, ("ask",)))
    assert [gap.terms for gap in asked] == [gap.terms for gap in absorbing]
    assert all(gap.outcome == "absorbed" and "is absorbed" in gap.sentence for gap in absorbing)
    dead = {f.where for f in lint((machine(table, ("ask",)),)) if f.code == "L26"}
    assert dead == (set() if absorbing else {"none + ask"})


@pytest.mark.parametrize("spec", RELEASED, ids=lambda spec: spec.name)
def test_gaps_of_our_machines_are_what_step_does_not_accept(spec: Machine[Any]) -> None:
    by_cell: dict[tuple[str, str], list[Gap]] = {}
    for gap in gaps(spec):
        by_cell.setdefault((gap.state, gap.event), []).append(gap)
    for row in cells(spec):
        if not row.cell.edges:
            assert (row.cell.state, row.cell.event) not in by_cell
            continue
        here = by_cell.get((row.cell.state, row.cell.event), [])
        left_out = [gap for gap in here if inside(gap.terms, row.valuation)]
        assert bool(left_out) != row.decision.accepted, (row.cell, row.valuation)
        assert all(gap.outcome == row.decision.outcome for gap in left_out)


def test_a_cell_of_many_guards_needs_no_list_of_all_valuations() -> None:
    """Thirty guards on one edge: thirty gaps, each of one guard."""
    many = tuple(Guard[Any](f"g{n:02}", f"{n}", "NO", bool) for n in range(30))
    spec = machine([{}])
    edge = attrs.evolve(spec.transitions[0], requires=many)
    found = gaps(attrs.evolve(spec, transitions=(edge,)))
    assert [gap.terms for gap in found] == [((g.name, False),) for g in many]


def test_a_cell_nobody_could_read_is_said_to_be_one_and_takes_no_time() -> None:
    """Eight edges of six guards of their own: 6**8 combinations."""
    known = [[Guard[Any](f"g{n}{m}", f"{n} {m}", "NO", bool) for m in range(6)] for n in range(8)]
    spec = machine([{}] * 8)
    table = tuple(attrs.evolve(e, requires=tuple(g)) for e, g in zip(spec.transitions, known, strict=True))
    spec = attrs.evolve(spec, transitions=table)
    with pytest.raises(ValueError, match=r"none \+ ask leaves out more than 2000 combinations"):
        gaps(spec)
    assert [f.severity for f in lint((spec,)) if f.code == "L24"] == ["note"]
    assert [f for f in lint((spec,)) if f.code == "L20"] == []
