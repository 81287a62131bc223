"""Scripts: the events of a machine, one per line, with the guards that say yes.

    # a payment whose answer is lost, and which the mint then proves paid
    request
    quote_received  quote_matches_invoice=yes quote_unexpired=yes amount_in_limits=yes
    reply_lost
    mint_paid       payment_proven=yes

Words are separated by blanks, ``#`` starts a comment, empty lines mean nothing. A guard that a line does
not name says no. Answers are ``yes`` and ``no``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from attrs import frozen

from ...machines.spec import Machine

ANSWERS: Mapping[str, bool] = {"yes": True, "no": False}


class ScriptError(ValueError):
    """A line that cannot be played. ``line`` counts from 1 (of steps that are no text: the step).
    ``unknown`` is the word that is not among ``known``; both are empty for other mistakes."""

    def __init__(self, line: int, sentence: str, unknown: str = "", known: Collection[str] = ()) -> None:
        super().__init__(f"line {line}: {sentence}")
        self.line = line
        self.sentence = sentence
        self.unknown = unknown
        self.known = tuple(known)


class Unwritable(ValueError):
    """A name is empty or holds blanks or ``#``: no script can say it."""


@frozen
class Line:
    """One line: an event and the answers of guards, in the order they were given."""

    event: str
    answers: tuple[tuple[str, bool], ...] = ()

    def text(self) -> str:
        """As a line of a script. Raises :class:`Unwritable`."""
        for name in (self.event, *(name for name, _ in self.answers)):
            if not name or any(character.isspace() or character == "#" for character in name):
                raise Unwritable(f"{name!r} cannot be written in a script")
        said = (f"{name}={'yes' if answer else 'no'}" for name, answer in self.answers)
        return " ".join((self.event, *said))


Step = Line | tuple[str, Mapping[str, bool]] | str
"""The item of a script that is no text; a lone string is an event without answers."""


def read(spec: Machine[Any], script: str | Iterable[Step]) -> tuple[Line, ...]:
    """The lines of a script, as text or step by step. Raises :class:`ScriptError`, with the line, for an
    event or a guard the machine does not have, an answer that is neither yes nor no, and a guard that is
    answered twice."""
    if isinstance(script, str):
        numbered = ((n, _parsed(n, text)) for n, text in enumerate(script.splitlines(), 1))
        found = [(n, line) for n, line in numbered if line is not None]
    else:
        found = [(n, _line(n, step)) for n, step in enumerate(script, 1)]
    events = [event.name for event in spec.events]
    guards = sorted(spec.guards)
    for n, line in found:
        if line.event not in events:
            raise ScriptError(n, f"{spec.name} has no event {line.event!r}", line.event, events)
        for name, answer in line.answers:
            if name not in guards:
                raise ScriptError(n, f"{spec.name} has no guard {name!r}", name, guards)
            if not isinstance(answer, bool):
                raise ScriptError(n, f"the answer of {name} is True or False, not {answer!r}")
        if len(dict(line.answers)) != len(line.answers):
            raise ScriptError(n, "a guard is answered twice")
    return tuple(line for _, line in found)


def answer(word: str) -> tuple[str, bool]:
    """The guard and its answer that ``GUARD=yes`` or ``GUARD=no`` names. ValueError for another word."""
    name, _, said = word.rpartition("=")
    if not name or said not in ANSWERS:
        raise ValueError(f"{word!r} is not GUARD=yes or GUARD=no")
    return name, ANSWERS[said]


def _parsed(number: int, text: str) -> Line | None:
    words = text.partition("#")[0].split()
    if not words:
        return None
    try:
        return Line(words[0], tuple(answer(word) for word in words[1:]))
    except ValueError as error:
        raise ScriptError(number, str(error)) from None


def _line(number: int, step: Any) -> Line:
    if isinstance(step, Line):
        return step
    if isinstance(step, str):
        return Line(step)
    if isinstance(step, tuple) and len(step) == 2 and isinstance(step[1], Mapping):
        return Line(step[0], tuple(step[1].items()))
    raise ScriptError(number, f"a step is (event, {{guard: answer}}), not {step!r}")
