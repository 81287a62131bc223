"""SCXML as the python-statemachine library runs it."""

from __future__ import annotations

import ast
import contextlib
import io
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from typing import Any

from statemachine.io import load

from .expected import Answer, Question, Told

_OURS = "{urn:nutstate:machine}"
_W3C = "{http://www.w3.org/2005/07/scxml}"


class Chart:
    """A loaded document. Questions are asked in the machine's own names."""

    def __init__(self, text: str) -> None:
        self._class: Any = load(text, format="scxml")
        self._class.catch_errors_as_events = False  # a guard that cannot be read shall not count as False
        self._class.allow_event_without_transition = True
        root = ET.fromstring(text)
        self._states = _names(root, f"{_W3C}state", "nut") | _names(root, f"{_W3C}final", "nut")
        self._back = {short: name for name, short in self._states.items()}
        self._events = _names(root, f"{_OURS}event", "")
        self._guards = _names(root, f"{_W3C}datamodel/{_W3C}data", "nut")
        self._running: Any = None

    def ask(self, asked: Question) -> Answer:
        """Put the chart into the state, set the guards' answers, send the event, and look."""
        chart = self._ready()
        for guard in self._guards.values():
            setattr(chart.model, guard, None)
        for name, value in asked.answers.items():
            if name in self._guards:  # else the document does not know the guard, and its answers will tell
                setattr(chart.model, self._guards[name], value)
        chart.current_state_value = self._states[asked.state]
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            chart.send(self._events[asked.event])
        state = self._back[chart.current_state_value]
        if chart.is_terminated:
            self._running = None
        return _heard(said.getvalue(), state)

    def _ready(self) -> Any:
        if self._running is None:
            self._running = self._class()
        return self._running


def run(text: str, questions: Iterable[Question]) -> Told:
    """The answers of the document to the questions."""
    chart = Chart(text)
    return [(asked, chart.ask(asked)) for asked in questions]


def _names(root: ET.Element, tag: str, space: str) -> dict[str, str]:
    """Our name of each element to its identifier."""
    key = f"{_OURS}name" if space else "name"
    return {element.get(key, element.attrib["id"]): element.attrib["id"] for element in root.findall(tag)}


def _heard(said: str, state: str) -> Answer:
    lines = [line.partition(": ") for line in said.splitlines()]
    told = [(label, str(ast.literal_eval(value))) for label, _, value in lines]
    if not told:
        return Answer("ignored", state)
    (outcome, value), *rest = told
    assert all(label == "effect" for label, _ in rest), said
    transition = value if outcome == "accepted" else None
    return Answer(outcome, state, transition, tuple(effect for _, effect in rest))
