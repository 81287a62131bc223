"""The drawings show every edge of the machine, and no other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nutstate.diagrams import mermaid
from nutstate.diagrams.build import GOOD_PATH_WITHOUT
from nutstate.diagrams.folded import folded
from nutstate.diagrams.sketch import edges_of, guards_of, row_of, shared_of
from nutstate.machines import MELT, MINT, TOKEN
from nutstate.machines.deposit.facts import DepositFacts
from nutstate.machines.registry import RELEASED
from nutstate.machines.spec import NONE, Event, Machine, State, Transition, edges
from tests.diagrams.reading import ends, flow_edges, state_edges

every_machine = pytest.mark.parametrize("machine", RELEASED, ids=lambda machine: machine.name)


def pairs(machine: Machine[Any]) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    for edge in machine.transitions:
        found.setdefault((edge.source, edge.dest), set()).add(edge.event)
    return found


def words(label: str) -> set[str]:
    return set(re.findall(r"\w+", label.replace("<br/>", " ")))


@every_machine
def test_a_state_diagram_shows_every_edge_with_its_events(machine: Machine[Any]) -> None:
    text = mermaid.state_diagram(machine)
    shown = state_edges(text)
    assert shown.keys() == pairs(machine).keys()
    for pair, events in pairs(machine).items():
        assert events <= words(shown[pair])
    assert ends(text) == {state.name for state in machine.states if state.kind == "final"}


@every_machine
def test_a_flowchart_shows_every_edge_with_its_events(machine: Machine[Any]) -> None:
    shown, thick = flow_edges(mermaid.flowchart(machine))
    assert shown.keys() == pairs(machine).keys()
    for pair, events in pairs(machine).items():
        assert events <= words(shown[pair])
    assert thick == set(zip(machine.good_path, machine.good_path[1:], strict=False))


@every_machine
def test_no_label_names_an_event_its_edge_has_not(machine: Machine[Any]) -> None:
    names = {event.name for event in machine.events} - set(machine.guards)
    for shown in (state_edges(mermaid.state_diagram(machine)), flow_edges(mermaid.flowchart(machine))[0]):
        for pair, label in shown.items():
            assert words(label) & names <= pairs(machine)[pair]


@every_machine
def test_every_row_number_is_on_its_edge(machine: Machine[Any]) -> None:
    shown = state_edges(mermaid.state_diagram(machine))
    for edge in machine.transitions:
        assert re.search(rf"(^|>|: ){row_of(edge)} ", shown[edge.source, edge.dest])


@every_machine
def test_written_ahead_is_marked(machine: Machine[Any]) -> None:
    for text in (mermaid.state_diagram(machine), mermaid.flowchart(machine)):
        for state in machine.states:
            assert (f"{state.name}<br/>written ahead" in text) == state.write_ahead


def test_twins_are_told_apart_by_the_guard_they_differ_in() -> None:
    said = {edge.id: guards_of(MELT, edge) for edge in MELT.transitions}
    assert said["12.mint_unpaid.paying"] == "unpaid_is_proven"
    assert said["13.mint_unpaid.paying"] == "not unpaid_is_proven"
    assert said["28a.resume.attention"] == "payment_proven"
    assert said["29b.write_off.attention"] == "not_in_flight, not payment_proven"
    assert said["29c.write_off.attention"] == "not not_in_flight, not payment_proven"
    assert said["9.pay.prepared"] == "2 guards"
    assert said["10.mint_paid.paying"] == "payment_proven"
    assert said["0.request.none"] == ""


def test_a_row_from_many_states_is_drawn_once_and_completely() -> None:
    shared, covered = shared_of(MELT)
    paid = next(row for row in shared if row.dest == "paid")
    assert paid.sources == ("pending", "unknown", "refused", "unpaid", "fencing")  # paying is the good path
    assert paid.line.events == ("mint_paid",)
    left = {(e.source, e.dest) for e in edges_of(MELT, covered)}
    assert ("paying", "paid") in left
    assert ("unpaid", "paid") not in left
    assert len(covered) == sum(len(row.sources) * len(row.line.events) for row in shared)


def test_edges_follow_the_order_of_the_table() -> None:
    place = {state.name: number for number, state in enumerate(MINT.states)}
    drawn = [(place[edge.source], place[edge.dest]) for edge in edges_of(MINT)]
    assert drawn == sorted(drawn)


def test_restarts_alone_are_told_from_other_edges() -> None:
    text = mermaid.flowchart(MELT)
    dashed = re.search(r"linkStyle (\S+) stroke:\S+,stroke-dasharray", text)
    assert dashed
    lines = [line for line in text.splitlines() if re.search(r"(-->|==>|---)", line)]
    assert all("recover" in lines[int(n)] or "row" in lines[int(n)] for n in dashed[1].split(","))


def test_the_good_path_is_whole_and_the_rest_is_folded() -> None:
    text = mermaid.good_path(MELT, GOOD_PATH_WITHOUT[MELT])
    shown = state_edges(text)
    assert set(zip(MELT.good_path, MELT.good_path[1:], strict=False)) <= shown.keys()
    assert {"rejected", "released", "reconciled"} == ends(text)
    assert not [state for state in GOOD_PATH_WITHOUT[MELT] if state in text]
    assert "rejected<br/>cancelled<br/>expired" in text
    assert "pending<br/>unknown<br/>refused<br/>unpaid<br/>fencing<br/>watching" in text
    assert not {"resume", "write_off", "resolve", "record"} & words(" ".join(shown.values()))
    assert len(text.splitlines()) < 50


def test_folding_says_how_many_events_it_does_not_name() -> None:
    _, folded_edges = folded(MELT)
    answers = next(e for e in folded_edges if (e.source, e.dest) == ("paying", "pending"))
    assert answers.events == ("mint_pending", "mint_unpaid", "and 5 more")


def test_a_folded_token_has_no_way_in_but_the_good_one() -> None:
    _, folded_edges = folded(TOKEN)
    assert [edge.dest for edge in folded_edges if edge.source == NONE] == ["unspent"]


@every_machine
def test_the_head_names_version_and_content(machine: Machine[Any]) -> None:
    first = mermaid.state_diagram(machine).splitlines()[0]
    assert first == f"%% {machine.name}@{machine.version} {machine.content_hash}"


def test_the_text_does_not_depend_on_the_run() -> None:
    program = (
        "from nutstate.diagrams.build import render; import sys; sys.stdout.write(''.join(render().values()))"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1


NAMES = ("a", "b", "c", "d", "e")


@st.composite
def machines(draw: st.DrawFn) -> Machine[DepositFacts]:
    kinds = draw(st.lists(st.sampled_from(["live", "parked", "final"]), min_size=5, max_size=5))
    states = tuple(
        State(name, name, kind=kind, group=kind)  # type: ignore[arg-type]
        for name, kind in zip(NAMES, kinds, strict=True)
    )
    event, place = st.sampled_from(("go", "come", "stay")), st.sampled_from(NAMES)
    cell = st.tuples(event, st.sampled_from((NONE, *NAMES)), place)
    table: list[Transition[DepositFacts]] = []
    for name, source, dest in draw(st.lists(cell, min_size=1, max_size=30, unique=True)):
        table += edges(str(NAMES.index(dest)), name, source, dest)  # a row per destination: many are shared
    return Machine(
        name="drawn",
        version=1,
        facts=DepositFacts,
        states=(State(NONE, "nothing", kind="pseudo"), *states),
        events=tuple(Event(name, name, "engine") for name in ("go", "come", "stay")),
        transitions=tuple(table),
        good_path=(NONE, "a", "b"),
    )


@given(machines())
def test_any_machine_is_drawn_completely(machine: Machine[DepositFacts]) -> None:
    shown = state_edges(mermaid.state_diagram(machine))
    flowing, _ = flow_edges(mermaid.flowchart(machine))
    assert shown.keys() == flowing.keys() == pairs(machine).keys()
    for pair, events in pairs(machine).items():
        assert words(shown[pair]) & {"go", "come", "stay"} == events
        assert words(flowing[pair]) & {"go", "come", "stay"} == events
    mermaid.good_path(machine)
