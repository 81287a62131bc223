"""An explanation of one cell of a machine: its data, and its text for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

from ...machines.spec import Event, Outcome, Refusal, State

Answers = tuple[tuple[str, bool], ...]

_SAID: Mapping[bool | None, str] = {True: "yes", False: "no", None: "open"}
_TAKEN: Mapping[bool | None, str] = {True: "taken", False: "not taken", None: "depends on what is open"}


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
    """The machine's answer to one event in one state, with the given answers of guards. There is one
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
        """The sentence of the action of a state. Empty for a state without one and for an action without a
        word."""
        return dict(self.action_sentences).get(state.action or "", "")


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


def text_of(told: Explanation) -> str:
    """The whole explanation, ending with a newline."""
    lines = [f"{told.machine}: {told.event.name} in {told.state.name}"]
    width = max(len(told.state.name), len(told.event.name))
    lines.append(f"  {told.state.name:<{width}}  {told.state.meaning}")
    lines.append(f"  {told.event.name:<{width}}  {told.event.meaning} (comes from: {told.event.origin})")
    lines.append("")
    if len(told.possibilities) == 1:
        lines += _decided(told, told.possibilities[0])
    else:
        lines.append("The outcome depends on the answers that are open:")
        lines += (f"  - {_possible(told, possible)}" for possible in told.possibilities)
    for state in told.next_states:
        lines += _rests(told, state)
    for number, edge in enumerate(told.edges, 1):
        lines += ["", *_edge(number, edge, told.outcome == "refused")]
    if told.not_asked:
        lines += ["", f"Not asked here: {', '.join(told.not_asked)}."]
    return "\n".join(lines) + "\n"


def _decided(told: Explanation, possible: Possibility) -> Iterator[str]:
    state, event = told.state.name, told.event.name
    if possible.outcome == "accepted":
        where = (
            f"it stays in {state}" if possible.next_state == state else f"{state} -> {possible.next_state}"
        )
        yield f"Accepted: {where}, by {possible.transition}."
    elif possible.outcome == "absorbed":
        yield f"Absorbed: {event} is no news in {state}. It stays there; nothing changes, nothing is written."
    elif possible.outcome == "undefined":
        yield f"Undefined: the table says nothing about {event} in {state}. Nothing changes."
        yield "No guard was asked, so this is no refusal: such an event is not meant to come here."
    else:
        fixed = "always " if any(refuse.event == event for refuse in told.state.refuses) else ""
        yield f"Refused: {state} {fixed}refuses {event}. It stays there; nothing changes."
        yield from (f"  {refusal.code}: {refusal.sentence}" for refusal in possible.refusals)


def _possible(told: Explanation, possible: Possibility) -> str:
    given = dict(told.answers)
    chosen = [(name, answer) for name, answer in possible.example if name not in given]
    example = " ".join(f"{name}={_SAID[answer]}" for name, answer in chosen)
    such_as = f", for example with {example}" if example else ""
    if possible.outcome == "accepted":
        return f"accepted, to {possible.next_state} by {possible.transition}{such_as}"
    codes = dict.fromkeys(refusal.code for refusal in possible.refusals)
    reasons = f" ({', '.join(codes)})" if codes else ""
    return f"{possible.outcome}{reasons}{such_as}"


def _rests(told: Explanation, state: State) -> Iterator[str]:
    yield f"In {state.name}: {state.meaning}."
    if state.action is not None:
        sentence = told.action_sentence(state)
        ahead = ", only after the state is committed" if state.write_ahead else ""
        yield f"  Next{ahead}: {state.action}" + (f", {sentence}." if sentence else ".")
    elif state.kind == "final":
        yield "  Final: nothing leaves it."
    elif state.kind == "parked":
        yield "  Parked: it waits for a person."


def _edge(number: int, edge: EdgeSaid, refused: bool) -> Iterator[str]:
    why = f" ({edge.reason})" if edge.reason else ""
    yield f"{number}. {edge.id} to {edge.dest}{why}: {_TAKEN[edge.taken]}"
    width = max((len(_question(asked)) for asked in edge.asked), default=0)
    for asked in edge.asked:
        no = f", so {asked.code}" if refused and asked.passed is False else ""
        yield f"     {_question(asked):<{width}}  {_SAID[asked.held]}{no}"
    if not edge.asked:
        yield "     asks nothing"
    for name, sentence in edge.effects:
        yield f"     writes {name}" + (f": {sentence}" if sentence else "")


def _question(asked: Asked) -> str:
    words = "it must hold that" if asked.required else "it must not hold that"
    return f"{words} {asked.sentence}: [{asked.guard}]"
