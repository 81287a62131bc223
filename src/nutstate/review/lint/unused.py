"""Rules about what is declared and never used."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from types import ModuleType
from typing import Any

from ...machines.spec import Guard, Machine
from .rules import Finding, finding


def unused_events(spec: Machine[Any]) -> Iterator[Finding]:
    """L40."""
    used = {edge.event for edge in spec.transitions}
    for state in spec.states:
        used |= {*state.absorbs, *(fixed.event for fixed in state.refuses)}
    for event in spec.events:
        if event.name not in used:
            yield finding("L40", spec.name, event.name, "no state says anything about it", _DROP)


def unused_own_words(spec: Machine[Any]) -> Iterator[Finding]:
    """L41 and L42 for the words that the machine itself declares."""
    written = {effect for edge in spec.transitions for effect in edge.effects}
    done = {state.action for state in spec.states}
    for code, words, used, what in (
        ("L41", spec.effects, written, "no edge names this effect"),
        ("L42", spec.actions, done, "no state names this action"),
    ):
        for word in words:
            if word.name not in used:
                yield finding(code, spec.name, word.name, what, _DROP)


def unused_words(
    specs: Collection[Machine[Any]],
    effects: Iterable[str] | None,
    actions: Iterable[str] | None,
    codes: Iterable[str] | None,
) -> Iterator[Finding]:
    """L41 to L43, for the vocabularies that are given and all machines together."""
    edges = [edge for spec in specs for edge in spec.transitions]
    states = [state for spec in specs for state in spec.states]
    written = {effect for edge in edges for effect in edge.effects}
    done = {state.action for state in states}
    told = {guard.code for spec in specs for guard in spec.guards.values()}
    told |= {fixed.code for state in states for fixed in state.refuses}
    for code, words, used, what in (
        ("L41", effects, written, "no edge names this effect"),
        ("L42", actions, done, "no state names this action"),
        ("L43", codes, told, "no guard and no fixed refusal names this code"),
    ):
        for name in words or ():
            if name not in used:
                yield finding(code, "", name, what, _DROP)


def unused_guards(module: ModuleType, specs: Iterable[Machine[Any]]) -> tuple[Finding, ...]:
    """L44: the guards a module holds and no edge of ``specs`` asks, in the module's order. A guard of the
    same name that lives elsewhere is another guard."""
    asked = [g for spec in specs for edge in spec.transitions for g in (*edge.requires, *edge.forbids)]
    home = module.__name__
    return tuple(
        finding("L44", "", f"{home}.{name}", "no edge asks this guard", _DROP)
        for name, guard in vars(module).items()
        if isinstance(guard, Guard) and not any(guard is one for one in asked)
    )


_DROP = "use it where it was meant to be used, or remove it"
