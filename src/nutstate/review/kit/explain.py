"""Why a machine answers as it does: one state, one event, every edge and guard, in sentences."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

from ...machines.spec import Machine, Outcome, Refusal, State, Transition
from .explanation import Asked, EdgeSaid, Explanation, Possibility
from .graph import check_names, witness


class UnknownName(LookupError):
    """The machine has no such state, event or guard (``kind``); ``known`` are those it has."""

    def __init__(
        self, machine: str, kind: Literal["state", "event", "guard"], name: str, known: Collection[str]
    ) -> None:
        super().__init__(f"{machine} has no {kind} {name!r}")
        self.kind = kind
        self.name = name
        self.known = tuple(known)


def explain(spec: Machine[Any], state: str, event: str, facts: Any = None) -> Explanation:
    """Explain one cell. ``facts`` are the machine's own facts, or a mapping from guard name to True or
    False; guards that a mapping does not name, and all guards without ``facts``, stay open: then every
    possibility is told. (Where the machine's own facts are a mapping, a mapping is taken for them.)

    Raises :class:`UnknownName` for a state, event or guard the machine does not have; TypeError for facts
    of another type and for answers that are not True or False; :class:`~.graph.BadMachine` for a machine that
    names what it does not declare. An exception of a guard is not caught.
    """
    check_names(spec)
    states = spec.by_name
    events = {declared.name: declared for declared in spec.events}
    if state not in states:
        raise UnknownName(spec.name, "state", state, states)
    if event not in events:
        raise UnknownName(spec.name, "event", event, events)
    cell = spec.cells.get((state, event), ())
    asked = {guard.name: guard for edge in cell for guard in (*edge.requires, *edge.forbids)}
    not_asked: tuple[str, ...] = ()
    if facts is None:
        given: dict[str, bool] = {}
    elif isinstance(facts, spec.facts):
        given = {name: guard.holds(facts) for name, guard in asked.items()}
    else:
        given = _checked(spec, facts)
        not_asked = tuple(name for name in given if name not in asked)
    known = {name: given[name] for name in asked if name in given}
    can_be = {id(edge): witness(cell, edge, known) for edge in cell}
    possible = (
        *(Possibility("accepted", edge.dest, edge.id, tuple(answers.items()))
          for edge in cell if (answers := can_be[id(edge)]) is not None),
        *_not_taken(cell, states[state], event, known),
    )  # fmt: skip
    return Explanation(
        spec.name,
        spec.version,
        states[state],
        events[event],
        tuple(known.items()),
        tuple(_edge(spec, edge, known, can_be[id(edge)] is not None, len(possible) == 1) for edge in cell),
        possible,
        tuple(
            states[name] for name in dict.fromkeys(p.next_state for p in possible if p.outcome == "accepted")
        ),
        not_asked,
        tuple((word.name, word.sentence) for word in spec.actions),
    )


def _checked(spec: Machine[Any], facts: Any) -> dict[str, bool]:
    if not isinstance(facts, Mapping):
        raise TypeError(f"facts are a {spec.facts.__name__} or a mapping, not a {type(facts).__name__}")
    for name, answer in facts.items():
        if name not in spec.guards:
            raise UnknownName(spec.name, "guard", name, sorted(spec.guards))
        if not isinstance(answer, bool):
            raise TypeError(f"the answer of {name} is True or False, not {answer!r}")
    return dict(facts)


def _not_taken(
    cell: tuple[Transition[Any], ...], state: State, event: str, known: Mapping[str, bool]
) -> tuple[Possibility, ...]:
    """The answers when no edge is taken, empty if one always is."""
    answers = witness(cell, None, known)
    if answers is None:
        return ()
    example = tuple(answers.items())
    fixed = next((refuse for refuse in state.refuses if refuse.event == event), None)
    refusals: tuple[Refusal, ...] = ()
    outcome: Outcome = "refused"
    if event in state.absorbs:
        outcome = "absorbed"
    elif fixed is not None:
        refusals = (Refusal(fixed.code, fixed.sentence),)
    elif cell:
        refusals = _reasons(cell, known)
    else:
        outcome = "undefined"
    return (Possibility(outcome, state.name, None, example, refusals),)


def _reasons(cell: tuple[Transition[Any], ...], known: Mapping[str, bool]) -> tuple[Refusal, ...]:
    """The guards that say no or still may, each once and in order, as ``step`` names them."""
    found: dict[tuple[str, bool], Refusal] = {}
    for edge in cell:
        for asked in _asked(edge, known):
            if not asked.passed:
                found.setdefault((asked.guard, asked.required), asked.refusal)
    return tuple(found.values())


def _edge(
    spec: Machine[Any], edge: Transition[Any], known: Mapping[str, bool], can_be: bool, decided: bool
) -> EdgeSaid:
    return EdgeSaid(
        edge.id,
        edge.dest,
        edge.reason,
        can_be if decided or not can_be else None,
        _asked(edge, known),
        tuple((name, spec.effect(name).sentence) for name in edge.effects),
    )


def _asked(edge: Transition[Any], known: Mapping[str, bool]) -> tuple[Asked, ...]:
    both = (*((guard, True) for guard in edge.requires), *((guard, False) for guard in edge.forbids))
    return tuple(
        Asked(
            guard.name, guard.sentence, guard.code, required, known.get(guard.name), guard.refusal(required)
        )
        for guard, required in both
    )
