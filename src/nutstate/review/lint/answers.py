"""Answers from outside: in which states they can arrive, and where nothing is said about them.

*Who causes it*: an action causes every event of origin ``mint`` for which an edge leaves a state with that
action. *Where it arrives*: in every state with such an action (L30); and late, by a worker that lost its
lease or by a second one, in every state that edges lead to from a state with an edge for it (L31); if one of
these is written ahead, only from there, for behind it the others are where the answer arrives. Beyond a
parked state a late answer is not followed: a person or a later poll has been there since.

*Late answers*: the answer to a written ahead request always, since the request outlives the worker that
sent it; any other answer, and any event of the clock, as soon as one state absorbs it: then its author
has met it late. An answer that no state absorbs is told once (L32), not for each cell. Edges, ``absorbs`` and
fixed refusals count as an answer; guards do not matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...machines.spec import Machine
from .graph import reached, successors
from .rules import Finding, finding


def answers(spec: Machine[Any]) -> Iterator[Finding]:
    """L30 to L32. Events that come and go together share a finding."""
    never: list[str] = []
    undefined: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    late: dict[tuple[bool, tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for event in spec.events:
        causes = _causes(spec, event.name) if event.origin in ("mint", "clock") else ()
        if not causes:
            continue
        asked: tuple[str, ...] = ()
        for action, states in _asking(spec, causes) if event.origin == "mint" else ():
            silent = _silent(spec, states, event.name)
            asked += silent
            if silent:
                undefined.setdefault((action, silent), []).append(event.name)
        ahead = tuple(name for name in causes if event.origin == "mint" and spec.by_name[name].write_ahead)
        if not ahead and not any(event.name in state.absorbs for state in spec.states):
            never.append(event.name)
            continue
        causes = _sources(spec, causes, ahead)
        missed = tuple(n for n in _silent(spec, _after(spec, causes), event.name) if n not in asked)
        severe = tuple(name for name in missed if ahead and spec.by_name[name].kind != "final")
        for names in (severe, tuple(name for name in missed if name not in severe)):
            if names:
                late.setdefault((names == severe, causes, names), []).append(event.name)
    for (action, silent), events in undefined.items():
        words = f"{action} can cause it in {', '.join(silent)}, where it is undefined"
        yield finding("L30", spec.name, ", ".join(events), words, _FIX)
    for (severe_ones, causes, names), events in late.items():
        words = (
            f"caused in {', '.join(causes)}, it can arrive late in {', '.join(names)}, where it is undefined"
        )
        yield finding("L31", spec.name, ", ".join(events), words, _FIX, None if severe_ones else "note")
    if never:
        words = "no state absorbs it, so a second worker's late answer is undefined"
        fix = "nothing, if the question is asked and answered inside one commit; else absorb it"
        yield finding("L32", spec.name, ", ".join(never), words, fix)


def _causes(spec: Machine[Any], event: str) -> tuple[str, ...]:
    """The states with an edge for it. The pseudo-state has no action, so it asks nothing."""
    kinds = ("live", "parked")
    return tuple(s.name for s in spec.states if s.kind in kinds and (s.name, event) in spec.cells)


def _asking(spec: Machine[Any], causes: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The actions that cause it, each with all its states."""
    for action in dict.fromkeys(spec.by_name[name].action for name in causes):
        if action is not None:
            yield action, tuple(state.name for state in spec.states if state.action == action)


def _sources(spec: Machine[Any], causes: tuple[str, ...], ahead: tuple[str, ...]) -> tuple[str, ...]:
    """Where late answers come from. Behind a written ahead cause the other states with an edge for the
    event are where its answer arrives, not where it comes from."""
    if not ahead:
        return causes
    behind = _after(spec, ahead)
    return tuple(name for name in causes if name in ahead or name not in behind)


def _after(spec: Machine[Any], causes: tuple[str, ...]) -> tuple[str, ...]:
    """All states to which edges lead from the causes, in the order of the table; parked states end a way."""
    nexts = successors(spec)
    parked = {state.name for state in spec.states if state.kind == "parked"}
    found = reached(nexts, {name for cause in causes for name in nexts[cause]}, parked)
    return tuple(state.name for state in spec.states if state.name in found and state.kind != "pseudo")


def _silent(spec: Machine[Any], states: tuple[str, ...], event: str) -> tuple[str, ...]:
    """The states among these in which the event is undefined."""
    return tuple(
        name
        for name in states
        if (name, event) not in spec.cells
        and event not in spec.by_name[name].absorbs
        and not any(fixed.event == event for fixed in spec.by_name[name].refuses)
    )


_FIX = "add the edge, or let these states absorb it"
