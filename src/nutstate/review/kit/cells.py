"""State x event x guard valuation: the answer of a machine in every situation it can tell apart."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import attrs
from attrs import frozen

from ...machines.spec import Decision, Guard, Machine, Transition
from ...machines.step import step

Valuation = Mapping[str, bool]
"""Guard name to its answer: all that a cell can see of the facts."""


@frozen
class Cell:
    """One state and one event: its edges in order of precedence and the guards they ask, each once."""

    state: str
    event: str
    edges: tuple[Transition[Any], ...]
    guards: tuple[str, ...]

    def valuations(self) -> Iterator[dict[str, bool]]:
        """Every combination of answers of its guards: 2**n of them, one (empty) without guards."""
        for answers in itertools.product((False, True), repeat=len(self.guards)):
            yield dict(zip(self.guards, answers, strict=True))


@frozen
class Row:
    """The answer of a cell under one valuation of its guards."""

    cell: Cell
    valuation: Valuation
    decision: Decision


@lru_cache(maxsize=64)
def switched(spec: Machine[Any]) -> Machine[Any]:
    """The same machine over facts that are a mapping from guard name to its answer, so that a test
    can set every guard by itself. KeyError for a guard the facts do not name. The same spec gives the
    same machine, so that it is compiled once."""

    def switch(guard: Guard[Any]) -> Guard[Any]:
        return attrs.evolve(guard, predicate=operator.itemgetter(guard.name))

    return attrs.evolve(
        spec,
        transitions=tuple(
            attrs.evolve(
                edge,
                requires=tuple(switch(guard) for guard in edge.requires),
                forbids=tuple(switch(guard) for guard in edge.forbids),
            )
            for edge in spec.transitions
        ),
    )


def matrix(spec: Machine[Any]) -> tuple[Cell, ...]:
    """Every state x event, in the order of the declaration, also the cells without any edge."""
    found: list[Cell] = []
    for state, event in itertools.product(spec.states, spec.events):
        edges = spec.cells.get((state.name, event.name), ())
        asked = dict.fromkeys(guard.name for edge in edges for guard in (*edge.requires, *edge.forbids))
        found.append(Cell(state.name, event.name, edges, tuple(asked)))
    return tuple(found)


def decided(machine: Machine[Any], cell: Cell) -> Iterator[Row]:
    """One cell under every valuation of its guards. ``machine`` is a :func:`switched` one."""
    for valuation in cell.valuations():
        yield Row(cell, valuation, step(machine, cell.state, cell.event, valuation))


def cells(spec: Machine[Any]) -> Iterator[Row]:
    """Every cell under every valuation of its guards, decided by the machine itself."""
    machine = switched(spec)
    for cell in matrix(spec):
        yield from decided(machine, cell)
