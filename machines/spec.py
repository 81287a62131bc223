"""What a machine is made of. Everything here is data; nothing here runs a transition."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, Generic, Literal, TypeVar, get_args

from attrs import Attribute, field, frozen

F = TypeVar("F")

NONE = "none"
"""Pseudo-state: the entity does not exist yet."""

Kind = Literal["pseudo", "live", "parked", "final"]
Origin = Literal["caller", "engine", "mint", "clock", "operator", "restart"]
Outcome = Literal["accepted", "refused", "absorbed", "undefined"]


def _one_of(known: tuple[str, ...]) -> Callable[[Any, Attribute[Any], Any], None]:
    """A mistyped word would be taken for one that no rule knows, and nothing would say so."""

    def check(declared: Any, named: Attribute[Any], value: Any) -> None:
        if value not in known:
            where = f"{type(declared).__name__} {declared.name!r}"
            raise ValueError(f"{where}: {named.name} is one of {', '.join(known)}, not {value!r}")

    return check


def _several(declared: Any, named: Attribute[Any], value: Any) -> None:
    """``("tick")`` is a text, not a tuple: its letters would be taken for names."""
    if isinstance(value, str):
        raise TypeError(f"State {declared.name!r}: {named.name} is a tuple, not the text {value!r}")


@frozen
class Guard(Generic[F]):
    """A named question about the facts. ``sentence`` completes "it must hold that …";
    ``code`` is the stable refusal code when it does not hold where required."""

    name: str
    sentence: str
    code: str
    predicate: Callable[[F], bool] = field(eq=False, repr=False)

    def holds(self, facts: F) -> bool:
        """Strictly True or False: a truthy value (2, "yes", [1]) counts as False."""
        return self.predicate(facts) is True


@frozen
class Event:
    """Something that happened. ``origin`` says who can cause it. ValueError for another one."""

    name: str
    meaning: str
    origin: Origin = field(validator=_one_of(get_args(Origin)))


@frozen
class Refuse:
    """A cell that always refuses, with the reason a person needs."""

    event: str
    code: str
    sentence: str


@frozen
class State:
    """One state. ``action`` is what the engine performs while the entity is in it; with
    ``write_ahead`` it runs only after the state is committed. ``absorbs`` names the answers that
    change nothing here (edges of the same cell are tried first). ``patience`` names the wait whose length is
    judged here: too old is taken in place of any event that stays within the same wait. Where it
    ``settles``, the caller knows the outcome: no call waits for what may still come. ValueError for another
    kind, TypeError for a text where a tuple belongs."""

    name: str
    meaning: str
    kind: Kind = field(default="live", validator=_one_of(get_args(Kind)))
    action: str | None = None
    write_ahead: bool = False
    absorbs: tuple[str, ...] = field(default=(), validator=_several)
    refuses: tuple[Refuse, ...] = ()
    group: str = ""
    patience: str = ""
    settles: bool = False


@frozen
class Transition(Generic[F]):
    """One edge. Every ``requires`` guard must hold and every ``forbids`` guard must not."""

    id: str
    event: str
    source: str
    dest: str
    requires: tuple[Guard[F], ...] = ()
    forbids: tuple[Guard[F], ...] = ()
    effects: tuple[str, ...] = ()
    reason: str = ""


def edges(
    row: str,
    event: str | Iterable[str],
    sources: str | Iterable[str],
    dest: str | None,
    *,
    requires: Iterable[Guard[F]] = (),
    forbids: Iterable[Guard[F]] = (),
    effects: str | Iterable[str] = (),
    reason: str = "",
) -> tuple[Transition[F], ...]:
    """One row of a table: the same edge for several events and sources. ``dest=None`` stays. A lone text
    is one event, source or effect."""
    events = (event,) if isinstance(event, str) else tuple(event)
    origins = (sources,) if isinstance(sources, str) else tuple(sources)
    written = (effects,) if isinstance(effects, str) else tuple(effects)
    return tuple(
        Transition(
            f"{row}.{name}.{source}",
            name,
            source,
            source if dest is None else dest,
            tuple(requires),
            tuple(forbids),
            written,
            reason,
        )
        for name in events
        for source in origins
    )


@frozen(slots=False, eq=False)
class Machine(Generic[F]):
    """A declared finite-state machine. ``version`` grows with every released change of the table."""

    name: str
    version: int
    facts: type[F]
    states: tuple[State, ...]
    events: tuple[Event, ...]
    transitions: tuple[Transition[F], ...]
    good_path: tuple[str, ...] = ()

    @cached_property
    def by_name(self) -> Mapping[str, State]:
        return {state.name: state for state in self.states}

    @cached_property
    def cells(self) -> Mapping[tuple[str, str], tuple[Transition[F], ...]]:
        """The edges of each (state, event) cell that has any, in order of precedence."""
        found: dict[tuple[str, str], tuple[Transition[F], ...]] = {}
        for transition in self.transitions:
            key = (transition.source, transition.event)
            found[key] = (*found.get(key, ()), transition)
        return found

    @cached_property
    def guards(self) -> Mapping[str, Guard[F]]:
        return {g.name: g for t in self.transitions for g in (*t.requires, *t.forbids)}

    def state(self, name: str) -> State:
        return self.by_name[name]

    def as_data(self) -> dict[str, Any]:
        """The whole declaration as JSON-ready data (predicates are represented by their names)."""
        return {
            "name": self.name,
            "version": self.version,
            "good_path": list(self.good_path),
            "states": [
                {
                    "name": s.name,
                    "meaning": s.meaning,
                    "kind": s.kind,
                    "action": s.action,
                    "write_ahead": s.write_ahead,
                    "absorbs": sorted(s.absorbs),
                    "refuses": [[r.event, r.code, r.sentence] for r in s.refuses],
                    "group": s.group,
                    "patience": s.patience,
                    "settles": s.settles,
                }
                for s in self.states
            ],
            "events": [{"name": e.name, "meaning": e.meaning, "origin": e.origin} for e in self.events],
            "guards": [
                {"name": g.name, "sentence": g.sentence, "code": g.code}
                for g in sorted(self.guards.values(), key=lambda guard: guard.name)
            ],
            "transitions": [
                {
                    "id": t.id,
                    "event": t.event,
                    "source": t.source,
                    "dest": t.dest,
                    "requires": [g.name for g in t.requires],
                    "forbids": [g.name for g in t.forbids],
                    "effects": list(t.effects),
                    "reason": t.reason,
                }
                for t in self.transitions
            ],
        }

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 (hex) of the canonical JSON of :meth:`as_data`: sorted keys, no spaces, UTF-8."""
        text = json.dumps(self.as_data(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


@frozen
class Verdict:
    """What one guard of one edge said. ``passed`` is True when the edge wanted exactly that."""

    transition: str
    guard: str
    required: bool
    held: bool

    @property
    def passed(self) -> bool:
        return self.required == self.held


@frozen
class Refusal:
    """Why an event was refused: stable code and a sentence for people."""

    code: str
    sentence: str


@frozen
class Decision:
    """The answer of :func:`~nutstate.machines.step.step`; nothing has happened yet."""

    machine: str
    state: str
    event: str
    outcome: Outcome
    next_state: str
    transition: str | None = None
    effects: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    @property
    def accepted(self) -> bool:
        return self.outcome == "accepted"
