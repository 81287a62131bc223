"""The SCXML of a machine runs as the machine does, in every case; and nothing of the machine is lost."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import pytest

from nutstate.diagrams.exports import export
from nutstate.machines import MELT
from nutstate.machines.registry import RELEASED
from nutstate.machines.spec import Machine
from tests.diagrams.oracles import scxml
from tests.diagrams.oracles.expected import MISTAKES, Question, disagreements, told_by_charts
from tests.diagrams.oracles.odd import ODD

pytestmark = pytest.mark.oracle

NUT = "{urn:nutstate:machine}"
W3C = "{http://www.w3.org/2005/07/scxml}"
every_machine = pytest.mark.parametrize("machine", [*RELEASED, ODD], ids=lambda machine: machine.name[:7])


@every_machine
def test_every_case_runs_as_declared(
    machine: Machine[Any], record_property: Callable[[str, object], None]
) -> None:
    expected = told_by_charts(machine)
    got = scxml.run(export(machine, "scxml"), [asked for asked, _ in expected])
    assert disagreements(expected, got) == []
    record_property("table", f"python-statemachine ran {len(got)} cases of {machine.name[:7]} as declared")


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_a_mistake_is_found(mistake: Callable[[Machine[Any]], Machine[Any]]) -> None:
    for machine in (ODD,) if "order" in mistake.__name__ else (ODD, MELT):
        expected = told_by_charts(machine)
        got = scxml.run(export(mistake(machine), "scxml"), [asked for asked, _ in expected])
        assert disagreements(expected, got)


@pytest.mark.parametrize("machine", RELEASED, ids=lambda machine: machine.name)
def test_nothing_is_lost(machine: Machine[Any]) -> None:
    root = ET.fromstring(export(machine, "scxml"))
    assert root.get("name") == machine.name
    assert root.get(f"{NUT}content_hash") == machine.content_hash
    assert [e.get("state") for e in root.findall(f"{NUT}good_path")] == list(machine.good_path)
    assert [(e.get("id"), e.get("meaning"), e.get("origin")) for e in root.findall(f"{NUT}event")] == [
        (e.name, e.meaning, e.origin) for e in machine.events
    ]
    guards = root.findall(f"{W3C}datamodel/{W3C}data")
    assert [(g.get("id"), g.get(f"{NUT}sentence"), g.get(f"{NUT}code")) for g in guards] == [
        (g.name, g.sentence, g.code) for g in machine.guards.values()
    ]
    elements = [e for e in root if e.tag in (f"{W3C}state", f"{W3C}final")]
    assert [e.get("id") for e in elements] == [state.name for state in machine.states]
    for element, state in zip(elements, machine.states, strict=True):
        assert (element.tag == f"{W3C}final") == (state.kind == "final")
        kept = [element.get(f"{NUT}{name}") for name in ("kind", "group", "meaning", "action", "patience")]
        assert kept == [state.kind, state.group or None, state.meaning, state.action, state.patience or None]
        flags = [element.get(f"{NUT}{name}") for name in ("write_ahead", "settles", "frees")]
        assert flags == ["true" if flag else None for flag in (state.write_ahead, state.settles, state.frees)]
        words = [element.get(f"{NUT}{name}") for name in ("ends", "waits_for")]
        assert words == [state.ends or None, state.waits_for or None]
        taken = [t for t in element.findall(f"{W3C}transition") if t.get("target")]
        leaving = [edge for edge in machine.transitions if edge.source == state.name]
        assert [(t.get(f"{NUT}transition"), t.get(f"{NUT}reason")) for t in taken] == [
            (edge.id, edge.reason or None) for edge in leaving
        ]
        stays = [t for t in element.findall(f"{W3C}transition") if not t.get("target")]
        stays += element.findall(f"{NUT}absorbs") + element.findall(f"{NUT}refuses")
        fixed = [r.event for r in state.refuses if r.event not in state.absorbs]
        assert [t.get("event") for t in stays] == [*dict.fromkeys(state.absorbs), *dict.fromkeys(fixed)]


def test_an_unanswered_guard_enables_nothing() -> None:
    chart = scxml.Chart(export(MELT, "scxml"))
    asked = next(q for q, a in told_by_charts(MELT) if a.transition == "13.mint_unpaid.paying")
    unanswered = Question(asked.state, asked.event, {})
    assert chart.ask(unanswered).outcome == "ignored"
    assert chart.ask(asked).transition == "13.mint_unpaid.paying"
