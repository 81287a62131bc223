"""What the command line offers for an operation, its colour and its exit code follow from its machine."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from nutstate.cli.ends import Exit
from nutstate.cli.operators.render import COMMANDS, exit_code, next_steps, style_of, style_of_state
from nutstate.engine.api.handle import Handle
from nutstate.kinds import BUILT_IN
from nutstate.machines.registry import RELEASED
from nutstate.machines.spec import Machine, State
from nutstate.storage.records import Payment, Policy
from nutstate.storage.testing.records import make_operation

PLACES = [
    (machine, state)
    for machine in RELEASED
    if machine.name != "token"
    for state in machine.states
    if state.kind != "pseudo"
]
every_place = pytest.mark.parametrize(
    ("machine", "state"), PLACES, ids=[f"{machine.name}-{state.name}" for machine, state in PLACES]
)


class Commands:
    """A session of which only the spelling of commands is asked."""

    @staticmethod
    def command(text: str) -> str:
        return f"nutstate {text}"


def handle(kind: str, state: str, **fields: Any) -> Handle:
    engine: Any = SimpleNamespace(kinds=BUILT_IN)
    return Handle(engine, make_operation(kind=kind, state=state, **fields))


def steps(found: Handle) -> list[str]:
    session: Any = Commands()
    return [step.split()[1] for step in next_steps(session, found)]


@every_place
@pytest.mark.parametrize("two_step", [False, True])
def test_r433_only_what_has_an_edge_is_offered(machine: Machine[Any], state: State, two_step: bool) -> None:
    """R433: an event without an edge in the state is never offered, and what is offered can end a parked
    operation."""
    offered = steps(handle(machine.name, state.name, policy=Policy(two_step=two_step)))
    events = {words.split()[0]: event for event, words in COMMANDS.items()}
    sent = {events[word] for word in offered if word in events}
    if (machine.name, state.name) == ("mint", "expired"):
        sent -= {"resume"}  # it goes on as a new operation (row 0b)
    assert offered and all((state.name, event) in machine.cells for event in sent)
    if state.kind == "parked":
        assert sent & {event.name for event in machine.events if event.origin == "operator"}
    if state.waits_for == "caller":
        assert sent


def test_r433_what_is_offered_by_kind() -> None:
    """R433: no funding can be released; a hold whose proofs are gone can be recorded late, a payment once."""
    assert steps(handle("melt", "attention")) == ["show", "resume", "release", "write-off"]
    assert steps(handle("mint", "attention")) == ["show", "resume", "write-off"]
    assert steps(handle("melt", "discrepant")) == steps(handle("check", "discrepant")) == ["show", "resolve"]
    assert steps(handle("record", "contested")) == ["show", "record-melt", "write-off"]
    paid = Payment(paid_at=1, preimage=None, lightning_fee=1)
    assert steps(handle("record", "contested", payment=paid)) == ["show", "write-off"]
    assert steps(handle("record", "held")) == ["record-melt", "unhold"]
    assert steps(handle("melt", "prepared")) == ["recover", "show"]
    assert steps(handle("melt", "prepared", policy=Policy(two_step=True))) == ["confirm", "cancel"]


@every_place
def test_r434_colour_exit_code_and_outcome_follow_from_the_state(machine: Machine[Any], state: State) -> None:
    """R434"""
    found = handle(machine.name, state.name)
    wanted = {"good": "green", "unpaid": "yellow", "lost": "red"}.get(state.ends, "cyan")
    assert (
        style_of(machine, state.name)
        == style_of_state(found)
        == ("red" if state.kind == "parked" else wanted)
    )
    ended = Exit.REFUSED if state.kind == "final" else Exit.OPEN
    assert exit_code(found) == (Exit.DONE if state.ends == "good" else ended)
    assert exit_code(found, "unpaid") == (Exit.DONE if state.ends == "unpaid" else ended)
    waits = state.waits_for == "caller"
    assert exit_code(found, waiting=True) == (Exit.DONE if waits or state.ends == "good" else ended)
    outcomes = {"good": "paid", "unpaid": "unpaid", "lost": "parked"}
    going_on = "parked" if state.kind == "parked" else "unpaid" if state.frees else "open"
    assert found.outcome == outcomes.get(state.ends, going_on)


def test_r434_an_end_that_is_not_declared_frees_nothing() -> None:
    """R434: of an operation that ended without saying how, nothing is known: a person must look."""
    odd = handle("gift", "given", kind_of_state="final", ends="")
    assert odd.outcome == "parked" and exit_code(odd) == Exit.REFUSED
    good = attrs.evolve(odd, record=attrs.evolve(odd.record, ends="good"))
    assert good.outcome == "paid" and exit_code(good) == Exit.DONE and style_of(None, "given") == "cyan"
