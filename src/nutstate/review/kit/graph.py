"""The declaration as a graph: which edges can be taken at all, and the shortest ways between states."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

from ...machines.spec import Machine, Transition

Path = tuple[Transition[Any], ...]
"""Edges that follow one another."""


@frozen
class Graph:
    """All possible moves, guards set freely. ``leaving`` holds the edges out of each state in the order of
    the table, without those that an earlier edge of their cell always wins against."""

    start: str
    edges: Path
    leaving: Mapping[str, Path]

    def after(self, state: str) -> Path:
        """The edges out of a state; none for a state that has none."""
        return self.leaving.get(state, ())


class BadMachine(ValueError):
    """The machine declares no states, or an edge names a state or an event it does not declare."""


def check_names(spec: Machine[Any]) -> None:
    """Raises :class:`BadMachine` for an undeclared name, so that a walk never leaves the declaration."""
    states, events = {state.name for state in spec.states}, {event.name for event in spec.events}
    if not states:
        raise BadMachine(f"machine {spec.name!r} declares no states")
    for edge in spec.transitions:
        for kind, name, declared in (
            ("state", edge.source, states), ("state", edge.dest, states), ("event", edge.event, events),
        ):  # fmt: skip
            if name not in declared:
                raise BadMachine(f"machine {spec.name!r} declares no {kind} {name!r}, which {edge.id} names")


def graph(spec: Machine[Any]) -> Graph:
    """The graph of a machine. Raises :class:`BadMachine`."""
    check_names(spec)
    edges = tuple(
        edge for edge in spec.transitions if witness(spec.cells[edge.source, edge.event], edge) is not None
    )
    leaving: dict[str, Path] = {}
    for edge in edges:
        leaving[edge.source] = (*leaving.get(edge.source, ()), edge)
    return Graph(start_of(spec), edges, leaving)


def start_of(spec: Machine[Any]) -> str:
    """The pseudo-state everything starts from; without one, the first declared state."""
    return next((state.name for state in spec.states if state.kind == "pseudo"), spec.states[0].name)


def ways(graph: Graph, origin: str) -> dict[str, Path]:
    """A shortest path from ``origin`` to each state that can be reached from it, nearest first; of
    several the one whose edges stand first in the table. To ``origin`` itself it is empty."""
    found: dict[str, Path] = {origin: ()}
    waiting = deque([origin])
    while waiting:
        state = waiting.popleft()
        for edge in graph.after(state):
            if edge.dest not in found:
                found[edge.dest] = (*found[state], edge)
                waiting.append(edge.dest)
    return found


def witness(
    cell: Path, wanted: Transition[Any] | None, given: Mapping[str, bool] | None = None
) -> dict[str, bool] | None:
    """Answers of guards, those of ``given`` among them, under which ``wanted`` is the first edge of its
    cell that agrees; with ``wanted=None``, under which no edge does. Guards it does not name may say
    either. None if there are no such answers. ``cell`` holds the cell's edges in order."""
    answers = dict(given or {})
    before = cell
    if wanted is not None:
        before = cell[: next(n for n, edge in enumerate(cell) if edge is wanted)]
        for name, answer in wants(wanted):
            if answers.setdefault(name, answer) != answer:
                return None
    return _denied(before, answers)


def wants(edge: Transition[Any]) -> Iterator[tuple[str, bool]]:
    """The guards of an edge in order, each with the answer that lets it pass."""
    yield from ((guard.name, True) for guard in edge.requires)
    yield from ((guard.name, False) for guard in edge.forbids)


def _denied(edges: Path, answers: dict[str, bool]) -> dict[str, bool] | None:
    """The answers, and as few more as it takes so that each of the edges is denied by one of them."""
    if not edges:
        return answers
    first, rest = edges[0], edges[1:]
    if any(answers.get(name, answer) != answer for name, answer in wants(first)):
        return _denied(rest, answers)
    for name, answer in wants(first):
        if name not in answers:
            found = _denied(rest, {**answers, name: not answer})
            if found is not None:
                return found
    return None
