"""The answers of each state as one list in order of precedence: the form of executable exports."""

from __future__ import annotations

from typing import Any, Literal

from attrs import frozen

from ...machines.spec import Machine, Refuse, State, Transition
from ...review.kit.graph import start_of

_NOT_NAMES = frozenset({"", "*", "="})
"""Names that the library takes for *stay*, *any state* and *the same state*."""


class NotExportable(ValueError):
    """The declaration contradicts itself, or is larger than a notation allows; the message says how."""


@frozen
class Rule:
    """One line of a state: an edge, an event it absorbs (neither edge nor refusal), or a fixed refusal.
    Of the rules for an event the first counts whose guards agree; the last two kinds have none."""

    event: str
    outcome: Literal["accepted", "absorbed", "refused"]
    edge: Transition[Any] | None = None
    refusal: Refuse | None = None


def rules_of(machine: Machine[Any], state: State) -> tuple[Rule, ...]:
    """The rules of a state: its edges in table order, then what it absorbs, then what it refuses. An event
    that is absorbed is never refused, and of several refusals of an event the first counts, as in
    :func:`~nutstate.machines.step.step`."""
    edges = [Rule(t.event, "accepted", edge=t) for t in machine.transitions if t.source == state.name]
    absorbed = [Rule(event, "absorbed") for event in dict.fromkeys(state.absorbs)]
    refused: dict[str, Rule] = {}
    for fixed in state.refuses:
        if fixed.event not in state.absorbs:
            refused.setdefault(fixed.event, Rule(fixed.event, "refused", refusal=fixed))
    return (*edges, *absorbed, *refused.values())


def initial_of(machine: Machine[Any]) -> State:
    """Where an entity begins, as paths and walks of the kit have it."""
    return machine.by_name[start_of(machine)]


def halts(machine: Machine[Any], state: State) -> bool:
    """Whether nothing leaves this final state, so that a notation may end there."""
    return state.kind == "final" and not any(t.source == state.name for t in machine.transitions)


def ensure_complete(machine: Machine[Any]) -> None:
    """Check that every mentioned state and event is declared, each once. Else NotExportable."""
    if not machine.states:
        raise NotExportable(f"{machine.name!r} has no states")
    states = [state.name for state in machine.states]
    events = [event.name for event in machine.events]
    for name in (name for name in states if name in _NOT_NAMES):
        raise NotExportable(f"{machine.name!r} has a state named {name!r}, which runs as something else")
    for what, names in (
        ("state", states),
        ("event", events),
        ("transition", [t.id for t in machine.transitions]),
    ):
        if twice := [name for name in names if names.count(name) > 1]:
            raise NotExportable(f"{machine.name!r} declares the {what} {twice[0]!r} twice")
    mentioned = [
        *(("state", name, t.id) for t in machine.transitions for name in (t.source, t.dest)),
        *(("state", name, "the good path") for name in machine.good_path),
        *(("event", t.event, t.id) for t in machine.transitions),
        *(("event", name, s.name) for s in machine.states for name in s.absorbs),
        *(("event", r.event, s.name) for s in machine.states for r in s.refuses),
    ]
    known = {"state": set(states), "event": set(events)}
    for what, name, where in mentioned:
        if name not in known[what]:
            raise NotExportable(f"{machine.name!r} does not declare the {what} {name!r} that {where!r} names")
