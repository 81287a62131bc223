"""Scripts are played, told back, and refused with the line that is wrong."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from nutstate.machines.registry import RELEASED, latest
from nutstate.machines.spec import Event, Machine, edges
from nutstate.review.kit import Line, ScriptError, simulate
from nutstate.review.kit.script import Step
from tests.machines.toy import ORDER

SCRIPT = """
# an order that is paid late
begin
tick            # nothing happens
tick old=yes    # somebody must look
look
tick  paid=yes old=no
ship
tick
"""


def test_a_script_is_played_line_by_line() -> None:
    trace = simulate(ORDER, script=SCRIPT)
    said = [(p.decision.outcome, p.decision.next_state) for p in trace.steps]
    assert said == [
        ("accepted", "open"), ("absorbed", "open"), ("accepted", "held"), ("accepted", "open"),
        ("accepted", "packed"), ("accepted", "done"), ("absorbed", "done"),
    ]  # fmt: skip
    assert trace.state == "done"
    assert simulate(ORDER, script="").state == "none"


def test_steps_may_be_given_without_text() -> None:
    steps: list[Step] = ["begin", ("tick", {"paid": True}), Line("ship")]
    assert simulate(ORDER, script=steps).state == "done"


def test_the_text_of_a_trace_is_a_script_of_it() -> None:
    trace = simulate(ORDER, script=SCRIPT)
    assert simulate(ORDER, script=trace.text()) == trace
    assert trace.text().splitlines() == [
        "# order, version 1: none -> done, 7 steps",
        "begin                 # none -> open by 1.begin.none",
        "tick                  # open, absorbed",
        "tick old=yes          # open -> held by 3.tick.open",
        "look                  # held -> open by 6.look.held",
        "tick paid=yes old=no  # open -> packed by 2.tick.open",
        "ship                  # packed -> done by 5.ship.packed",
        "tick                  # done, absorbed",
    ]
    refused = simulate(ORDER, script="begin\nship").text()
    assert refused.endswith("# open, refused: TOO_EARLY\n")


@pytest.mark.parametrize("spec", [*RELEASED, ORDER], ids=lambda spec: spec.name)
def test_a_walk_is_repeated_by_its_seed_and_by_its_text(spec: Machine[Any]) -> None:
    traces = [simulate(spec, seed=seed, steps=40) for seed in range(30)]
    for seed, trace in enumerate(traces):
        assert simulate(spec, seed=seed, steps=40) == trace
        assert simulate(spec, script=trace.text()) == trace
        assert json.loads(json.dumps(trace.as_data())) == trace.as_data()
        assert len(trace.steps) <= 40
    assert len({trace.text() for trace in traces}) > 1


def test_walks_go_far_and_meet_every_outcome() -> None:
    melt = latest("melt")
    traces = [simulate(melt, seed=seed, steps=60) for seed in range(300)]  # side roads are rarely met
    assert {p.decision.outcome for t in traces for p in t.steps} == {
        "accepted",
        "refused",
        "absorbed",
        "undefined",
    }
    assert {p.decision.state for t in traces for p in t.steps} == {edge.source for edge in melt.transitions}
    assert max(len(t.steps) for t in traces) <= 60


def test_a_walk_is_the_same_in_every_release_of_python() -> None:
    assert [p.line.text() for p in simulate(ORDER, seed=1, steps=6).steps] == WALK


WALK = ["begin", "tick paid=yes old=no", "tick old=no", "begin", "tick old=no", "begin"]


@pytest.mark.parametrize(
    ("script", "line", "words"),
    [
        ("begin\n\n# x\nbegn", 4, "no event 'begn'"),
        ("begin payd=yes", 1, "no guard 'payd'"),
        ("begin paid=maybe", 1, "'paid=maybe' is not GUARD=yes or GUARD=no"),
        ("begin paid", 1, "'paid' is not"),
        ("begin =yes", 1, "'=yes' is not GUARD"),
        ("begin\ntick paid=yes paid=no", 2, "answered twice"),
        (["begin", ("tick", {"paid": 1})], 2, "True or False, not 1"),
        (["begin", ("tick",)], 2, "a step is"),
        (["begin", 7], 2, "a step is"),
    ],
)
def test_a_bad_line_is_named(script: Any, line: int, words: str) -> None:
    with pytest.raises(ScriptError, match=words) as caught:
        simulate(ORDER, script=script)
    assert caught.value.line == line
    assert str(caught.value).startswith(f"line {line}: ")


def test_an_unknown_name_comes_with_those_that_are_known() -> None:
    with pytest.raises(ScriptError) as caught:
        simulate(ORDER, script="tick pay=yes")
    assert (caught.value.unknown, caught.value.known) == ("pay", ("old", "paid"))


@pytest.mark.parametrize("given", [{}, {"script": "", "seed": 1}, {"seed": 1, "steps": -1}])
def test_a_script_or_a_seed(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="give a script, or a seed"):
        simulate(ORDER, **given)


@pytest.mark.parametrize("name", ["two words", "#1", "a\u2028b", ""])
def test_a_name_that_no_script_can_say_is_refused(name: str) -> None:
    spec = attrs.evolve(
        ORDER, events=(Event(name, "x", "caller"),), transitions=edges("1", name, "none", "open")
    )
    trace = simulate(spec, script=[(name, {})])
    assert trace.state == "open"
    with pytest.raises(ValueError, match="cannot be written in a script"):
        trace.text()
