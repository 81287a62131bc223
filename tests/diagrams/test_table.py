"""The tables say everything the machine says."""

from __future__ import annotations

import re
from typing import Any

import pytest

from nutstate.diagrams.build import render
from nutstate.diagrams.table import page, transition_rows
from nutstate.machines import MELT, TOKEN
from nutstate.machines.registry import RELEASED
from nutstate.machines.spec import Machine
from nutstate.machines.words import EFFECTS

every_machine = pytest.mark.parametrize("machine", RELEASED, ids=lambda machine: machine.name)


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@every_machine
def test_every_transition_is_in_exactly_one_row(machine: Machine[Any]) -> None:
    found: list[tuple[str, str, str, str]] = []
    for row, events, places, *_ in transition_rows(machine):
        sources, _, dest = places.partition(" → ")
        for event in named(events):
            for source in named(sources):
                found.append((row, event, source, source if dest == "stays" else named(dest)[0]))
    wanted = [(t.id.partition(".")[0], t.event, t.source, t.dest) for t in machine.transitions]
    assert sorted(found) == sorted(wanted)


@every_machine
def test_guards_come_with_sentence_and_code(machine: Machine[Any]) -> None:
    text = page(machine, "")
    for guard in machine.guards.values():
        assert f"`{guard.name}`: {guard.sentence} (`{guard.code}`)" in text or f"not `{guard.name}`" in text
    for edge in machine.transitions:
        assert edge.reason in text
        for effect in edge.effects:
            assert f"| `{effect}` | {EFFECTS[effect].sentence} | {EFFECTS[effect].level} |" in text


@every_machine
def test_states_and_events_are_explained(machine: Machine[Any]) -> None:
    text = page(machine, "")
    for state in machine.states:
        assert f"| `{state.name}` | {state.meaning} | {state.kind}" in text
    for event in machine.events:
        assert f"| `{event.name}` | {event.meaning} | {event.origin} |" in text
    for code in {r.code for s in machine.states for r in s.refuses}:
        assert f"| `{code}` |" in text


@every_machine
def test_the_head_names_version_and_content(machine: Machine[Any]) -> None:
    text = page(machine, "")
    assert f"| version | {machine.version} |" in text
    assert f"| content hash | `{machine.content_hash}` |" in text


def test_a_forbidden_guard_reads_as_its_opposite() -> None:
    row = next(row for row in transition_rows(MELT) if row[0] == "13")
    assert row[3].startswith("not `unpaid_is_proven`: not: ")
    assert row[3].endswith("(`NOT_PROVEN_UNPAID`)")


def test_a_row_that_stays_says_so() -> None:
    row = next(row for row in transition_rows(TOKEN) if row[0] == "9")
    assert row[2] == "`unspent`, `reserved`, `outstanding`, `stranded` → stays"


def test_every_table_has_as_many_cells_as_its_head() -> None:
    for name, text in render().items():
        if not name.endswith(".md"):
            continue
        width = 0
        for line in text.splitlines():
            if not line.startswith("|"):
                width = 0
                continue
            cells = len(re.findall(r"(?<!\\)\|", line)) - 1
            width = width or cells
            assert cells == width, f"{name}: {line}"


def test_the_drawing_is_on_the_page() -> None:
    files = render()
    assert files["melt.mmd"] in files["melt.md"]
    assert files["mint.mmd"] in files["mint.md"]
