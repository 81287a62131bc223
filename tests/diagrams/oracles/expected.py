"""What a machine answers in every case, in the words an export can be asked in."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs
from attrs import frozen

from nutstate.machines.spec import Machine, Transition
from nutstate.review.kit import Row, cells


@frozen
class Question:
    """An event in a state, and the answers of the guards of that cell."""

    state: str
    event: str
    answers: Mapping[str, bool]


@frozen
class Answer:
    """What came of it. ``outcome`` is ``ignored`` where a notation cannot tell more than that."""

    outcome: str
    state: str
    transition: str | None = None
    effects: tuple[str, ...] = ()


Told = Sequence[tuple[Question, Answer]]


def told_by(machine: Machine[Any]) -> Told:
    """Every case as SPIN tells it: all four outcomes, without effects."""
    return [(_question(row), _answer(row, row.decision.outcome)) for row in cells(machine)]


def told_by_charts(machine: Machine[Any]) -> Told:
    """Every case as a statechart tells it: it ignores what no transition is enabled for, and every event
    once it has ended."""
    ended = {
        state.name
        for state in machine.states
        if state.kind == "final" and not any(edge.source == state.name for edge in machine.transitions)
    }
    found = []
    for row in cells(machine):
        state = machine.state(row.cell.state)
        fixed = any(refused.event == row.cell.event for refused in state.refuses)
        outcome: str = row.decision.outcome
        if state.name in ended or outcome == "undefined" or (outcome == "refused" and not fixed):
            outcome = "ignored"
        answer = _answer(row, outcome)
        found.append((_question(row), attrs.evolve(answer, effects=row.decision.effects)))
    return found


def disagreements(expected: Told, got: Told) -> list[str]:
    """One line for each case that is answered otherwise, is missing, or is not a case at all."""
    ours, theirs = _keyed(expected), _keyed(got)
    return [
        f"{key}: {ours.get(key)} but the export says {theirs.get(key)}"
        for key in dict.fromkeys([*ours, *theirs])
        if ours.get(key) != theirs.get(key)
    ]


# -- mistakes an export could make ----------------------------------------------------------------


def with_another_dest(machine: Machine[Any]) -> Machine[Any]:
    """The machine with one edge that leads somewhere else."""
    edge = _guarded(machine)
    other = next(s.name for s in reversed(machine.states) if s.name not in (edge.dest, edge.source))
    return _replaced(machine, edge, attrs.evolve(edge, dest=other))


def without_a_guard(machine: Machine[Any]) -> Machine[Any]:
    """The machine with one edge that asks one guard less."""
    edge = _guarded(machine)
    return _replaced(machine, edge, attrs.evolve(edge, requires=edge.requires[1:]))


def with_a_guard_reversed(machine: Machine[Any]) -> Machine[Any]:
    """The machine with one edge that wants the contrary of one guard."""
    edge = _guarded(machine)
    first, *rest = edge.requires
    return _replaced(machine, edge, attrs.evolve(edge, requires=tuple(rest), forbids=(*edge.forbids, first)))


def in_another_order(machine: Machine[Any]) -> Machine[Any]:
    """The machine with two edges of one cell swapped: where some case tells, else of the first cell
    that has two. The machine needs one."""
    found = []
    for members in machine.cells.values():
        for one, other in itertools.pairwise(members):
            table = tuple({one.id: other, other.id: one}.get(edge.id, edge) for edge in machine.transitions)
            found.append(attrs.evolve(machine, transitions=table))
    return next((m for m in found if disagreements(told_by(machine), told_by(m))), found[0])


MISTAKES: tuple[Callable[[Machine[Any]], Machine[Any]], ...] = (
    with_another_dest,
    without_a_guard,
    with_a_guard_reversed,
    in_another_order,
)


def _guarded(machine: Machine[Any]) -> Transition[Any]:
    """The first edge that asks several guards, of which some drawing names none; else the first of one."""
    asking = [edge for edge in machine.transitions if edge.requires]
    return next((edge for edge in asking if len(edge.requires) > 1), asking[0])


def _replaced(machine: Machine[Any], old: Transition[Any], new: Transition[Any]) -> Machine[Any]:
    return attrs.evolve(
        machine, transitions=tuple(new if edge is old else edge for edge in machine.transitions)
    )


def _question(row: Row) -> Question:
    return Question(row.cell.state, row.cell.event, row.valuation)


def _answer(row: Row, outcome: str) -> Answer:
    return Answer(outcome, row.decision.next_state, row.decision.transition)


def _keyed(told: Iterable[tuple[Question, Answer]]) -> dict[str, Answer]:
    found: dict[str, Answer] = {}
    for asked, answer in told:
        given = " ".join(f"{name}={value:d}" for name, value in sorted(asked.answers.items()))
        key = f"{asked.state} {asked.event} {given}".rstrip()
        assert found.setdefault(key, answer) == answer, f"told twice: {key}"
    return found
