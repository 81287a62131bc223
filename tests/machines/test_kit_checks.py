"""The exhaustive checks find nothing in a sound machine, and each kind of mistake in a broken one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from nutstate.machines.spec import Guard, Machine, Refusal, edges
from nutstate.review.kit import (
    BadMachine,
    TooManyGuards,
    cells,
    contradictions,
    differences,
    endless,
    explain,
    matrix,
    paths,
    simulate,
    tours,
    unreached,
)
from tests.machines.toy import ORDER, trapped, twins, two_faced, unreachable


def wrong(spec: Machine[Any]) -> list[str]:
    return [sentence for cell in matrix(spec) for sentence in contradictions(spec, cell)]


def test_a_sound_machine_passes() -> None:
    assert wrong(ORDER) == [] and unreached(ORDER) == () and endless(ORDER) == ()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"outcome": "absorbed"}, "outcome"),
        ({"next_state": "held"}, "next state"),
        ({"transition": "3.tick.open"}, "transition"),
        ({"effects": ("print_slip",)}, "effects"),
        ({"refusals": (Refusal("NOT_PAID", "x"),)}, "codes"),
    ],
)
def test_every_part_of_a_decision_is_compared(change: dict[str, Any], what: str) -> None:
    row = next(row for row in cells(ORDER) if row.decision.transition == "2.tick.open")
    assert differences(ORDER, row) == ()
    (sentence,) = differences(ORDER, attrs.evolve(row, decision=attrs.evolve(row.decision, **change)))
    assert sentence.startswith("tick in open with paid=yes, old=no: the machine decides " + what)


def test_broken_machines_are_found() -> None:
    assert any(
        "codes ['OTHER'], its declaration says ['NOT_PAID']" in sentence for sentence in wrong(two_faced())
    )
    assert any("effects ('a',), its declaration says ('b',)" in sentence for sentence in wrong(twins()))
    assert unreached(unreachable()) == ("lost",)
    assert endless(trapped()) == ("held",) and unreached(trapped()) == ()


def test_a_cell_with_too_many_guards_is_not_tried() -> None:
    many = tuple(Guard[Any](f"g{n}", "x", "X", lambda f: True) for n in range(17))
    spec = attrs.evolve(ORDER, transitions=edges("1", "begin", "none", "open", requires=many))
    with pytest.raises(TooManyGuards, match="17 guards: 131072 combinations"):
        contradictions(spec, matrix(spec)[0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"states": (), "transitions": ()}, "declares no states"),
        ({"transitions": edges("1", "begin", "none", "lost")}, "no state 'lost', which 1.begin.none names"),
        ({"transitions": edges("1", "begin", "lost", "open")}, "no state 'lost', which 1.begin.lost names"),
        ({"transitions": edges("1", "wish", "none", "open")}, "no event 'wish', which 1.wish.none names"),
    ],
)
def test_a_machine_that_names_what_it_does_not_declare_is_refused(change: dict[str, Any], words: str) -> None:
    spec = attrs.evolve(ORDER, **change)
    questions: list[Callable[[], object]] = [
        lambda: paths(spec), lambda: tours(spec), lambda: simulate(spec, seed=1), lambda: unreached(spec),
        lambda: simulate(spec, script=""), lambda: explain(spec, "none", "begin"), lambda: endless(spec),
    ]  # fmt: skip
    for question in questions:
        with pytest.raises(BadMachine, match=words):
            question()
