"""A machine as Mermaid: the drawings of :mod:`nutstate.diagrams.mermaid`, also for names they cannot hold."""

from __future__ import annotations

import re
from typing import Any

import attrs

from ...machines.spec import NONE, Guard, Machine, State, Transition
from .. import mermaid
from ..build import FLOWCHART_EDGES_MIN
from .names import identifiers, visible

_WORDS = frozenset(
    {"state", "note", "end", "direction", "class", "classDef", "style", "default", "as", "TB", "BT", "LR",
     "graph", "subgraph", "flowchart", "linkStyle", "click", "call", "href", "accTitle", "accDescr", "scale",
     "hide", "interpolate", "start", "row", "RL"}
)  # fmt: skip
_ROW = re.compile(r"row\d+")


def export(machine: Machine[Any]) -> str:
    """A flowchart of a machine with many edges, a stateDiagram-v2 of one with few, as ``diagrams build``
    draws them. States, events and guards whose names would mean something else to Mermaid are drawn
    under identifiers of their own, and show their names."""
    safe, titles = _safe(machine)
    if len(machine.transitions) >= FLOWCHART_EDGES_MIN:
        text = _titled_flowchart(mermaid.flowchart(safe), titles)
    else:
        text = _titled_states(mermaid.state_diagram(safe), titles)
    return text.replace(safe.content_hash, machine.content_hash)


def _safe(machine: Machine[Any]) -> tuple[Machine[Any], dict[str, str]]:
    """The machine under names that Mermaid takes; and what to show for states that got another one."""
    names = [state.name for state in machine.states]
    reserved = {*_WORDS, *(name for name in names if _ROW.fullmatch(name) or name.lower() in _WORDS)}
    ids = identifiers(names, reserved)
    titles = {ids[name]: _escaped(name) for name in names if ids[name] != name}
    safe = attrs.evolve(
        machine,
        name=_escaped(machine.name),
        states=tuple(_state(state, ids) for state in machine.states),
        events=tuple(attrs.evolve(event, name=_escaped(event.name)) for event in machine.events),
        transitions=tuple(_edge(edge, ids) for edge in machine.transitions),
        good_path=tuple(ids[name] for name in machine.good_path),
    )
    return safe, titles


def _state(state: State, ids: dict[str, str]) -> State:
    return attrs.evolve(state, name=ids[state.name])


def _edge(edge: Transition[Any], ids: dict[str, str]) -> Transition[Any]:
    return attrs.evolve(
        edge,
        id=_escaped(edge.id),
        event=_escaped(edge.event),
        source=ids[edge.source],
        dest=ids[edge.dest],
        requires=tuple(_guard(guard) for guard in edge.requires),
        forbids=tuple(_guard(guard) for guard in edge.forbids),
    )


def _guard(guard: Guard[Any]) -> Guard[Any]:
    return attrs.evolve(guard, name=_escaped(guard.name))


def _titled_states(text: str, titles: dict[str, str]) -> str:
    lines = text.splitlines()
    for name, title in titles.items():
        if name == NONE:
            continue
        ahead = f'    state "{name}<br/>written ahead" as {name}'
        if ahead in lines:
            lines[lines.index(ahead)] = f'    state "{title}<br/>written ahead" as {name}'
        else:
            lines.append(f'    state "{title}" as {name}')
    return "\n".join(lines) + "\n"


def _titled_flowchart(text: str, titles: dict[str, str]) -> str:
    for name, title in titles.items():
        for opened, closed in (("((", "))"), ("([", "])"), ("{{", "}}"), ("(", ")")):
            if opened != "((":
                text = text.replace(
                    f"\n    {name}{opened}{name}{closed}\n", f'\n    {name}{opened}"{title}"{closed}\n'
                )
        text = text.replace(
            f'\n    {name}[["{name}<br/>written ahead"]]\n', f'\n    {name}[["{title}<br/>written ahead"]]\n'
        )
    return text


def _escaped(text: str) -> str:
    """The text with everything that Mermaid might read as markup given by its code."""
    harmless = " .,()_"
    return "".join(c if c.isalnum() or c in harmless else f"#{ord(c)};" for c in visible(text))
