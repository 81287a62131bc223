"""Every small mistake in a declaration is noticed, and not only because the table's hash is on record.

Three killers that know nothing of the hash: ``rows`` (the tables written a second time by hand), ``lint``
(a new error or warning) and ``claims`` (a promise that is broken). Rows kill every mutant; the other two
need no second table, so what they kill is counted for a covering choice, and may not shrink."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import Any

import attrs
import pytest

from nutstate.machines import TOKEN
from nutstate.machines.registry import RELEASED
from nutstate.machines.spec import Machine
from nutstate.review.lint import lint
from tests.machines.claims import broken
from tests.machines.mutants import OPERATORS, Mutant, mutants
from tests.machines.notation import differences
from tests.machines.rows import ROWS

EVERYWHERE = (
    "redirect_edge",
    "move_edge",
    "rename_event",
    "add_effect",
    "add_absorb",
    "change_action",
    "change_origin",
)
"""Operators that try every state, event, effect, action or origin in every place."""

EVERY_NTH = 41
"""Of those, lint and the claims are asked about one in so many."""

KILLED_WITHOUT_ROWS = {
    "token": 0.60,
    "melt": 0.60,
    "record": 0.70,
    "mint": 0.62,
    "swap": 0.60,
    "receive": 0.60,
    "deposit": 0.55,
    "check": 0.80,
}
"""The least share of the choice that lint or a claim kills."""


@cache
def made(name: str) -> tuple[Mutant, ...]:
    return tuple(mutants(next(spec for spec in RELEASED if spec.name == name)))


def chosen(name: str) -> list[Mutant]:
    """Every mutant of the local operators (one in three where there are very many), and every nth of
    those that try everything everywhere."""
    everywhere = [m for m in made(name) if m.operator in EVERYWHERE]
    local = [m for m in made(name) if m.operator not in EVERYWHERE]
    return local[:: 3 if len(local) > 1000 else 1] + everywhere[::EVERY_NTH]


def shouted(spec: Machine[Any]) -> set[tuple[str, ...]]:
    return {(f.code, f.severity, f.where, f.sentence) for f in lint((spec,)) if f.severity != "note"}


def by_operator(found: Iterable[tuple[Mutant, bool]]) -> str:
    """Killed of made, operator by operator, for a person."""
    killed, every = Counter[str](), Counter[str]()
    for mutant, dead in found:
        every[mutant.operator] += 1
        killed[mutant.operator] += dead
    return "\n".join(f"{name:<32} {killed[name]:>5} of {every[name]:>5}" for name in every)


@pytest.mark.parametrize("spec", RELEASED, ids=lambda spec: spec.name)
def test_the_declaration_is_what_was_specified(spec: Machine[Any]) -> None:
    assert differences(spec, ROWS[spec.name]) == []


@pytest.mark.parametrize("spec", RELEASED, ids=lambda spec: spec.name)
def test_the_declaration_keeps_every_promise(spec: Machine[Any]) -> None:
    assert broken(spec) is None


@pytest.mark.slow
@pytest.mark.parametrize("spec", RELEASED, ids=lambda spec: spec.name)
def test_every_mutant_is_killed_by_the_second_table(spec: Machine[Any]) -> None:
    assert not differences(spec, ROWS[spec.name]), "else a mutant is killed by what is wrong without it"
    found = [(mutant, bool(differences(mutant.spec, ROWS[spec.name]))) for mutant in made(spec.name)]
    alive = [f"{mutant.operator}: {mutant.what}" for mutant, dead in found if not dead]
    assert not alive, f"{alive}\n{by_operator(found)}"
    assert len(found) >= 20 * len(spec.transitions), by_operator(found)


@pytest.mark.slow
@pytest.mark.parametrize("spec", RELEASED, ids=lambda spec: spec.name)
def test_every_mutant_is_also_caught_by_the_golden_record(spec: Machine[Any]) -> None:
    same = [f"{m.operator}: {m.what}" for m in chosen(spec.name) if m.spec.content_hash == spec.content_hash]
    assert not same


@pytest.mark.slow
@pytest.mark.parametrize("spec", RELEASED, ids=lambda spec: spec.name)
def test_most_mutants_need_no_second_table(spec: Machine[Any]) -> None:
    assert broken(spec) is None
    before = shouted(spec)
    found = [(m, bool(broken(m.spec) or shouted(m.spec) - before)) for m in chosen(spec.name)]
    share = sum(dead for _, dead in found) / len(found)
    assert share >= KILLED_WITHOUT_ROWS[spec.name], f"{share:.3f}\n{by_operator(found)}"


def test_every_operator_makes_mutants_that_differ_from_their_machine() -> None:
    operators = {mutant.operator for spec in RELEASED for mutant in made(spec.name)}
    assert operators == {operator.__name__ for operator in OPERATORS}
    assert all(m.spec.as_data() != TOKEN.as_data() for m in made("token"))


def test_a_table_that_says_the_same_in_other_words_is_no_difference() -> None:
    told = attrs.evolve(TOKEN.transitions[0], reason="other words")
    assert differences(attrs.evolve(TOKEN, transitions=(told, *TOKEN.transitions[1:])), ROWS["token"]) == []
