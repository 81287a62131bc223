"""SPIN explores the Promela model of a machine: it answers every case as the machine does, and the
properties hold. Where a machine is wrong, SPIN says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from nutstate.diagrams.exports import FORMATS, NotExportable, export
from nutstate.machines import CHECK
from nutstate.machines.registry import RELEASED
from nutstate.machines.spec import NONE, Event, Machine, State, edges
from tests.diagrams.oracles import spin
from tests.diagrams.oracles.expected import MISTAKES, disagreements, told_by
from tests.diagrams.oracles.odd import ODD

every_machine = pytest.mark.parametrize("machine", RELEASED, ids=lambda machine: machine.name)


@pytest.mark.oracle
@pytest.mark.parametrize("machine", [*RELEASED, ODD], ids=lambda machine: machine.name[:7])
def test_every_case_is_answered_as_declared(
    machine: Machine[Any], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    model = spin.compiled(export(machine, "promela"), tmp_path / "model")
    said = model.run("-c0")
    got = spin.cases(machine, said)
    assert disagreements(told_by(machine), got) == []
    if machine is not ODD:  # it leaves a final state
        assert "errors: 0" in said
    record_property("table", f"SPIN explored {len(got)} cases of {machine.name[:7]} as declared")


@pytest.mark.oracle
@every_machine
def test_nothing_gets_stuck_and_every_state_is_reached(machine: Machine[Any], tmp_path: Path) -> None:
    text = export(machine, "promela")
    assert spin.compiled(text, tmp_path / "moves", "MOVES").errors() == 0
    reach = spin.compiled(text, tmp_path / "reach", "REACH", claims=True)
    never = [state.name for state in machine.states if not reach.errors("-N", f"never_{state.name}")]
    assert never == []


@pytest.mark.oracle
@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_a_mistake_is_found(mistake: Callable[[Machine[Any]], Machine[Any]], tmp_path: Path) -> None:
    for number, machine in enumerate((ODD,) if "order" in mistake.__name__ else (ODD, CHECK)):
        model = spin.compiled(export(mistake(machine), "promela"), tmp_path / str(number))
        assert disagreements(told_by(machine), spin.cases(machine, model.run("-c0")))


@pytest.mark.oracle
def test_spin_finds_what_is_wrong_with_a_machine(tmp_path: Path) -> None:
    left = attrs.evolve(CHECK, transitions=(*CHECK.transitions, *edges("9", "recover", "clean", "resolved")))
    model = spin.compiled(export(left, "promela"), tmp_path / "left")
    assert "assertion violated" in model.run()

    unresolved = tuple(edge for edge in CHECK.transitions if edge.dest != "resolved")
    stuck = attrs.evolve(CHECK, transitions=unresolved)
    text = export(stuck, "promela")
    assert spin.compiled(text, tmp_path / "stuck").errors() == 0  # it goes on absorbing
    assert "invalid end state" in spin.compiled(text, tmp_path / "moves", "MOVES").run()
    reach = spin.compiled(text, tmp_path / "reach", "REACH", claims=True)
    assert reach.errors("-N", "never_resolved") == 0
    assert reach.errors("-N", "never_discrepant") == 1


def test_more_names_than_promela_knows_are_refused() -> None:
    many = attrs.evolve(CHECK, events=(*CHECK.events, *(Event(f"e{n}", "", "clock") for n in range(255))))
    with pytest.raises(NotExportable, match=f"{len(CHECK.events) + 255} events"):
        export(many, "promela")


def test_comments_cannot_be_ended_from_within() -> None:
    text = export(ODD, "promela")
    for line in text.splitlines():
        opened, closed = line.count("/*"), line.count("*/")
        assert opened == closed <= 1, line
    assert "\\\n" not in text


@every_machine
def test_effects_and_ids_are_told_beside_their_edges(machine: Machine[Any]) -> None:
    text = export(machine, "promela")
    for number, edge in enumerate(machine.transitions, 1):
        told = " / ".join((edge.id, *edge.effects))
        assert f"take({number}, s_{edge.dest}) /* {told} */" in text


def test_a_machine_without_events_is_no_model_but_drawn_all_the_same() -> None:
    bare: Machine[Any] = Machine("bare", 1, object, (State(NONE, "", kind="pseudo"),), (), ())
    with pytest.raises(NotExportable, match="no events"):
        export(bare, "promela")
    for name in FORMATS:
        if name != "promela":
            assert bare.content_hash in export(bare, name)


def test_without_spin_it_is_a_skip_that_says_so_and_a_failure_on_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="NOT RUN against SPIN: there is no spin"):
        spin.require_spin()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="SPIN must run on CI"):
        spin.require_spin()
