"""An explanation says exactly what ``step`` does, and says it in sentences."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from nutstate.machines import MELT, step
from nutstate.machines.registry import RELEASED
from nutstate.machines.spec import Guard, Machine, edges
from nutstate.review.kit import UnknownName, cells, explain, matrix, switched
from tests.machines.toy import OLD, ORDER, PAID, Facts, twins

MACHINES = [*RELEASED, ORDER]


@pytest.mark.parametrize("spec", MACHINES, ids=lambda spec: spec.name)
def test_it_says_what_step_decides_in_every_case(spec: Machine[Any]) -> None:
    for row in cells(spec):
        told, said = explain(spec, row.cell.state, row.cell.event, row.valuation), row.decision
        (only,) = told.possibilities
        assert (only.outcome, only.next_state, only.transition) == (
            said.outcome,
            said.next_state,
            said.transition,
        )
        assert only.refusals == said.refusals
        assert [edge.id for edge in told.edges if edge.taken] == (
            [said.transition] if said.transition else []
        )
        assert all(edge.taken is not None for edge in told.edges)


@pytest.mark.parametrize("spec", MACHINES, ids=lambda spec: spec.name)
def test_without_answers_every_possibility_is_told(spec: Machine[Any]) -> None:
    seen: dict[tuple[str, str], set[tuple[str, str | None]]] = {}
    codes: dict[tuple[str, str], set[str]] = {}
    for row in cells(spec):
        key = row.cell.state, row.cell.event
        seen.setdefault(key, set()).add((row.decision.outcome, row.decision.transition))
        codes.setdefault(key, set()).update(refusal.code for refusal in row.decision.refusals)
    machine = switched(spec)
    for cell in matrix(spec):
        key = cell.state, cell.event
        told = explain(spec, *key)
        assert {(p.outcome, p.transition) for p in told.possibilities} == seen[key]
        assert {refusal.code for p in told.possibilities for refusal in p.refusals} == codes[key]
        for possible in told.possibilities:
            facts = dict.fromkeys(cell.guards, False) | dict(possible.example)
            decision = step(machine, *key, facts)
            assert (decision.outcome, decision.transition) == (possible.outcome, possible.transition)
        assert told.text().startswith(f"{spec.name}: {cell.event} in {cell.state}\n")
        assert json.loads(json.dumps(told.as_data())) == told.as_data()


def test_some_answers_may_decide_alone() -> None:
    assert explain(ORDER, "open", "tick", {"paid": True}).outcome == "accepted"
    assert explain(ORDER, "open", "tick", {"paid": False}).outcome is None
    assert explain(ORDER, "open", "tick", {"old": False, "paid": False}).outcome == "absorbed"


def test_the_machines_own_facts_are_asked() -> None:
    told = explain(ORDER, "open", "tick", Facts(old=True))
    assert told.answers == (("paid", False), ("old", True))
    assert told.possibilities[0].next_state == "held"
    assert explain(ORDER, "open", "tick", Facts(paid="yes")).outcome == "absorbed", "only True is True"
    assert explain(MELT, "pending", "mint_paid", MELT.facts(quote_state="PAID")).outcome == "accepted"


def test_facts_that_are_a_mapping_are_the_machines_own() -> None:
    paid = Guard[dict[str, int]]("paid", "it is paid", "NOT_PAID", lambda facts: facts["sum"] == 5)
    begin = edges("1", "begin", "none", "open", requires=(paid,))
    spec: Machine[Any] = Machine("order", 1, dict, ORDER.states, ORDER.events, begin)
    assert explain(spec, "none", "begin", {"sum": 5}).outcome == "accepted"


def test_the_text_of_a_refusal_and_of_what_is_open() -> None:
    spec = attrs.evolve(
        ORDER,
        transitions=(
            *ORDER.transitions,
            *edges("8", "look", "packed", "held", requires=(PAID,), forbids=(OLD,)),
        ),
    )
    text = explain(spec, "packed", "look", {"paid": False, "old": True}).text()
    assert "Refused: packed refuses look." in text
    assert "  NOT_PAID: it does not hold that it is paid\n  NOT_OLD: it is old\n" in text
    assert "it must hold that it is paid: [paid]    no, so NOT_PAID" in text
    assert "it must not hold that it is old: [old]  yes, so NOT_OLD" in text
    open_text = explain(spec, "packed", "look").text()
    assert "  - accepted, to held by 8.look.packed, for example with paid=yes old=no" in open_text
    assert "  - refused (NOT_PAID, NOT_OLD), for example with paid=no" in open_text


def test_the_text_of_the_other_outcomes() -> None:
    accepted = explain(ORDER, "none", "begin").text()
    assert "Accepted: none -> open, by 1.begin.none." in accepted and "writes print_slip\n" in accepted
    assert "Next: send_reminder." in accepted
    assert (
        "Next, only after the state is committed: call_courier."
        in explain(ORDER, "open", "tick", {"paid": True}).text()
    )
    assert "it stays in packed" in explain(ORDER, "packed", "tick", {"old": False}).text()
    assert "Final: nothing leaves it." in explain(ORDER, "packed", "ship").text()
    assert (
        "Parked: it waits for a person."
        in explain(ORDER, "open", "tick", {"paid": False, "old": True}).text()
    )
    assert "Absorbed: tick is no news in done." in explain(ORDER, "done", "tick").text()
    assert "Refused: open always refuses ship." in explain(ORDER, "open", "ship").text()
    assert "Undefined: the table says nothing about begin in done." in explain(ORDER, "done", "begin").text()
    assert "Not asked here: old." in explain(ORDER, "none", "begin", {"old": True}).text()


def test_sentences_of_our_own_effects_and_actions_are_told() -> None:
    text = explain(MELT, "pending", "mint_paid", {"payment_proven": True}).text()
    assert "writes spend_inputs: mark the inputs spent" in text
    assert "Next: collect_change, fetch the change that is owed." in text


@pytest.mark.parametrize(
    ("names", "kind", "name"),
    [(("nowhere", "tick", None), "state", "nowhere"), (("open", "tock", None), "event", "tock"),
     (("open", "tick", {"payd": True}), "guard", "payd")],
)  # fmt: skip
def test_an_unknown_name_is_named(names: tuple[str, str, Any], kind: str, name: str) -> None:
    with pytest.raises(UnknownName, match=f"order has no {kind} '{name}'") as caught:
        explain(ORDER, *names)
    assert (caught.value.kind, caught.value.name) == (kind, name) and caught.value.known


@pytest.mark.parametrize("facts", [7, "paid", {"paid": 1}, {"paid": None}, MELT.facts()])
def test_other_facts_are_refused(facts: Any) -> None:
    with pytest.raises(TypeError):
        explain(ORDER, "open", "tick", facts)


def test_edges_that_share_an_id_are_told_apart() -> None:
    told = explain(twins(), "open", "tick", {"paid": False, "old": True})
    assert [edge.taken for edge in told.edges] == [False, True]
