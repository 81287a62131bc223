"""What a cell does not accept: every minimal combination of facts that leads along none of its edges."""

from __future__ import annotations

from itertools import product
from typing import Any, Literal

from attrs import frozen

from ..kit.cells import Cell
from ..spec import Machine, Origin
from .cubes import Cube, cube, left_out

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
    outcome: Literal["refused", "absorbed"]
    terms: tuple[Term, ...]
    sentence: str


def gaps(spec: Machine[Any]) -> tuple[Gap, ...]:
    """Every gap of every cell that has edges, in the order of states, events and guards. The gaps of a
    cell together are exactly the valuations under which none of its edges is taken."""
    origins = {event.name: event.origin for event in spec.events}
    found: list[Gap] = []
    for cell in edged_cells(spec):
        absorbed = cell.event in spec.state(cell.state).absorbs
        for condition in open_conditions(cell):
            terms = tuple((name, (name, True) in condition) for name in cell.guards if _asks(condition, name))
            words = f"{cell.state} + {cell.event} is {'absorbed' if absorbed else 'refused'}"
            sentence = f"{words} when {told(spec, terms)}" if terms else f"{words} always"
            outcome: Literal["refused", "absorbed"] = "absorbed" if absorbed else "refused"
            found.append(
                Gap(spec.name, cell.state, cell.event, origins[cell.event], outcome, terms, sentence)
            )
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


def open_conditions(cell: Cell) -> tuple[Cube, ...]:
    """The minimal conditions under which no edge of the cell is taken, shortest first."""
    asked = [cube(edge) for edge in cell.edges]
    return left_out([one for one in asked if one is not None], cell.guards)


def told(spec: Machine[Any], terms: tuple[Term, ...]) -> str:
    """A condition in words: what does not hold first, then what holds."""
    no = [spec.guards[name].sentence for name, answer in terms if not answer]
    yes = [spec.guards[name].sentence for name, answer in terms if answer]
    parts = [f"it does not hold that {words}" for words in no] + [f"it holds that {words}" for words in yes]
    return ", and ".join(parts)


def _asks(condition: Cube, name: str) -> bool:
    return (name, True) in condition or (name, False) in condition
