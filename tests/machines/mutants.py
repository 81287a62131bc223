"""Every small mistake that could be made in a declaration: each mutant is a machine with exactly one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any, TypeVar

import attrs
from attrs import frozen

from nutstate.machines.spec import Guard, Machine, State, Transition

T = TypeVar("T")
Edge = Transition[Any]
Change = tuple[str, Machine[Any]]
"""What was changed, and the machine with the change."""


@frozen
class Mutant:
    """A machine with one mistake. ``operator`` is the kind of mistake, ``what`` the place."""

    operator: str
    what: str
    spec: Machine[Any]


def drop_edge(spec: Machine[Any]) -> Iterator[Change]:
    for n, edge in enumerate(spec.transitions):
        yield edge.id, _edges(spec, _without(spec.transitions, n))


def redirect_edge(spec: Machine[Any]) -> Iterator[Change]:
    """To every other state."""
    for n, edge in enumerate(spec.transitions):
        for state in spec.states:
            if state.name != edge.dest:
                yield f"{edge.id} to {state.name}", _edge(spec, n, dest=state.name)


def move_edge(spec: Machine[Any]) -> Iterator[Change]:
    """To every other source."""
    for n, edge in enumerate(spec.transitions):
        for state in spec.states:
            if state.name != edge.source:
                yield f"{edge.id} from {state.name}", _edge(spec, n, source=state.name)


def rename_event(spec: Machine[Any]) -> Iterator[Change]:
    """To every other event."""
    for n, edge in enumerate(spec.transitions):
        for event in spec.events:
            if event.name != edge.event:
                yield f"{edge.id} on {event.name}", _edge(spec, n, event=event.name)


def swap_polarity(spec: Machine[Any]) -> Iterator[Change]:
    """``requires`` becomes ``forbids`` and the other way round, guard by guard."""
    for n, edge in enumerate(spec.transitions):
        for m, guard in enumerate(edge.requires):
            yield (
                f"{edge.id} {guard.name}",
                _edge(spec, n, requires=_without(edge.requires, m), forbids=(*edge.forbids, guard)),
            )
        for m, guard in enumerate(edge.forbids):
            yield (
                f"{edge.id} {guard.name}",
                _edge(spec, n, requires=(*edge.requires, guard), forbids=_without(edge.forbids, m)),
            )


def drop_guard(spec: Machine[Any]) -> Iterator[Change]:
    for n, edge, name, guards, m in _asked(spec):
        yield f"{edge.id} {guards[m].name}", _edge(spec, n, **{name: _without(guards, m)})


def other_guard(spec: Machine[Any]) -> Iterator[Change]:
    """The next guard of the machine in its place."""
    known = sorted(spec.guards.values(), key=lambda guard: guard.name)
    for n, edge, name, guards, m in _asked(spec):
        used = {guard.name for guard in (*edge.requires, *edge.forbids)}
        place = known.index(guards[m])
        after = [guard for guard in (*known[place:], *known[:place]) if guard.name not in used]
        for guard in after[:1]:
            changed = (*guards[:m], guard, *guards[m + 1 :])
            yield f"{edge.id} {guards[m].name} to {guard.name}", _edge(spec, n, **{name: changed})


def swap_guards(spec: Machine[Any]) -> Iterator[Change]:
    """Neighbours change places: the caller is told another reason first."""
    for n, edge in enumerate(spec.transitions):
        for m in range(len(edge.requires) - 1):
            yield f"{edge.id} {m}", _edge(spec, n, requires=_swapped(edge.requires, m, m + 1))


def drop_effect(spec: Machine[Any]) -> Iterator[Change]:
    for n, edge in enumerate(spec.transitions):
        for m, effect in enumerate(edge.effects):
            yield f"{edge.id} {effect}", _edge(spec, n, effects=_without(edge.effects, m))


def add_effect(spec: Machine[Any]) -> Iterator[Change]:
    """Every effect of the machine that an edge does not have."""
    known = dict.fromkeys(effect for edge in spec.transitions for effect in edge.effects)
    for n, edge in enumerate(spec.transitions):
        for effect in known:
            if effect not in edge.effects:
                yield f"{edge.id} {effect}", _edge(spec, n, effects=(*edge.effects, effect))


def swap_effects(spec: Machine[Any]) -> Iterator[Change]:
    """Neighbours change places: they are staged in the other order."""
    for n, edge in enumerate(spec.transitions):
        for m in range(len(edge.effects) - 1):
            yield f"{edge.id} {m}", _edge(spec, n, effects=_swapped(edge.effects, m, m + 1))


def unguarded_twin(spec: Machine[Any]) -> Iterator[Change]:
    """The same edge once more, without guards, before and behind it; only where there are guards."""
    for n, edge in enumerate(spec.transitions):
        if edge.requires or edge.forbids:
            twin = attrs.evolve(edge, id=f"x.{edge.event}.{edge.source}", requires=(), forbids=())
            for where, m in (("before", n), ("behind", n + 1)):
                table = (*spec.transitions[:m], twin, *spec.transitions[m:])
                yield f"{edge.id} {where}", _edges(spec, table)


def swap_edges(spec: Machine[Any]) -> Iterator[Change]:
    """Every two edges of one cell."""
    for members in spec.cells.values():
        for one, other in combinations(members, 2):
            n, m = spec.transitions.index(one), spec.transitions.index(other)
            yield f"{one.id} {other.id}", _edges(spec, _swapped(spec.transitions, n, m))


def drop_absorb(spec: Machine[Any]) -> Iterator[Change]:
    for n, state in enumerate(spec.states):
        for m, event in enumerate(state.absorbs):
            yield f"{state.name} {event}", _state(spec, n, absorbs=_without(state.absorbs, m))


def add_absorb(spec: Machine[Any]) -> Iterator[Change]:
    """Every event that a state does not absorb."""
    for n, state in enumerate(spec.states):
        for event in spec.events:
            if event.name not in state.absorbs:
                yield f"{state.name} {event.name}", _state(spec, n, absorbs=(*state.absorbs, event.name))


def drop_refusal(spec: Machine[Any]) -> Iterator[Change]:
    for n, state in enumerate(spec.states):
        for m, fixed in enumerate(state.refuses):
            yield f"{state.name} {fixed.event}", _state(spec, n, refuses=_without(state.refuses, m))


def other_code(spec: Machine[Any]) -> Iterator[Change]:
    """A fixed refusal with another code."""
    for n, state in enumerate(spec.states):
        for m, fixed in enumerate(state.refuses):
            changed = (
                *state.refuses[:m],
                attrs.evolve(fixed, code="OWNER_MISMATCH"),
                *state.refuses[m + 1 :],
            )
            yield f"{state.name} {fixed.event}", _state(spec, n, refuses=changed)


def other_guard_code(spec: Machine[Any]) -> Iterator[Change]:
    """A guard that refuses with another code, on every edge."""
    for name in spec.guards:

        def recoded(guards: tuple[Guard[Any], ...], name: str = name) -> tuple[Guard[Any], ...]:
            return tuple(attrs.evolve(g, code="POLICY") if g.name == name else g for g in guards)

        table = tuple(
            attrs.evolve(edge, requires=recoded(edge.requires), forbids=recoded(edge.forbids))
            for edge in spec.transitions
        )
        yield name, _edges(spec, table)


def flip_write_ahead(spec: Machine[Any]) -> Iterator[Change]:
    for n, state in enumerate(spec.states):
        yield state.name, _state(spec, n, write_ahead=not state.write_ahead)


def change_kind(spec: Machine[Any]) -> Iterator[Change]:
    """To every other kind."""
    for n, state in enumerate(spec.states):
        for kind in ("pseudo", "live", "parked", "final"):
            if kind != state.kind:
                yield f"{state.name} {kind}", _state(spec, n, kind=kind)


def change_action(spec: Machine[Any]) -> Iterator[Change]:
    """To none, and to every other action of the machine."""
    known = dict.fromkeys([None, *(state.action for state in spec.states)])
    for n, state in enumerate(spec.states):
        for action in known:
            if action != state.action:
                yield f"{state.name} {action}", _state(spec, n, action=action)


def change_origin(spec: Machine[Any]) -> Iterator[Change]:
    """To every other origin."""
    for n, event in enumerate(spec.events):
        for origin in ("caller", "engine", "mint", "clock", "operator", "restart"):
            if origin != event.origin:
                changed: Any = attrs.evolve(event, origin=origin)
                events = (*spec.events[:n], changed, *spec.events[n + 1 :])
                yield f"{event.name} {origin}", attrs.evolve(spec, events=events)


def drop_event(spec: Machine[Any]) -> Iterator[Change]:
    for n, event in enumerate(spec.events):
        yield event.name, attrs.evolve(spec, events=_without(spec.events, n))


def change_end(spec: Machine[Any]) -> Iterator[Change]:
    """To every other end; of states that are not final to each of them."""
    for n, state in enumerate(spec.states):
        for ends in ("", "good", "unpaid", "lost"):
            if ends != state.ends:
                yield f"{state.name} {ends}", _state(spec, n, ends=ends)


def change_waits_for(spec: Machine[Any]) -> Iterator[Change]:
    for n, state in enumerate(spec.states):
        for waits_for in ("", "caller", "confirmation"):
            if waits_for != state.waits_for:
                yield f"{state.name} {waits_for}", _state(spec, n, waits_for=waits_for)


def flip_settles(spec: Machine[Any]) -> Iterator[Change]:
    for n, state in enumerate(spec.states):
        yield state.name, _state(spec, n, settles=not state.settles)


def flip_frees(spec: Machine[Any]) -> Iterator[Change]:
    for n, state in enumerate(spec.states):
        yield state.name, _state(spec, n, frees=not state.frees)


def change_level(spec: Machine[Any]) -> Iterator[Change]:
    """Every effect with every other level."""
    for n, effect in enumerate(spec.effects):
        for level in ("STANDARD", "HIGH", "CRITICAL"):
            if level != effect.level:
                changed: Any = attrs.evolve(effect, level=level)
                words = (*spec.effects[:n], changed, *spec.effects[n + 1 :])
                yield f"{effect.name} {level}", attrs.evolve(spec, effects=words)


def flip_action_facet(spec: Machine[Any]) -> Iterator[Change]:
    for n, action in enumerate(spec.actions):
        for facet in ("reads_only", "asks_no_mint", "reads_back"):
            flipped: dict[str, Any] = {facet: not getattr(action, facet)}
            changed = attrs.evolve(action, **flipped)
            words = (*spec.actions[:n], changed, *spec.actions[n + 1 :])
            yield f"{action.name} {facet}", attrs.evolve(spec, actions=words)


OPERATORS: tuple[Callable[[Machine[Any]], Iterator[Change]], ...] = (
    drop_edge, redirect_edge, move_edge, rename_event, unguarded_twin, swap_edges,
    swap_polarity, drop_guard, other_guard, swap_guards,
    drop_effect, add_effect, swap_effects,
    drop_absorb, add_absorb, drop_refusal, other_code, other_guard_code,
    flip_write_ahead, change_kind, change_action, change_origin, drop_event,
    change_end, change_waits_for, flip_settles, flip_frees, change_level, flip_action_facet,
)  # fmt: skip


def mutants(spec: Machine[Any]) -> Iterator[Mutant]:
    """Every mutant of every operator."""
    for operator in OPERATORS:
        for what, changed in operator(spec):
            yield Mutant(operator.__name__, what, changed)


def _asked(spec: Machine[Any]) -> Iterator[tuple[int, Edge, str, tuple[Guard[Any], ...], int]]:
    """Every guard of every edge: the edge and its place, the list and the place in it."""
    for n, edge in enumerate(spec.transitions):
        for name, guards in (("requires", edge.requires), ("forbids", edge.forbids)):
            for m in range(len(guards)):
                yield n, edge, name, guards, m


def _without(values: tuple[T, ...], n: int) -> tuple[T, ...]:
    return (*values[:n], *values[n + 1 :])


def _swapped(values: tuple[T, ...], n: int, m: int) -> tuple[T, ...]:
    found = list(values)
    found[n], found[m] = found[m], found[n]
    return tuple(found)


def _edges(spec: Machine[Any], table: tuple[Edge, ...]) -> Machine[Any]:
    return attrs.evolve(spec, transitions=table)


def _edge(spec: Machine[Any], n: int, **changes: Any) -> Machine[Any]:
    """The table with one edge changed; its id goes with its event and source, as ``edges`` would say."""
    edge = spec.transitions[n]
    changed = attrs.evolve(edge, **changes)
    row = edge.id.removesuffix(f".{edge.event}.{edge.source}")
    changed = attrs.evolve(changed, id=f"{row}.{changed.event}.{changed.source}")
    return _edges(spec, (*spec.transitions[:n], changed, *spec.transitions[n + 1 :]))


def _state(spec: Machine[Any], n: int, **changes: Any) -> Machine[Any]:
    changed: State = attrs.evolve(spec.states[n], **changes)
    return attrs.evolve(spec, states=(*spec.states[:n], changed, *spec.states[n + 1 :]))
