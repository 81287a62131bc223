"""The page decides with a reading of its own; it must be Python's, for every state, event and valuation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import pytest
from attrs import evolve

from nutstate.diagrams.page import document, page
from nutstate.machines.registry import latest, names
from nutstate.machines.spec import Machine, Transition
from nutstate.review.kit import Row, cells, matrix
from tests.browser.chromium import Shown

MELT = latest("melt")


@cache
def decided(machine: Machine[Any]) -> tuple[Row, ...]:
    return tuple(cells(machine))


def asked(place: int, row: Row) -> list[Any]:
    return [place, row.cell.state, row.cell.event, dict(row.valuation)]


def expected(row: Row) -> dict[str, Any]:
    decision = row.decision
    return {
        "outcome": decision.outcome,
        "next": decision.next_state,
        "transition": decision.transition,
        "effects": list(decision.effects),
        "verdicts": [attrs.asdict(verdict) for verdict in decision.verdicts],
        "refusals": [attrs.asdict(refusal) for refusal in decision.refusals],
    }


def differences(view: Shown, machines: Sequence[Machine[Any]]) -> tuple[int, list[list[Any]]]:
    """How many cases the page was asked, and those in which it disagrees with Python."""
    rows = [(place, row) for place, machine in enumerate(machines) for row in decided(machine)]
    cases = [asked(place, row) for place, row in rows]
    answers = view.page.evaluate("cases => cases.map(one => nutstateReview.decide(...one))", cases)
    wrong = [
        case for case, (_, row), answer in zip(cases, rows, answers, strict=True) if answer != expected(row)
    ]
    return len(cases), wrong


def test_every_answer_is_pythons(view: Shown, released: Path) -> None:
    view.see(released)
    machines = [latest(name) for name in names()]
    number, wrong = differences(view, machines)
    assert number == sum(2 ** len(cell.guards) for machine in machines for cell in matrix(machine))
    assert number > 2000
    assert wrong == []


def reversed_cells(machine: Machine[Any]) -> Machine[Any]:
    return evolve(machine, transitions=tuple(reversed(machine.transitions)))


def without_absorbing(machine: Machine[Any]) -> Machine[Any]:
    return evolve(machine, states=tuple(evolve(state, absorbs=()) for state in machine.states))


def one_polarity(machine: Machine[Any]) -> Machine[Any]:
    def turned(edge: Transition[Any]) -> Transition[Any]:
        if edge.id != "13.mint_unpaid.paying":
            return edge
        return evolve(edge, requires=edge.forbids, forbids=edge.requires)

    return evolve(machine, transitions=tuple(turned(edge) for edge in machine.transitions))


@pytest.mark.parametrize("planted", [reversed_cells, without_absorbing, one_polarity])
def test_another_table_is_found_out(view: Shown, tmp_path: Path, planted: Any) -> None:
    (tmp_path / "page.html").write_text(page([planted(MELT)]), encoding="utf-8")
    view.see(tmp_path / "page.html")
    assert differences(view, [MELT])[1]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("agrees = agrees && held === required", "agrees = held === required"),
        (
            'if (resting.absorbs.includes(event)) return answer("absorbed"',
            'if (false) return answer("absorbed"',
        ),
        ("holds.get(guard) === true", "holds.get(guard) !== false && edges.length < 2"),
        ("found.has(name)) continue", "found.has(name)) break"),
    ],
)
def test_another_script_is_found_out(
    view: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, right: str, wrong: str
) -> None:
    script = document._script()
    assert script.count(right) == 1
    monkeypatch.setattr(document, "_script", lambda: script.replace(right, wrong))
    (tmp_path / "page.html").write_text(page([MELT]), encoding="utf-8")
    view.see(tmp_path / "page.html")
    assert differences(view, [MELT])[1]


def test_what_try_it_shows_is_the_answer(view: Shown, released: Path) -> None:
    """The panel, not only the function: a third of the cells of melt, with no guard holding and with all."""
    view.see(released)
    rows = [
        row
        for row in decided(MELT)
        if len(set(row.valuation.values())) < 2 and row.decision.outcome != "undefined"
    ][::3]
    seen = view.page.evaluate(
        """asked => asked.map(([state, event, bits]) => {
             const parts = ["melt", "try", state, event, ...(bits ? [bits] : [])];
             history.replaceState(null, "", "#" + parts.join("/"));
             dispatchEvent(new HashChangeEvent("hashchange"));
             const { outcome, next } = document.querySelector(".answer").dataset;
             const codes = [...document.querySelectorAll(".answer .refusals .refusal")];
             return [outcome, next, codes.map(code => code.textContent)];
           })""",
        [
            [row.cell.state, row.cell.event, "".join("01"[held] for held in row.valuation.values())]
            for row in rows
        ],
    )
    wanted = [
        [row.decision.outcome, row.decision.next_state, [r.code for r in row.decision.refusals]]
        for row in rows
    ]
    assert len(rows) > 100
    assert {row.decision.outcome for row in rows} == {"accepted", "absorbed", "refused"}
    assert seen == wanted
