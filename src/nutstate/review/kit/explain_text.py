"""An explanation as text for people. It only reads what the explanation holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...machines.spec import State
    from .explain import Asked, EdgeSaid, Explanation, Possibility

_SAID: Mapping[bool | None, str] = {True: "yes", False: "no", None: "open"}
_TAKEN: Mapping[bool | None, str] = {True: "taken", False: "not taken", None: "depends on what is open"}


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
