"""A machine as a PlantUML state diagram: groups as composite states, labels as UML writes them
(``event [guards] / effects``), after the row of the table and, in a cell of several edges, its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...machines.spec import Machine, State
from ..sketch import Look, Tone, look_of
from .labels import Arrow, Label, arrows_of
from .names import state_identifiers, visible
from .rules import initial_of

_COLOURS: Mapping[Look, str] = {
    "start": "",
    "good": "#d3f2d9;line:2b8a3e",
    "ahead": "#fff3bf;line:e67700;line.bold",
    "live": "#e7edff;line:5c7cfa",
    "parked": "#ffe3e3;line:c92a2a",
    "final": "#e9ecef;line:495057",
}
_ARROWS: Mapping[Tone, str] = {
    "good": "-[#2b8a3e,bold]->",
    "alarm": "-[#e03131]->",
    "restart": "-[#adb5bd,dashed]->",
    "plain": "-[#868e96]->",
}
_WORDS = frozenset(
    {"state", "note", "skinparam", "hide", "scale", "title", "end", "left", "right", "top", "bottom", "as",
     "H", "start", "caption", "legend", "header", "footer", "json", "frame", "entrypoint", "exitpoint"}
)  # fmt: skip


def export(machine: Machine[Any]) -> str:
    """The PlantUML text with every state and every edge."""
    groups = _groups(machine)
    boxes = {group: f"group_{number}" for number, group in enumerate(groups, 1)}
    plain = state_identifiers(machine, {*_WORDS, *boxes.values()})
    lines = [
        "@startuml",
        f"' {visible(machine.name)}@{machine.version} {machine.content_hash}",
        "' label: row of the table, events, place in a cell of several edges, [guards], / effects",
        f"title {_escaped(machine.name)} {machine.version}",
        "hide empty description",
        "skinparam shadowing false",
        "skinparam StateFontSize 13",
        "skinparam StateBorderColor #adb5bd",
        "skinparam StateBackgroundColor #ffffff",
        "skinparam ArrowFontSize 10",
    ]
    for group, members in groups.items():
        states = [_state(machine, state, plain[state.name]) for state in members]
        if not group:
            lines += [line for state in states for line in state]
            continue
        lines.append(f'state "{_escaped(group)}" as {boxes[group]} {{')
        lines += [*(f"  {line}" for state in states for line in state), "}"]
    start = initial_of(machine)
    if start.name not in _starts(machine):
        lines.append(f"[*] --> {plain[start.name]}")
    lines += [_arrow(arrow, {**plain, **_starts(machine)}) for arrow in arrows_of(machine)]
    lines += [f"{plain[state.name]} -[#adb5bd]-> [*]" for state in machine.states if state.kind == "final"]
    return "\n".join([*lines, "@enduml"]) + "\n"


def _groups(machine: Machine[Any]) -> dict[str, list[State]]:
    found: dict[str, list[State]] = {}
    for state in machine.states:
        if state.name not in _starts(machine):
            found.setdefault(state.group, []).append(state)
    return found


def _starts(machine: Machine[Any]) -> dict[str, str]:
    """The pseudo-state that is drawn as the start, unless something leads back to it."""
    start = initial_of(machine)
    back = any(edge.dest == start.name for edge in machine.transitions)
    return {start.name: "[*]"} if start.kind == "pseudo" and not back else {}


def _state(machine: Machine[Any], state: State, name: str) -> list[str]:
    title = _escaped(state.name) + ("\\nwritten ahead" if state.write_ahead else "")
    lines = [f'state "{title}" as {name} {_COLOURS[look_of(machine, state)]}'.rstrip()]
    lines.append(f"{name} : {_escaped(state.meaning)}")
    if state.action is not None:
        lines.append(f"{name} : do / {_escaped(state.action)}")
    return lines


def _arrow(arrow: Arrow, names: Mapping[str, str]) -> str:
    label = "\\n".join(_text(item) for item in arrow.labels)
    return f"{names[arrow.source]} {_ARROWS[arrow.tone]} {names[arrow.dest]} : {label}"


def _text(label: Label) -> str:
    place = f" ({label.place})" if label.place else ""
    parts = [f"{_escaped(label.row)} {', '.join(map(_escaped, label.events))}{place}"]
    if label.guards:
        parts.append(f"[{', '.join(map(_escaped, label.guards))}]")
    if label.effects:
        parts.append(f"/ {', '.join(map(_escaped, label.effects))}")
    return "\\n".join(parts)


def _escaped(text: str) -> str:
    """The text with everything that PlantUML might read as markup given by its code."""
    found, before = [], ""
    for character in visible(text):
        harmless = character.isalnum() or character in " .,;:()" or (character == "_" and before != "_")
        found.append(character if harmless else f"<U+{ord(character):04X}>")
        before = character
    return "".join(found)
