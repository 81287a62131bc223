"""A machine folded to its good path: every other state goes into a box with its like."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import frozen

from ..machines.spec import NONE, Machine, State
from .sketch import Look, look_of, places

EVENTS_SHOWN_MAX = 3


@frozen
class Box:
    """One state of the good path, or several others drawn as one. ``ends``: all of them are final."""

    name: str
    states: tuple[str, ...]
    look: Look
    ends: bool


@frozen
class FoldedEdge:
    """The events that lead from one box to another, at most ``EVENTS_SHOWN_MAX`` by name."""

    source: str
    dest: str
    events: tuple[str, ...]


def folded(
    machine: Machine[Any], without: Iterable[str] = ()
) -> tuple[tuple[Box, ...], tuple[FoldedEdge, ...]]:
    """Boxes in table order and the edges between them. Left out are: edges inside a box, what an
    operator does, ways in beside the good path, the states in ``without``, and boxes nothing leads to."""
    boxes = _boxes(machine, frozenset(without))
    home = {state: box.name for box in boxes for state in box.states} | {NONE: NONE}
    place = places(machine)
    order = {box.name: place[box.states[0]] for box in boxes} | {NONE: -1}
    operator = {event.name for event in machine.events if event.origin == "operator"}
    found: dict[tuple[str, str], dict[str, None]] = {}
    for edge in machine.transitions:
        if edge.event in operator or edge.source not in home or edge.dest not in home:
            continue
        if edge.source == NONE and edge.dest != machine.good_path[1]:
            continue
        pair = (home[edge.source], home[edge.dest])
        if pair[0] != pair[1]:
            found.setdefault(pair, {})[edge.event] = None
    ordered = sorted(found.items(), key=lambda item: (order[item[0][0]], order[item[0][1]]))
    reached = {dest for _, dest in found}
    return (
        tuple(box for box in boxes if box.name in reached),
        tuple(FoldedEdge(*pair, _shown(tuple(events))) for pair, events in ordered),
    )


def _boxes(machine: Machine[Any], without: frozenset[str]) -> tuple[Box, ...]:
    members: dict[object, list[State]] = {}
    for state in machine.states:
        if state.kind != "pseudo" and state.name not in without:
            members.setdefault(_like(machine, state), []).append(state)
    return tuple(
        Box(
            states[0].name,
            tuple(state.name for state in states),
            look_of(machine, states[0]),
            all(state.kind == "final" for state in states),
        )
        for states in members.values()
    )


def _like(machine: Machine[Any], state: State) -> object:
    """The common part of all states that are folded into one."""
    if state.name in machine.good_path:
        return state.name
    if state.kind == "final":
        sources = {machine.state(t.source).group for t in machine.transitions if t.dest == state.name}
        return ("final", frozenset(sources))
    return (state.kind, state.group)


def _shown(events: tuple[str, ...]) -> tuple[str, ...]:
    if len(events) <= EVENTS_SHOWN_MAX:
        return events
    kept = events[: EVENTS_SHOWN_MAX - 1]
    return (*kept, f"and {len(events) - len(kept)} more")
