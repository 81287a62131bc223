"""The label of an arrow in a drawing: every transition it stands for, with all its guards."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from ...machines.spec import Machine, Transition
from ..sketch import Tone, edges_of, row_of


@frozen
class Label:
    """Transitions of one row, source and destination that differ in their event only. ``place`` is the
    place in a cell of several edges (``"2 of 3"``: asked second), empty if it is the only one."""

    row: str
    events: tuple[str, ...]
    place: str
    guards: tuple[str, ...]
    effects: tuple[str, ...]
    transitions: tuple[Transition[Any], ...]


@frozen
class Arrow:
    """Everything that leads from one state to another."""

    source: str
    dest: str
    tone: Tone
    labels: tuple[Label, ...]


def arrows_of(machine: Machine[Any]) -> tuple[Arrow, ...]:
    """All arrows, ordered by the place of source and destination in the table."""
    between: dict[tuple[str, str], list[Transition[Any]]] = {}
    for edge in machine.transitions:
        between.setdefault((edge.source, edge.dest), []).append(edge)
    return tuple(
        Arrow(drawn.source, drawn.dest, drawn.tone, _labels(machine, between[drawn.source, drawn.dest]))
        for drawn in edges_of(machine)
    )


def guards_of(edge: Transition[Any]) -> tuple[str, ...]:
    """All guards of an edge by name: those that must hold, then ``not`` and those that must not."""
    return (*(g.name for g in edge.requires), *(f"not {g.name}" for g in edge.forbids))


def place_of(machine: Machine[Any], edge: Transition[Any]) -> str:
    """``"2 of 3"`` for the second edge of a cell that has three, empty for the only one."""
    cell = machine.cells[edge.source, edge.event]
    return f"{cell.index(edge) + 1} of {len(cell)}" if len(cell) > 1 else ""


def _labels(machine: Machine[Any], edges: list[Transition[Any]]) -> tuple[Label, ...]:
    alike: dict[tuple[str, str, tuple[str, ...], tuple[str, ...]], list[Transition[Any]]] = {}
    for edge in edges:
        key = (row_of(edge), place_of(machine, edge), guards_of(edge), edge.effects)
        alike.setdefault(key, []).append(edge)
    return tuple(
        Label(row, tuple(edge.event for edge in members), place, guards, effects, tuple(members))
        for (row, place, guards, effects), members in alike.items()
    )
