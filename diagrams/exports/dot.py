"""A machine as Graphviz DOT: groups as clusters, colours as in the Mermaid drawings.

An arrow shows rows, events and up to three guards; its tooltip, which an SVG shows under the pointer,
names every transition with all its guards, its place in its cell and its effects.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...machines.spec import Machine, State
from ..sketch import Look, Tone, look_of
from .labels import Arrow, Label, arrows_of
from .names import state_identifiers, visible

GUARDS_SHOWN_MAX = 3
LABEL_WIDTH = 28

_NODES: Mapping[Look, str] = {
    "start": 'shape=circle, width=0.5, fillcolor="#ffffff", color="#495057", fontcolor="#212529"',
    "good": 'fillcolor="#d3f2d9", color="#2b8a3e", fontcolor="#102a16"',
    "ahead": 'fillcolor="#fff3bf", color="#e67700", fontcolor="#3b2500", penwidth=3',
    "live": 'fillcolor="#e7edff", color="#5c7cfa", fontcolor="#14204a"',
    "parked": 'shape=hexagon, style=filled, fillcolor="#ffe3e3", color="#c92a2a", fontcolor="#4a0d0d"',
    "final": 'fillcolor="#e9ecef", color="#495057", fontcolor="#212529", penwidth=2',
}
_EDGES: Mapping[Tone, str] = {
    "good": 'color="#2b8a3e", penwidth=3, weight=8',
    "alarm": 'color="#e03131"',
    "restart": 'color="#adb5bd", style=dashed',
    "plain": 'color="#868e96"',
}
_FONT = 'fontname="Helvetica,Arial,sans-serif"'


def export(machine: Machine[Any]) -> str:
    """The DOT text: one ``digraph`` with every state and every edge."""
    ids = {name: f'"{short}"' for name, short in state_identifiers(machine).items()}
    lines = [
        f"// {visible(machine.name)}@{machine.version} {machine.content_hash}",
        "// green: the good path · orange, thick: written ahead · red: a person must look · grey: final",
        f"digraph {_quoted(machine.name)} {{",
        f"  graph [rankdir=TB, nodesep=0.45, ranksep=0.7, {_FONT}];",
        f'  node [shape=box, style="rounded,filled", fontsize=12, margin="0.15,0.08", {_FONT}];',
        f'  edge [fontsize=9, fontcolor="#495057", arrowsize=0.7, {_FONT}];',
    ]
    for number, (group, members) in enumerate(_groups(machine).items()):
        nodes = [f"{ids[state.name]} {_node(machine, state)}" for state in members]
        if not group:
            lines += [f"  {node}" for node in nodes]
            continue
        lines += [
            f"  subgraph cluster_{number} {{",
            f'    graph [label={_quoted(group)}, labeljust=l, style=rounded, color="#ced4da", '
            'fontcolor="#868e96", fontsize=10];',
            *(f"    {node}" for node in nodes),
            "  }",
        ]
    lines += [f"  {ids[arrow.source]} -> {ids[arrow.dest]} {_edge(arrow)}" for arrow in arrows_of(machine)]
    return "\n".join([*lines, "}"]) + "\n"


def _groups(machine: Machine[Any]) -> dict[str, list[State]]:
    found: dict[str, list[State]] = {}
    for state in machine.states:
        found.setdefault(state.group, []).append(state)
    return found


def _node(machine: Machine[Any], state: State) -> str:
    look = look_of(machine, state)
    title = [_escaped(state.name)]
    if state.write_ahead:
        title.append("written ahead")
    told = [state.meaning, f"kind: {state.kind}"]
    told += [f"action: {state.action}"] if state.action is not None else []
    told += [f"absorbs: {', '.join(state.absorbs)}"] if state.absorbs else []
    told += [f"refuses {refused.event}: {refused.code}" for refused in state.refuses]
    ends = ", peripheries=2" if state.kind == "final" else ""
    label, tooltip = "\\n".join(title), "\\n".join(map(_escaped, told))
    return f'[label="{label}", tooltip="{tooltip}", {_NODES[look]}{ends}];'


def _edge(arrow: Arrow) -> str:
    label = "".join(f"{line}\\l" for item in arrow.labels for line in _shown(item))
    told = "\\n".join(line for item in arrow.labels for line in _told(item))
    return f'[label="{label}", tooltip="{told}", labeltooltip="{told}", {_EDGES[arrow.tone]}];'


def _shown(label: Label) -> list[str]:
    lines = _filled([label.row, *(f"{event}," for event in label.events[:-1]), label.events[-1]])
    if len(label.guards) > GUARDS_SHOWN_MAX:
        return [*lines, f"[{len(label.guards)} guards]"]
    if label.guards:
        first, *rest = label.guards
        words = [f"[{first}", *rest]
        lines += _filled([*(f"{word}," for word in words[:-1]), f"{words[-1]}]"])
    return [_escaped(line) for line in lines]


def _filled(words: list[str]) -> list[str]:
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + 1 + len(word) > LABEL_WIDTH:
            lines.append(word)
        else:
            lines[-1] += f" {word}"
    return lines


def _told(label: Label) -> list[str]:
    """One line a transition: ``id: event (1 of 2) [guards] / effects``."""
    place = f" ({label.place})" if label.place else ""
    guards = f" [{', '.join(label.guards)}]" if label.guards else ""
    effects = f" / {', '.join(label.effects)}" if label.effects else ""
    return [_escaped(f"{edge.id}: {edge.event}{place}{guards}{effects}") for edge in label.transitions]


def _escaped(text: str) -> str:
    """For the inside of a quoted label: neither its end, nor an escape, nor an entity, nor a line."""
    return visible(text).replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'
