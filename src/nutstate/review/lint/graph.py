"""Rules about the ways through a machine: reaching every state, ending, and going on after a restart."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from ...machines.spec import Machine, State
from .rules import Finding, finding

FAILED = "drive_failed"
"""The event by which the engine tells that drives of an operation failed."""


def successors(spec: Machine[Any]) -> Mapping[str, tuple[str, ...]]:
    """Where the edges of each state lead, each once, in the order of the table."""
    found: dict[str, dict[str, None]] = {state.name: {} for state in spec.states}
    for edge in spec.transitions:
        if edge.source in found and edge.dest in found:
            found[edge.source][edge.dest] = None
    return {name: tuple(dests) for name, dests in found.items()}


def starts(spec: Machine[Any]) -> tuple[str, ...]:
    """The pseudo-states; without any, the first state."""
    pseudo = tuple(state.name for state in spec.states if state.kind == "pseudo")
    return pseudo or tuple(state.name for state in spec.states[:1])


def reached(
    nexts: Mapping[str, tuple[str, ...]], first: Iterable[str], stop: Collection[str] = ()
) -> frozenset[str]:
    """``first`` and everything edges lead to from there. States in ``stop`` are reached, not left."""
    found = set(first)
    frontier = sorted(found)
    while frontier:
        frontier = sorted({n for name in frontier if name not in stop for n in nexts.get(name, ())} - found)
        found |= set(frontier)
    return frozenset(found)


def ways(spec: Machine[Any]) -> Iterator[Finding]:
    """L10 to L13: unreachable states, traps, no end at all, edges that leave final states."""
    nexts, begin = successors(spec), starts(spec)
    here = reached(nexts, begin)
    for state in spec.states:
        if state.name not in here:
            words = f"no edges lead from {' or '.join(begin)} to it"
            yield finding("L10", spec.name, state.name, words, "add the edge that leads there, or remove it")
    finals = {state.name for state in spec.states if state.kind == "final"}
    if not here & finals:
        words = "no final state can be reached from it" if finals else "the machine has no final state"
        yield finding("L12", spec.name, " or ".join(begin), words, "add a way to a final state")
    else:
        yield from _traps(spec, nexts, [s.name for s in spec.states if s.name in here], finals)
    for edge in spec.transitions:
        if edge.source in finals:
            words = f"it leaves {edge.source!r}, which is final"
            fix = "absorb the event there, or make what follows an entity of its own"
            yield finding("L13", spec.name, edge.id, words, fix)


def _traps(
    spec: Machine[Any], nexts: Mapping[str, tuple[str, ...]], names: list[str], finals: Collection[str]
) -> Iterator[Finding]:
    """One finding for each state or cycle that cannot be left, with what leads only there."""
    after = {name: reached(nexts, [name]) for name in names}
    stuck = [name for name in names if not after[name] & set(finals)]
    told: set[str] = set()
    for name in stuck:
        if name in told or any(name not in after[other] for other in after[name]):
            continue
        cycle = [other for other in stuck if other in after[name]]
        told |= set(cycle)
        before = [other for other in stuck if other not in after[name] and name in after[other]]
        only = f"; {', '.join(before)} can end nowhere else" if before else ""
        words = "no final state can be reached from " + ("it" if len(cycle) == 1 else "any of them") + only
        yield finding(
            "L11", spec.name, ", ".join(cycle), words, "add an edge that leads out, or make it final"
        )


def restarts(spec: Machine[Any]) -> Iterator[Finding]:
    """L14: states a restart has no answer for."""
    events = [event.name for event in spec.events if event.origin == "restart"]
    for state in spec.states if events else ():
        if state.kind in ("live", "parked") and not any(
            (state.name, event) in spec.cells or event in state.absorbs for event in events
        ):
            words = f"it says nothing about {' or '.join(events)}"
            yield finding("L14", spec.name, state.name, words, "absorb it, or add the edge a restart takes")


def good_path(spec: Machine[Any]) -> Iterator[Finding]:
    """L15: the good path must be walkable."""
    nexts = successors(spec)
    for one, other in zip(spec.good_path, spec.good_path[1:], strict=False):
        if one in nexts and other in nexts and other not in nexts[one]:
            words = f"no edge leads from {one} to {other}"
            yield finding("L15", spec.name, f"{one} → {other}", words, "correct the path, or add the edge")


def resting(spec: Machine[Any]) -> Iterator[Finding]:
    """L16 to L18: states in which nothing acts."""
    origins = {event.name: event.origin for event in spec.events}
    acts = any(state.action is not None for state in spec.states)
    for state in spec.states:
        leaving = {
            origins.get(edge.event)
            for edge in spec.transitions
            if edge.source == state.name and edge.dest != state.name
        }
        if state.kind == "parked" and not leaving & {"operator", "caller"}:
            words = "no event of an operator or a caller leaves it"
            yield finding("L16", spec.name, state.name, words, "add what a person can decide there")
        if state.write_ahead and (state.action is None or state.kind != "live"):
            words = f"it is written ahead, but {_what(state)}"
            yield finding("L17", spec.name, state.name, words, "name its action, or do not write it ahead")
        waits = acts and state.action is None and state.kind in ("live", "parked")
        if waits and leaving and leaving <= {"engine", "mint"}:
            words = "it has no action, and waits only for events that an action causes"
            yield finding("L18", spec.name, state.name, words, "name the action that asks")


def facets(spec: Machine[Any]) -> Iterator[Finding]:
    """L19 and L35: how final states end, and states that wait for a caller."""
    for state in spec.states:
        if state.kind == "final" and not state.ends:
            words = "it is final and does not say how it ends"
            yield finding("L19", spec.name, state.name, words, "name its end: good, unpaid or lost")
        if state.ends and state.kind != "final":
            words = f"it ends {state.ends}, but is {state.kind}"
            yield finding("L19", spec.name, state.name, words, "make it final, or drop the end", "error")
        if state.waits_for and (state.kind != "live" or not spec.offered(state.name, "caller")):
            words = f"it waits for {state.waits_for}, but " + (
                f"is {state.kind}" if state.kind != "live" else "no event of a caller has an edge here"
            )
            yield finding(
                "L35", spec.name, state.name, words, "add what the caller can say there, or let it go on"
            )


def exits(spec: Machine[Any]) -> Iterator[Finding]:
    """L33 and L34: live states that only an answer ends, and parked states that no operator can end."""
    origins = {event.name: event.origin for event in spec.events}
    ended = {state.name for state in spec.states if state.kind == "final"}
    rests = ended | {state.name for state in spec.states if state.kind == "parked"}
    for code, kind, alone, goals, words, fix in (
        ("L33", "live", ("clock", "restart"), rests, "no event of the clock or a restart leads on to a rest",
         "add an edge that the clock takes when it lasts too long"),
        ("L34", "parked", ("operator",), ended, "no event of an operator leads on to an end",
         "add the edge by which an operator gives it up"),
    ):  # fmt: skip
        if alone[0] not in origins.values():
            continue
        nexts: dict[str, tuple[str, ...]] = {}
        for edge in spec.transitions:
            if origins.get(edge.event) in alone:
                nexts[edge.source] = (*nexts.get(edge.source, ()), edge.dest)
        for state in spec.states:
            if state.kind == kind and not reached(nexts, [state.name]) & goals:
                yield finding(code, spec.name, state.name, words, fix)


def failures(spec: Machine[Any]) -> Iterator[Finding]:
    """L36: states whose action may raise for ever, because no edge for ``drive_failed`` leads out."""
    driven = [s for s in spec.states if s.kind == "live" and s.action is not None and not _reads(spec, s)]
    silent = [
        s.name for s in driven if all(edge.dest == s.name for edge in spec.cells.get((s.name, FAILED), ()))
    ]
    fix = "add an edge for it to a parked state, where the operation failed as often as the limit allows"
    if FAILED in {event.name for event in spec.events}:
        for name in silent:
            words = f"no edge for {FAILED} leads out of it"
            yield finding("L36", spec.name, name, words, fix)
    elif silent and spec.actions:
        words = f"the machine declares no event {FAILED}"
        yield finding("L36", spec.name, ", ".join(silent), words, fix, "note")


def _reads(spec: Machine[Any], state: State) -> bool:
    action = spec.action_in(state.name)
    return action is not None and action.reads_only


def _what(state: State) -> str:
    return "has no action" if state.action is None else f"its kind is {state.kind}"
