"""What a refusal says (R454)."""

from __future__ import annotations

import re
from typing import Any

import attrs
import pytest

from nutstate.engine.errors import refusal_error
from nutstate.machines.melt.facts import MeltFacts
from nutstate.machines.melt.table import MELT
from nutstate.machines.registry import RELEASED
from nutstate.machines.spec import Guard
from nutstate.machines.step import step
from nutstate.review.lint import lint

GUARDS = {f"{spec.name}.{name}": guard for spec in RELEASED for name, guard in spec.guards.items()}


def test_an_error_says_what_is_wrong() -> None:
    """R454: the sentence is the state of things, not the rule that was broken."""
    facts = MeltFacts(now=5, quote_expires_at=5, quoted_amount=3, invoice_amount=3, amount=3, amount_max=9,
                      quoted_unit="sat", unit="sat")  # fmt: skip
    refused = step(MELT, "requested", "quote_received", facts)
    error = refusal_error(refused.refusals)
    assert (error.message, error.code) == ("the quote has expired", "QUOTE_EXPIRED")


def test_a_forbidden_guard_tells_its_own_sentence() -> None:
    """R454: it holds where it must not, so its sentence is what is wrong."""
    paid = Guard[Any](
        "paid", "the mint says PAID", "PAID_ALREADY", bool, says_no="the mint does not say PAID"
    )
    assert paid.refusal(required=False).sentence == "the mint says PAID"
    assert paid.refusal(required=True).sentence == "the mint does not say PAID"


def test_a_guard_without_a_second_sentence_denies_the_first() -> None:
    """R454: the default."""
    refusal = Guard[Any]("paid", "the mint says PAID", "NOT_PAID", bool).refusal(required=True)
    assert (refusal.code, refusal.sentence) == ("NOT_PAID", "it does not hold that the mint says PAID")


@pytest.mark.parametrize("name", GUARDS)
def test_every_guard_of_ours_says_no_in_its_own_words(name: str) -> None:
    """R454: two different sentences, each with a subject, no pronoun at the beginning of the first one."""
    guard = GUARDS[name]
    assert guard.says_no and guard.says_no != guard.sentence
    for sentence in (guard.sentence, guard.says_no):
        assert sentence[0].islower() and not sentence.endswith("."), sentence
        assert not re.match(r"(what|that|not|must)\b", sentence), sentence
    assert not guard.sentence.startswith("it ")


def test_the_second_sentence_belongs_to_the_declaration() -> None:
    """R454: it is stored with the machine, and two guards of one name may not differ in it."""
    guard = MELT.guards["quote_unexpired"]
    told = {item["name"]: item["says_no"] for item in MELT.as_data()["guards"]}
    assert told["quote_unexpired"] == guard.says_no
    first, *others = MELT.transitions
    other = attrs.evolve(guard, says_no="it is too late")
    spec = attrs.evolve(MELT, transitions=(attrs.evolve(first, requires=(other,)), *others))
    assert [f.where for f in lint((spec,)) if f.code == "L07"] == ["quote_unexpired"]
