"""Reading drawings back: every transition a DOT, PlantUML or Mermaid text shows, and what it should show."""

from __future__ import annotations

import html
import re
from collections import Counter
from typing import Any

from attrs import frozen

from nutstate.machines.spec import NONE, Machine, Transition
from tests.diagrams.reading import ends, flow_edges, state_edges

_DOT_NODE = re.compile(r'^ +"(\w+)" \[label="((?:[^"\\]|\\.)*)"')
_DOT_EDGE = re.compile(r'^  "(\w+)" -> "(\w+)" \[label="((?:[^"\\]|\\.)*)", tooltip="((?:[^"\\]|\\.)*)"')
_TOLD = re.compile(r"(\S+): (\w+)(?: \((\d+) of (\d+)\))?(?: \[(.+?)\])?(?: / (.+))?")
_PLANT_EDGE = re.compile(r"^(\S+) -\[#\w+(?:,\w+)?\]-> (\S+) : (.*)$")
_PLANT_TEXT = re.compile(r"(\S+) ([\w, ]+?)(?: \((\d+) of (\d+)\))?")


@frozen
class Shown:
    """One transition as a drawing shows it; ``place`` is its place in its cell and how many are there."""

    source: str
    dest: str
    row: str
    event: str
    place: tuple[int, int]
    guards: tuple[str, ...]
    effects: tuple[str, ...]


def declared(machine: Machine[Any]) -> Counter[Shown]:
    """What a complete drawing shows."""
    return Counter(
        Shown(
            edge.source,
            edge.dest,
            edge.id.partition(".")[0],
            edge.event,
            _place(machine, edge),
            _guards(edge),
            edge.effects,
        )
        for edge in machine.transitions
    )


def dot_shows(text: str) -> Counter[Shown]:
    """The transitions of a DOT text, from the tooltips; the labels must say the same in short."""
    found: Counter[Shown] = Counter()
    nodes = {m[1] for m in map(_DOT_NODE.match, text.splitlines()) if m}
    for match in filter(None, map(_DOT_EDGE.match, text.splitlines())):
        source, dest, label, tooltip = match.groups()
        assert {source, dest} <= nodes
        visible = re.sub(r"\s+", " ", _plain(label).replace("\\l", " "))
        for line in _plain(tooltip).split("\\n"):
            told = _TOLD.fullmatch(line)
            assert told, line
            ident, event, number, count, guards, effects = told.groups()
            place = (int(number or 1), int(count or 1))
            row = ident.partition(".")[0]
            asked = tuple(guards.split(", ")) if guards else ()
            short = f"[{', '.join(asked)}]" if len(asked) <= 3 else f"[{len(asked)} guards]"
            assert re.search(rf"(^| ){row} [^\[]*\b{event}\b", visible), visible
            assert not asked or short in visible, (short, visible)
            written = tuple(effects.split(", ")) if effects else ()
            found[Shown(source, dest, row, event, place, asked, written)] += 1
    return found


def plantuml_shows(text: str) -> Counter[Shown]:
    """The transitions of a PlantUML text, from the labels."""
    found: Counter[Shown] = Counter()
    for match in filter(None, map(_PLANT_EDGE.match, text.splitlines())):
        source, dest, label = match.groups()
        if dest == "[*]":
            continue
        items: list[list[str]] = []
        for part in label.split("\\n"):
            if part.startswith(("[", "/ ")):
                items[-1].append(part)
            else:
                items.append([part])
        for head, *rest in items:
            told = _PLANT_TEXT.fullmatch(head)
            assert told, head
            guards = next((part[1:-1].split(", ") for part in rest if part.startswith("[")), [])
            effects = next((part[2:].split(", ") for part in rest if part.startswith("/ ")), [])
            for event in told[2].split(", "):
                found[
                    Shown(
                        NONE if source == "[*]" else source,
                        dest,
                        told[1],
                        event,
                        (int(told[3] or 1), int(told[4] or 1)),
                        tuple(guards),
                        tuple(effects),
                    )
                ] += 1
    return found


def plantuml_ends(text: str) -> set[str]:
    """The states a PlantUML text ends in."""
    return set(re.findall(r"^(\S+) -\[#\w+\]-> \[\*\]$", text, re.MULTILINE))


Line = tuple[str, str, str, str, str]
"""Source, destination, row, event and guards as Mermaid shows them; the rest its head vouches for."""


def mermaid_shows(text: str) -> tuple[str, set[Line]]:
    """The head line, and the transitions of a Mermaid text."""
    edges = state_edges(text) if "\nstateDiagram-v2\n" in text else flow_edges(text)[0]
    found: set[Line] = set()
    for (source, dest), label in edges.items():
        said = label.replace(",<br/>", ", ").replace("<br/>[", " [").removeprefix("restart: ")
        said = re.sub(r"\[[^\]]*\]", lambda m: m[0].replace("<br/>", " "), said)
        for line in said.split("<br/>"):
            told = re.fullmatch(r"(\S+) ([\w, ]+?)(?: \[(.+)\])?", line)
            assert told, line
            found |= {(source, dest, told[1], event, told[3] or "") for event in told[2].split(", ")}
    return text.partition("\n")[0], found


def mermaid_declared(machine: Machine[Any]) -> tuple[str, set[Line]]:
    """What :func:`mermaid_shows` should find."""
    head = f"%% {machine.name}@{machine.version} {machine.content_hash}"
    return head, {
        (edge.source, edge.dest, edge.id.partition(".")[0], edge.event, _in_short(machine, edge))
        for edge in machine.transitions
    }


def mermaid_ends(text: str) -> set[str]:
    """The states a stateDiagram-v2 ends in."""
    return ends(text)


def _in_short(machine: Machine[Any], edge: Transition[Any]) -> str:
    """The guards whose contrary another edge of the cell wants; else the only one; else how many."""
    guards = _guards(edge)
    others = {
        name
        for twin in machine.cells[edge.source, edge.event]
        if twin.id != edge.id
        for name in _guards(twin)
    }
    contrary = [g for g in guards if (g[4:] if g.startswith("not ") else f"not {g}") in others]
    if contrary:
        return ", ".join(contrary)
    return f"{len(guards)} guards" if len(guards) > 1 else "".join(guards)


def _place(machine: Machine[Any], edge: Transition[Any]) -> tuple[int, int]:
    cell = [t for t in machine.transitions if (t.source, t.event) == (edge.source, edge.event)]
    return cell.index(edge) + 1, len(cell)


def _guards(edge: Transition[Any]) -> tuple[str, ...]:
    return (*(g.name for g in edge.requires), *(f"not {g.name}" for g in edge.forbids))


def _plain(label: str) -> str:
    return html.unescape(label.replace('\\"', '"').replace("\\\\", "\\"))
