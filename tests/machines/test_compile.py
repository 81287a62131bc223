"""How ``step`` uses the transitions library: every line of docs/machines.md about it, pinned."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import attrs
import pytest
import transitions
from attrs import frozen

from nutstate.machines.spec import NONE, Event, Guard, Machine, Refuse, State, Transition, edges
from nutstate.machines.step import compiled, step


@frozen(kw_only=True)
class Facts:
    a: Any = False
    b: Any = False


def guard(name: str) -> Guard[Facts]:
    return Guard(name, f"{name} holds", f"NOT_{name.upper()}", lambda f: getattr(f, name))


A, B = guard("a"), guard("b")
SPEC: Machine[Facts] = Machine(
    name="toy",
    version=1,
    facts=Facts,
    states=(
        State(NONE, "nothing", kind="pseudo"),
        State("on", "on", absorbs=("tick", "flip"), refuses=(Refuse("stop", "NEVER", "it never stops"),)),
        State("off", "off"),
        State("done", "done", kind="final"),
    ),
    events=(
        Event("go", "go", "caller"),
        Event("flip", "flip", "caller"),
        Event("tick", "tick", "clock"),
        Event("stop", "stop", "caller"),
    ),
    transitions=(
        *edges("1", "go", NONE, "on", requires=(A, B), effects=("x", "y"), reason="both"),
        *edges("2", "flip", "on", "off", requires=(A,)),
        *edges("3", "go", "off", "done", requires=(A,)),
        *edges("4", "go", "off", "on", forbids=(A,)),
    ),
)


def test_every_verdict_is_collected_not_the_first_failure() -> None:
    decision = step(SPEC, NONE, "go", Facts())
    assert [(v.guard, v.held) for v in decision.verdicts] == [("a", False), ("b", False)]
    assert [refusal.code for refusal in decision.refusals] == ["NOT_A", "NOT_B"]
    assert decision.next_state == NONE


def test_an_accepted_edge_names_itself_and_its_effects() -> None:
    decision = step(SPEC, NONE, "go", Facts(a=True, b=True))
    assert (decision.outcome, decision.next_state) == ("accepted", "on")
    assert (decision.transition, decision.effects) == ("1.go.none", ("x", "y"))


@pytest.mark.parametrize("truthy", [1, 2, "yes", [1], object(), None, [], 0, ""])
def test_only_true_is_true(truthy: object) -> None:
    """A guard that returns something else holds neither where required nor counts where forbidden."""
    assert step(SPEC, "off", "go", Facts(a=truthy)).next_state == "on"
    assert step(SPEC, NONE, "go", Facts(a=truthy, b=True)).outcome == "refused"


def test_twins_leave_no_hole() -> None:
    assert step(SPEC, "off", "go", Facts(a=True)).next_state == "done"
    assert step(SPEC, "off", "go", Facts(a=False)).next_state == "on"


def test_edges_are_tried_before_absorbing() -> None:
    assert step(SPEC, "on", "flip", Facts(a=True)).outcome == "accepted"
    absorbed = step(SPEC, "on", "flip", Facts())
    assert (absorbed.outcome, absorbed.next_state) == ("absorbed", "on")
    assert absorbed.verdicts[0].held is False
    assert step(SPEC, "on", "tick", Facts()).outcome == "absorbed"


def test_refused_and_undefined_differ() -> None:
    fixed = step(SPEC, "on", "stop", Facts())
    assert (fixed.outcome, fixed.refusals[0].code) == ("refused", "NEVER")
    assert step(SPEC, "done", "go", Facts(a=True)).outcome == "undefined"
    assert step(SPEC, "done", "no such event", Facts()).outcome == "undefined"


def test_an_unknown_state_is_an_error() -> None:
    with pytest.raises(KeyError):
        step(SPEC, "nowhere", "go", Facts())


def test_a_guard_that_raises_is_not_swallowed() -> None:
    def broken(facts: Facts) -> bool:
        raise ZeroDivisionError

    bad = attrs.evolve(
        SPEC, transitions=edges("1", "go", NONE, "on", requires=(attrs.evolve(A, predicate=broken),))
    )
    with pytest.raises(ZeroDivisionError):
        step(bad, NONE, "go", Facts())


def test_the_library_holds_no_model_and_no_auto_transitions() -> None:
    machine = compiled(SPEC)
    assert machine.models == []
    assert sorted(machine.events) == ["flip", "go"]
    assert compiled(SPEC) is machine


def test_threads_share_a_compiled_machine() -> None:
    wrong: list[object] = []

    def work(a: bool) -> None:
        for _ in range(300):
            decision = step(SPEC, "off", "go", Facts(a=a))
            if decision.next_state != ("done" if a else "on") or len(decision.verdicts) > 2:
                wrong.append(decision)

    threads = [threading.Thread(target=work, args=(n % 2 == 0,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_library_logger_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        step(SPEC, NONE, "go", Facts(a=True, b=True))
    assert not caplog.records
    assert transitions.__version__.startswith("0.9")


def test_the_content_hash_is_of_the_declaration() -> None:
    same = attrs.evolve(SPEC)
    assert same.content_hash == SPEC.content_hash and len(SPEC.content_hash) == 64
    for change in (
        {"version": 2},
        {"transitions": SPEC.transitions[:-1]},
        {"states": (*SPEC.states, State("extra", "x"))},
    ):
        assert attrs.evolve(SPEC, **change).content_hash != SPEC.content_hash


def test_step_is_pure() -> None:
    facts = Facts(a=True, b=True)
    first, second = step(SPEC, NONE, "go", facts), step(SPEC, NONE, "go", facts)
    assert first == second and facts == Facts(a=True, b=True)


@pytest.mark.parametrize(
    ("declare", "words"),
    [
        (lambda: State("s", "s", kind="terminal"), "State 's': kind is one of pseudo, live, parked, final, not"),  # type: ignore[arg-type]
        (lambda: Event("e", "e", "bank"), "Event 'e': origin is one of caller, engine, .*, not 'bank'"),  # type: ignore[arg-type]
        (lambda: State("s", "s", absorbs="tick"), "State 's': absorbs is a tuple, not the text 'tick'"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_a_word_nobody_knows_cannot_be_declared(declare: Callable[[], object], words: str) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        declare()


def test_a_lone_text_is_one_effect() -> None:
    row: tuple[Transition[Any], ...] = edges("1", "go", NONE, "on", effects="note_it")
    (edge,) = row
    assert edge.effects == ("note_it",)
