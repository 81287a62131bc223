"""Playing a machine: a script, or a random walk that its seed repeats."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from attrs import frozen

from ...machines.spec import Decision, Machine, Transition
from ...machines.step import step
from .cells import matrix, switched
from .graph import Graph, Path, check_names, graph, start_of, witness
from .script import Line, Step, read


@frozen
class Played:
    """One line and what the machine answered."""

    line: Line
    decision: Decision

    def as_data(self) -> dict[str, Any]:
        """JSON-ready."""
        decision = self.decision
        return {
            "event": self.line.event,
            "answers": dict(self.line.answers),
            "state": decision.state,
            "outcome": decision.outcome,
            "next_state": decision.next_state,
            "transition": decision.transition,
            "effects": list(decision.effects),
            "refusals": [{"code": r.code, "sentence": r.sentence} for r in decision.refusals],
        }


@frozen
class Trace:
    """The steps of a simulation, and the state at its end."""

    machine: str
    version: int
    start: str
    steps: tuple[Played, ...]

    @property
    def state(self) -> str:
        """Where it ended."""
        return self.steps[-1].decision.next_state if self.steps else self.start

    def text(self) -> str:
        """A script that :func:`simulate` plays again to this very trace. Comments say what came of it.
        Raises :class:`~.script.Unwritable`."""
        lines = [played.line.text() for played in self.steps]
        width = min(max((len(line) for line in lines), default=0), 60)
        steps = "1 step" if len(lines) == 1 else f"{len(lines)} steps"
        head = f"# {self.machine}, version {self.version}: {self.start} -> {self.state}, {steps}\n"
        return head + "".join(
            f"{line:<{width}}  # {_said(played.decision)}\n"
            for line, played in zip(lines, self.steps, strict=True)
        )

    def as_data(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "machine": self.machine,
            "version": self.version,
            "start": self.start,
            "state": self.state,
            "steps": [played.as_data() for played in self.steps],
        }


def simulate(
    spec: Machine[Any],
    *,
    script: str | Iterable[Step] | None = None,
    seed: int | None = None,
    steps: int = 100,
) -> Trace:
    """Play a machine from its pseudo-state with every guard as a switch of its own.

    ``script``: see :mod:`~nutstate.review.kit.script`; raises its ``ScriptError``. ``seed``: a random
    walk of at most ``steps`` steps, the same for the same seed and machine on every Python; it ends
    early in a state that nothing leaves. Half of its steps take an edge, rather one after which it goes
    on; the others are any event with any answers.
    ValueError unless exactly one of the two is given; BadMachine (a ValueError) for a machine that names
    what it does not declare.
    """
    check_names(spec)
    chosen: _Script | _Walk
    if seed is None and script is not None:
        chosen = _Script(read(spec, script))
    elif seed is not None and script is None and steps >= 0:
        chosen = _Walk(spec, seed, steps)
    else:
        raise ValueError("give a script, or a seed and a number of steps")
    machine, no = switched(spec), dict.fromkeys(spec.guards, False)
    state = start = start_of(spec)
    played: list[Played] = []
    while (line := chosen.line(state)) is not None:
        decision = step(machine, state, line.event, no | dict(line.answers))
        played.append(Played(line, decision))
        state = decision.next_state
    return Trace(spec.name, spec.version, start, tuple(played))


def script_of(spec: Machine[Any], path: Path) -> str:
    """A script that takes exactly these transitions, such as one of ``paths(spec).paths``. ValueError
    for a transition that an earlier one of its cell always wins against; ``Unwritable`` (one too) for names
    that no script can say."""
    lines: list[Line] = []
    for edge in path:
        answers = witness(spec.cells[edge.source, edge.event], edge)
        if answers is None:
            raise ValueError(f"{edge.id} can never be taken")
        lines.append(Line(edge.event, tuple(answers.items())))
    return simulate(spec, script=lines).text()


class _Script:
    """Line after line; a refused line does not stop the walk."""

    def __init__(self, lines: tuple[Line, ...]) -> None:
        self._lines = iter(lines)

    def line(self, state: str) -> Line | None:
        """The next line, None at the end."""
        return next(self._lines, None)


class _Walk:
    """Chooses what happens next. It draws with ``random()`` only, whose sequence no release changes."""

    def __init__(self, spec: Machine[Any], seed: int, steps: int) -> None:
        self._left = steps
        self._events = [event.name for event in spec.events]
        self._asked = {(cell.state, cell.event): cell for cell in matrix(spec)}
        self._graph: Graph = graph(spec)
        self._draw = random.Random(seed).random

    def line(self, state: str) -> Line | None:
        """The next line, None in a state that nothing leaves and after the last step."""
        leaving = self._graph.after(state)
        if not leaving or not self._left:
            return None
        self._left -= 1
        wanted: Transition[Any] | None = None
        if self._draw() < 0.5:
            going_on = tuple(edge for edge in leaving if self._graph.after(edge.dest))
            among = going_on if going_on and self._draw() < 0.75 else leaving
            wanted = among[int(self._draw() * len(among))]
        event = self._events[int(self._draw() * len(self._events))] if wanted is None else wanted.event
        cell = self._asked[state, event]
        chosen = {name: self._draw() < 0.5 for name in cell.guards}
        if wanted is not None:
            chosen |= witness(cell.edges, wanted) or {}
        return Line(event, tuple(chosen.items()))


def _said(decision: Decision) -> str:
    if decision.outcome == "accepted":
        return f"{decision.state} -> {decision.next_state} by {decision.transition}"
    codes = f": {', '.join(refusal.code for refusal in decision.refusals)}" if decision.refusals else ""
    return f"{decision.state}, {decision.outcome}{codes}"
