"""Rules about names: unknown, double, or with two meanings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from ...machines.spec import Guard, Machine
from .rules import Finding, finding


def unknown_names(spec: Machine[Any]) -> Iterator[Finding]:
    """L01 and L02: states and events that are named but not declared."""
    states = {state.name for state in spec.states}
    events = {event.name for event in spec.events}
    for edge in spec.transitions:
        for word, name in (("leaves", edge.source), ("leads to", edge.dest)):
            if name not in states:
                yield finding("L01", spec.name, edge.id, f"it {word} {name!r}, which is no state", _DECLARE)
        if edge.event not in events:
            yield finding("L02", spec.name, edge.id, f"{edge.event!r} is no event", _DECLARE)
    for name in spec.good_path:
        if name not in states:
            yield finding("L01", spec.name, "good_path", f"it names {name!r}, which is no state", _DECLARE)
    for state in spec.states:
        for word, named in (("absorbs", state.absorbs), ("refuses", [r.event for r in state.refuses])):
            for name in dict.fromkeys(named):
                if name not in events:
                    yield finding(
                        "L02", spec.name, state.name, f"it {word} {name!r}, which is no event", _DECLARE
                    )


def unknown_words(
    spec: Machine[Any],
    effects: Collection[str] | None,
    actions: Collection[str] | None,
    codes: Collection[str] | None,
) -> Iterator[Finding]:
    """L03 to L05: effects, actions and codes outside of the vocabularies that are given, and effects and
    actions outside of the words that the machine itself declares."""
    effects = _known(effects, [word.name for word in spec.effects])
    actions = _known(actions, [word.name for word in spec.actions])
    for edge in spec.transitions:
        for effect in edge.effects:
            if effects is not None and effect not in effects:
                yield finding("L03", spec.name, edge.id, f"{effect!r} is no effect", _ADD)
    for state in spec.states:
        if actions is not None and state.action is not None and state.action not in actions:
            yield finding("L04", spec.name, state.name, f"{state.action!r} is no action", _ADD)
        for fixed in state.refuses:
            if codes is not None and fixed.code not in codes:
                where = f"{state.name} + {fixed.event}"
                yield finding("L05", spec.name, where, f"{fixed.code!r} is no refusal code", _ADD)
    for guard in spec.guards.values():
        if codes is not None and guard.code not in codes:
            yield finding("L05", spec.name, guard.name, f"{guard.code!r} is no refusal code", _ADD)


def _known(given: Collection[str] | None, declared: Collection[str]) -> Collection[str] | None:
    """The names that may be used: given and declared, or None when neither says anything."""
    if not declared:
        return given
    return set(declared) if given is None else set(declared) & set(given)


def duplicates(spec: Machine[Any]) -> Iterator[Finding]:
    """L06 inside one machine."""
    for what, named in (
        ("states", [state.name for state in spec.states]),
        ("events", [event.name for event in spec.events]),
        ("edges", [edge.id for edge in spec.transitions]),
        ("actions", [word.name for word in spec.actions]),
        ("effects", [word.name for word in spec.effects]),
    ):
        for name, times in twice(named):
            yield finding("L06", spec.name, name, f"{times} {what} are called {name!r}", _ONE)
    for state in spec.states:
        fixed = [refuse.event for refuse in state.refuses]
        for word, listed in (("absorbs", state.absorbs), ("refuses", fixed)):
            for name, times in twice(listed):
                yield finding("L06", spec.name, f"{state.name} + {name}", f"it {word} it {times} times", _ONE)
    for edge in spec.transitions:
        asked = [guard.name for guard in edge.requires], [guard.name for guard in edge.forbids]
        for listed in (*asked, edge.effects):
            for name, times in twice(listed):
                yield finding("L06", spec.name, edge.id, f"it names {name!r} {times} times", _ONE)


def same_machines(specs: Iterable[Machine[Any]]) -> Iterator[Finding]:
    """L06 for machines: one name and version twice."""
    for name, times in twice([f"{spec.name}@{spec.version}" for spec in specs]):
        yield finding(
            "L06", name.partition("@")[0], name, f"{times} machines are {name}", "give one a new version"
        )


def guard_clashes(spec: Machine[Any]) -> Iterator[Finding]:
    """L07. Predicates count as equal when they are the same object or the same code."""
    first: dict[str, Guard[Any]] = {}
    told: set[str] = set()
    for edge in spec.transitions:
        for guard in (*edge.requires, *edge.forbids):
            known = first.setdefault(guard.name, guard)
            if guard.name in told or known is guard:
                continue
            differ = [
                name
                for name in ("sentence", "code", "says_no")
                if getattr(known, name) != getattr(guard, name)
            ]
            if _other_code(known.predicate, guard.predicate):
                differ.append("predicate")
            if differ:
                told.add(guard.name)
                words = f"edge {edge.id} uses another guard {guard.name!r}: {', '.join(differ)} differ"
                yield finding("L07", spec.name, guard.name, words, "give one of the guards another name")


def _other_code(one: object, other: object) -> bool:
    """Whether two predicates are surely different functions. Objects that show no code are believed."""
    if one is other:
        return False
    codes = getattr(one, "__code__", None), getattr(other, "__code__", None)
    return None not in codes and codes[0] != codes[1]


def twice(names: Iterable[str]) -> list[tuple[str, int]]:
    """Names that occur more than once, with how often."""
    return [(name, times) for name, times in Counter(names).items() if times > 1]


_DECLARE = "correct the name, or declare it"
_ADD = "correct the name, or add it to the vocabulary"
_ONE = "keep one of them"
