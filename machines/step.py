"""``step``: one event, decided by the ``transitions`` library on a throwaway cursor. Pure."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any, Generic, TypeVar

import transitions as _fsm
from attrs import define, field

from .spec import Decision, Machine, Refusal, Transition, Verdict

F = TypeVar("F")

# The library logs reprs of callbacks, and a repr can hold whatever a closure holds.
logging.getLogger("transitions").setLevel(logging.CRITICAL + 1)


@define(eq=False, repr=False)
class _Cursor(Generic[F]):
    """The progress of one decision; made for one trigger and thrown away."""

    state: str
    facts: F
    verdicts: list[Verdict] = field(factory=list)
    taken: str | None = None


class _Condition(_fsm.core.Condition):
    """Asks a Guard and notes the answer. ``target`` is True for requires, False for forbids."""

    def check(self, event_data: Any) -> bool:
        ask: Any = self.func
        guard, cursor = ask.guard, event_data.model
        held = guard.holds(cursor.facts)
        cursor.verdicts.append(Verdict(event_data.transition.spec_id, guard.name, self.target, held))
        return bool(held == self.target)


class _Edge(_fsm.core.Transition):
    """A library transition that asks **all** its guards instead of stopping at the first failure."""

    condition_cls = _Condition
    spec_id: str

    def _eval_conditions(self, event_data: Any) -> bool:
        passed = [condition.check(event_data) for condition in self.conditions]
        if all(passed):
            event_data.model.taken = self.spec_id
            return True
        return False

    def execute(self, event_data: Any) -> bool:
        # Without the library's callbacks on the way: no table has any, and a throwaway cursor has no use for
        # them.
        if not self._eval_conditions(event_data):
            return False
        event_data.model.state = self.dest
        return True


class _Machine(_fsm.Machine):
    transition_cls = _Edge


class _Ask:
    """Carries a guard through the library, which wants a callable as condition."""

    __slots__ = ("guard",)

    def __init__(self, guard: Any) -> None:
        self.guard = guard

    def __call__(self, event_data: Any) -> bool:
        return bool(self.guard.holds(event_data.model.facts))


@lru_cache(maxsize=64)
def compiled(spec: Machine[Any]) -> _fsm.Machine:
    """The library's machine for a spec, built once. It holds no model, so threads can share it."""
    machine = _Machine(
        model=None,
        states=[state.name for state in spec.states],
        initial=spec.states[0].name,
        auto_transitions=False,
        send_event=True,
        queued=False,
    )
    for edge in spec.transitions:
        machine.add_transition(
            edge.event,
            edge.source,
            edge.dest,
            conditions=[_Ask(guard) for guard in edge.requires],
            unless=[_Ask(guard) for guard in edge.forbids],
        )
        added: Any = machine.events[edge.event].transitions[edge.source][-1]
        added.spec_id = edge.id
    return machine


def step(spec: Machine[F], state: str, event: str, facts: F) -> Decision:
    """Decide one event. Nothing is changed anywhere; the caller commits the decision or drops it.

    ``accepted``: an edge's guards all agree. ``absorbed``: the state takes note and stays.
    ``refused``: the cell exists and its guards (or a fixed refusal) say no.
    ``undefined``: the table has nothing to say about this event in this state.
    Raises KeyError for a state the machine does not have.
    """
    declared = spec.state(state)
    edges = spec.cells.get((state, event), ())
    verdicts: tuple[Verdict, ...] = ()
    if edges:
        cursor = _Cursor(state, facts)
        compiled(spec).events[event].trigger(cursor)
        verdicts = tuple(cursor.verdicts)
        if cursor.taken is not None:
            taken = next(edge for edge in edges if edge.id == cursor.taken)
            return Decision(
                spec.name, state, event, "accepted", cursor.state, taken.id, taken.effects, verdicts
            )
    if event in declared.absorbs:
        return Decision(spec.name, state, event, "absorbed", state, verdicts=verdicts)
    for fixed in declared.refuses:
        if fixed.event == event:
            refusal = (Refusal(fixed.code, fixed.sentence),)
            return Decision(spec.name, state, event, "refused", state, verdicts=verdicts, refusals=refusal)
    if edges:
        return Decision(
            spec.name, state, event, "refused", state, verdicts=verdicts, refusals=_why(spec, edges, verdicts)
        )
    return Decision(spec.name, state, event, "undefined", state)


def _why(
    spec: Machine[F], edges: tuple[Transition[F], ...], verdicts: tuple[Verdict, ...]
) -> tuple[Refusal, ...]:
    """The failed guards in the order the table lists them, each once."""
    found: dict[tuple[str, bool], Refusal] = {}
    for verdict in verdicts:
        if not verdict.passed:
            guard = spec.guards[verdict.guard]
            found.setdefault((guard.name, verdict.required), guard.refusal(verdict.required))
    return tuple(found.values())
