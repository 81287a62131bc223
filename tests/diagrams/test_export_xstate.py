"""The XState configuration of a machine runs as the machine does, in every case."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from nutstate.diagrams.exports import export
from nutstate.machines import MELT
from nutstate.machines.registry import RELEASED
from nutstate.machines.spec import Machine
from tests.diagrams.oracles import charts
from tests.diagrams.oracles.expected import MISTAKES, disagreements, told_by_charts
from tests.diagrams.oracles.odd import ODD


@pytest.mark.oracle
def test_every_case_runs_as_declared(record_property: Callable[[str, object], None]) -> None:
    machines: list[Machine[Any]] = [*RELEASED, ODD]
    expected = [told_by_charts(machine) for machine in machines]
    asked = [
        (export(machine, "xstate"), [question for question, _ in told])
        for machine, told in zip(machines, expected, strict=True)
    ]
    for machine, told, got in zip(machines, expected, charts.run(asked), strict=True):
        assert disagreements(told, got) == []
        record_property("table", f"XState ran {len(got)} cases of {machine.name[:7]} as declared")


@pytest.mark.oracle
def test_every_mistake_is_found() -> None:
    tried = [(mistake, ODD) for mistake in MISTAKES]
    tried += [(mistake, MELT) for mistake in MISTAKES if "order" not in mistake.__name__]
    expected = {id(machine): told_by_charts(machine) for machine in (ODD, MELT)}
    asked = [
        (export(mistake(machine), "xstate"), [question for question, _ in expected[id(machine)]])
        for mistake, machine in tried
    ]
    for (mistake, machine), got in zip(tried, charts.run(asked), strict=True):
        assert disagreements(expected[id(machine)], got), mistake.__name__


@pytest.mark.parametrize("machine", [*RELEASED, ODD], ids=lambda machine: machine.name[:7])
def test_what_xstate_has_no_word_for_is_kept(machine: Machine[Any]) -> None:
    config = json.loads(export(machine, "xstate"))
    assert config["meta"]["content_hash"] == machine.content_hash
    assert [(e["name"], e["meaning"], e["origin"]) for e in config["meta"]["events"].values()] == [
        (event.name, event.meaning, event.origin) for event in machine.events
    ]
    assert [(g["name"], g["sentence"], g["code"]) for g in config["meta"]["guards"].values()] == [
        (guard.name, guard.sentence, guard.code) for guard in machine.guards.values()
    ]
    for kept, state in zip(config["states"].values(), machine.states, strict=True):
        meta = kept["meta"]
        assert kept["description"] == state.meaning
        kept_as = (
            "name",
            "kind",
            "group",
            "action",
            "write_ahead",
            "patience",
            "settles",
            "ends",
            "waits_for",
            "frees",
        )
        assert [meta[name] for name in kept_as] == [
            state.name, state.kind, state.group, state.action, state.write_ahead,
            state.patience, state.settles, state.ends, state.waits_for, state.frees,
        ]  # fmt: skip
        told = [t for answers in kept.get("on", {}).values() for t in answers]
        edges = [t for t in told if t["meta"]["outcome"] == "accepted"]
        leaving = [edge for edge in machine.transitions if edge.source == state.name]
        assert sorted((t["meta"]["id"], t["description"]) for t in edges) == sorted(
            (edge.id, edge.reason) for edge in leaving
        )
        assert (kept.get("type") == "final") == (state.kind == "final" and not leaving)
