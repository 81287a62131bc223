"""The content of a drawing of a machine, before any notation: nodes and merged, ordered edges.

The order matters: layout engines break cycles depth first in the order of declaration, so edges
are sorted by the place of their states in the table. The table is written from start to end,
therefore drawings run from start to end too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from attrs import frozen

from ..machines.spec import NONE, Machine, State, Transition

Tone = Literal["good", "alarm", "restart", "plain"]
Look = Literal["start", "good", "ahead", "live", "parked", "final"]

LABEL_WIDTH = 24
"""Longest line of an edge label in characters, where it can be broken between words."""


@frozen
class Line:
    """One event list of an edge: table row, events, and the guards that tell it from its twins."""

    row: str
    events: tuple[str, ...]
    guards: str = ""


@frozen
class Edge:
    """Everything that leads from one state to another. ``tone`` says how it should look."""

    source: str
    dest: str
    lines: tuple[Line, ...]
    tone: Tone = "plain"


@frozen
class Shared:
    """One row of the table that leads to one state from several others; drawn as one label."""

    sources: tuple[str, ...]
    dest: str
    line: Line
    tone: Tone = "plain"


def row_of(transition: Transition[Any]) -> str:
    """The row of the table an edge was declared in: ``"12"`` of ``12.mint_unpaid.paying``."""
    return transition.id.partition(".")[0]


def look_of(machine: Machine[Any], state: State) -> Look:
    """How a state is drawn. Written ahead and parked matter more than lying on the good path."""
    if state.kind == "pseudo":
        return "start"
    if state.write_ahead:
        return "ahead"
    if state.kind == "parked":
        return "parked"
    if state.name in machine.good_path:
        return "good"
    return "final" if state.kind == "final" else "live"


def places(machine: Machine[Any]) -> Mapping[str, int]:
    """Each state's place in the table."""
    return {state.name: place for place, state in enumerate(machine.states)}


def good_steps(machine: Machine[Any]) -> frozenset[tuple[str, str]]:
    """The pairs of states the good path walks through."""
    return frozenset(zip(machine.good_path, machine.good_path[1:], strict=False))


def guards_of(machine: Machine[Any], transition: Transition[Any]) -> str:
    """The guards of an edge in a few words: those that tell it from another edge of the same cell,
    else the only one, else how many there are. Empty without guards."""
    required = [guard.name for guard in transition.requires]
    forbidden = [guard.name for guard in transition.forbids]
    names = [*required, *(f"not {name}" for name in forbidden)]
    twins = [t for t in machine.cells[transition.source, transition.event] if t.id != transition.id]
    opposed = {g.name for t in twins for g in t.forbids} & set(required)
    opposed |= {g.name for t in twins for g in t.requires} & set(forbidden)
    telling = [name for name in names if name.removeprefix("not ") in opposed]
    if telling:
        return ", ".join(telling)
    if len(names) > 1:
        return f"{len(names)} guards"
    return "".join(names)


def lines_of(machine: Machine[Any], transitions: Iterable[Transition[Any]]) -> tuple[Line, ...]:
    """The label of an edge: events of one row with the same guards share a line."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for transition in transitions:
        key = (row_of(transition), guards_of(machine, transition))
        found.setdefault(key, {})[transition.event] = None
    return tuple(Line(row, tuple(events), guards) for (row, guards), events in found.items())


def edges_of(machine: Machine[Any], without: frozenset[str] = frozenset()) -> tuple[Edge, ...]:
    """All edges, merged per pair of states, in table order. ``without`` leaves transition ids out."""
    found: dict[tuple[str, str], list[Transition[Any]]] = {}
    for transition in machine.transitions:
        if transition.id not in without:
            found.setdefault((transition.source, transition.dest), []).append(transition)
    place = places(machine)
    ordered = sorted(found.items(), key=lambda item: (place[item[0][0]], place[item[0][1]]))
    return tuple(
        Edge(source, dest, lines_of(machine, members), tone_of(machine, source, dest, members))
        for (source, dest), members in ordered
    )


def shared_of(machine: Machine[Any], sources_min: int = 2) -> tuple[tuple[Shared, ...], frozenset[str]]:
    """Rows that lead to one state from ``sources_min`` states or more, and the transition ids they
    cover. Steps of the good path are never among them: they stay edges of their own."""
    good = good_steps(machine)
    found: dict[tuple[str, str, str], list[Transition[Any]]] = {}
    for transition in machine.transitions:
        if (transition.source, transition.dest) not in good and transition.source != NONE:
            key = (row_of(transition), transition.dest, guards_of(machine, transition))
            found.setdefault(key, []).append(transition)
    shared: list[Shared] = []
    covered: set[str] = set()
    place = places(machine)
    for (row, dest, guards), members in found.items():
        sources = sorted({t.source for t in members}, key=lambda name: place[name])
        events = tuple(dict.fromkeys(t.event for t in members))
        if len(sources) < sources_min or len(members) != len(sources) * len(events):
            continue
        tone = tone_of(machine, sources[0], dest, members)
        shared.append(Shared(tuple(sources), dest, Line(row, events, guards), tone))
        covered.update(t.id for t in members)
    return tuple(shared), frozenset(covered)


def text_of(lines: Iterable[Line]) -> tuple[str, ...]:
    """The label of an edge as short rows of text."""
    return tuple(row for line in lines for row in _broken(line, LABEL_WIDTH))


def _broken(line: Line, width: int) -> tuple[str, ...]:
    """A line broken between events and before its guards."""
    rows = [line.row]
    for place, event in enumerate(line.events):
        word = event if place == len(line.events) - 1 else f"{event},"
        if place and len(rows[-1]) + 1 + len(word) > width:
            rows.append(word)
        else:
            rows[-1] += f" {word}"
    if line.guards:
        rows.extend(_guards(line.guards, width))
    return tuple(rows)


def _guards(guards: str, width: int) -> list[str]:
    if len(guards) + 2 <= width:
        return [f"[{guards}]"]
    words = guards.split(", ")
    if len(words) == 1:
        words = guards.split(" ")
    rows = [f"[{words[0]}"]
    comma = "," if ", " in guards else ""
    for word in words[1:]:
        if len(rows[-1]) + 2 + len(word) > width:
            rows[-1] += comma
            rows.append(word)
        else:
            rows[-1] += f"{comma} {word}"
    rows[-1] += "]"
    return rows


def tone_of(machine: Machine[Any], source: str, dest: str, members: Iterable[Transition[Any]]) -> Tone:
    """How everything that leads from ``source`` to ``dest`` looks: a good step, a way to a person, what
    only restarts take, or plain."""
    if (source, dest) in good_steps(machine):
        return "good"
    if machine.state(dest).kind == "parked":
        return "alarm"
    origins = {event.name: event.origin for event in machine.events}
    if all(origins[transition.event] == "restart" for transition in members):
        return "restart"
    return "plain"
