"""Why a machine answers as it does: one state, one event, every edge and guard, in sentences."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

from attrs import frozen

from ...machines.spec import Event, Machine, Outcome, Refusal, State, Transition
from .explain_text import text_of
from .graph import check_names, witness

Answers = tuple[tuple[str, bool], ...]


class UnknownName(LookupError):
    """The machine has no such state, event or guard (``kind``); ``known`` are those it has."""

    def __init__(
        self, machine: str, kind: Literal["state", "event", "guard"], name: str, known: Collection[str]
    ) -> None:
        super().__init__(f"{machine} has no {kind} {name!r}")
        self.kind = kind
        self.name = name
        self.known = tuple(known)


@frozen
class Asked:
    """A guard of an edge. ``required``: it must hold; else it must not. ``held`` is None when unknown."""

    guard: str
    sentence: str
    code: str
    required: bool
    held: bool | None
    refusal: Refusal
    """The refusal of the cell when the guard does not let its edge pass."""

    @property
    def passed(self) -> bool | None:
        """Whether the guard lets its edge pass, None when that is not known."""
        return None if self.held is None else self.held == self.required


@frozen
class EdgeSaid:
    """An edge of the cell. ``taken`` is None when it depends on answers that were not given.
    ``effects`` are names with their sentences; a name without a sentence explains itself."""

    id: str
    dest: str
    reason: str
    taken: bool | None
    asked: tuple[Asked, ...]
    effects: tuple[tuple[str, str], ...]


@frozen
class Possibility:
    """One thing that can happen. ``example`` holds answers, given ones included, that lead to it.
    ``refusals`` are the reasons of a refusal: all of those that can still be among them."""

    outcome: Outcome
    next_state: str
    transition: str | None
    example: Answers
    refusals: tuple[Refusal, ...] = ()


@frozen
class Explanation:
    """What a machine says about one event in one state, with the answers that were given. There is one
    possibility when they decide it, else several, in the order of the edges. ``next_states`` are the
    declared states they lead to; ``not_asked`` names answers that make no difference here;
    ``action_sentences`` tells what the actions of the machine do."""

    machine: str
    version: int
    state: State
    event: Event
    answers: Answers
    edges: tuple[EdgeSaid, ...]
    possibilities: tuple[Possibility, ...]
    next_states: tuple[State, ...]
    not_asked: tuple[str, ...] = ()
    action_sentences: tuple[tuple[str, str], ...] = ()

    @property
    def outcome(self) -> Outcome | None:
        """The outcome, None when it depends on answers that were not given."""
        found = {possible.outcome for possible in self.possibilities}
        return found.pop() if len(found) == 1 else None

    def text(self) -> str:
        """For people."""
        return text_of(self)

    def as_data(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "machine": self.machine,
            "version": self.version,
            "state": {"name": self.state.name, "meaning": self.state.meaning, "kind": self.state.kind},
            "event": {
                "name": self.event.name, "meaning": self.event.meaning, "origin": self.event.origin,
            },
            "answers": dict(self.answers),
            "not_asked": list(self.not_asked),
            "outcome": self.outcome,
            "possibilities": [_possibility_data(possible) for possible in self.possibilities],
            "edges": [_edge_data(edge) for edge in self.edges],
            "next_states": [
                {
                    "name": state.name, "meaning": state.meaning, "kind": state.kind, "action": state.action,
                    "action_sentence": self.action_sentence(state), "write_ahead": state.write_ahead,
                }
                for state in self.next_states
            ],
        }  # fmt: skip

    def action_sentence(self, state: State) -> str:
        """What the action of a state does. Empty for a state without one and for an action without a word."""
        return dict(self.action_sentences).get(state.action or "", "")


def explain(spec: Machine[Any], state: str, event: str, facts: Any = None) -> Explanation:
    """Explain one cell. ``facts`` are the machine's own facts, or a mapping from guard name to True or
    False; guards that a mapping does not name, and all guards without ``facts``, stay open: then every
    possibility is told. (Where the machine's own facts are a mapping, a mapping is taken for them.)

    Raises :class:`UnknownName` for a state, event or guard the machine does not have; TypeError for facts
    of another type and for answers that are not True or False; :class:`~.graph.BadMachine` for a machine that
    names what it does not declare. What a guard raises is not caught.
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
    """What happens when no edge is taken, empty if one always is."""
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


def _possibility_data(possible: Possibility) -> dict[str, Any]:
    return {
        "outcome": possible.outcome,
        "next_state": possible.next_state,
        "transition": possible.transition,
        "example": dict(possible.example),
        "refusals": [{"code": r.code, "sentence": r.sentence} for r in possible.refusals],
    }


def _edge_data(edge: EdgeSaid) -> dict[str, Any]:
    return {
        "id": edge.id,
        "dest": edge.dest,
        "reason": edge.reason,
        "taken": edge.taken,
        "guards": [
            {
                "name": asked.guard, "sentence": asked.sentence, "code": asked.code,
                "required": asked.required, "held": asked.held, "passed": asked.passed,
            }
            for asked in edge.asked
        ],
        "effects": [{"name": name, "sentence": sentence} for name, sentence in edge.effects],
    }  # fmt: skip
