"""The gaps of a cell: every minimal combination of facts that leads along no edge of the cell."""

from __future__ import annotations

from itertools import product
from typing import Any

from attrs import frozen

from ...machines.spec import Machine, Origin, Outcome
from ..kit.cells import Cell
from .cubes import Cube, TooMany, cube, left_out

Term = tuple[str, bool]
"""A guard's name and the answer it gives."""


@frozen
class Gap:
    """One minimal condition under which no edge of a cell is taken: no term of it can be left out.

    ``outcome`` is what ``step`` answers then: ``refused``, or ``absorbed`` when the state absorbs the
    event. ``sentence`` says it in words."""

    machine: str
    state: str
    event: str
    origin: Origin
    outcome: Outcome
    terms: tuple[Term, ...]
    sentence: str


def gaps(spec: Machine[Any]) -> tuple[Gap, ...]:
    """Every gap of every cell that has edges, in the order of states, events and guards. The gaps of a
    cell together are exactly the valuations under which none of its edges is taken. ValueError when a
    cell leaves out more combinations than a person could read."""
    return tuple(gap for cell in edged_cells(spec) for gap in gaps_of(spec, cell))


def gaps_of(spec: Machine[Any], cell: Cell) -> tuple[Gap, ...]:
    """The gaps of one cell, shortest first. ValueError when there are too many to read."""
    asked = [cube(edge) for edge in cell.edges]
    try:
        conditions = left_out([one for one in asked if one is not None], cell.guards)
    except TooMany as error:
        raise TooMany(f"{cell.state} + {cell.event} leaves out {error}") from None
    outcome: Outcome = "absorbed" if cell.event in spec.state(cell.state).absorbs else "refused"
    origin = next(event.origin for event in spec.events if event.name == cell.event)
    found: list[Gap] = []
    for condition in conditions:
        terms = tuple((name, (name, True) in condition) for name in cell.guards if _asks(condition, name))
        when = f"when {told(spec, terms)}" if terms else "always"
        sentence = f"{cell.state} + {cell.event} is {outcome} {when}"
        found.append(Gap(spec.name, cell.state, cell.event, origin, outcome, terms, sentence))
    return tuple(found)


def edged_cells(spec: Machine[Any]) -> tuple[Cell, ...]:
    """The cells of declared states and events that have edges, in the order of the declaration."""
    found: list[Cell] = []
    for state, event in product(spec.states, spec.events):
        edges = spec.cells.get((state.name, event.name), ())
        if edges:
            asked = dict.fromkeys(g.name for edge in edges for g in (*edge.requires, *edge.forbids))
            found.append(Cell(state.name, event.name, edges, tuple(asked)))
    return tuple(found)


def told(spec: Machine[Any], terms: tuple[Term, ...]) -> str:
    """A condition in words: first the guards that do not hold, then those that hold."""
    no = [spec.guards[name].sentence for name, answer in terms if not answer]
    yes = [spec.guards[name].sentence for name, answer in terms if answer]
    parts = [f"it does not hold that {words}" for words in no] + [f"it holds that {words}" for words in yes]
    return ", and ".join(parts)


def _asks(condition: Cube, name: str) -> bool:
    return (name, True) in condition or (name, False) in condition
