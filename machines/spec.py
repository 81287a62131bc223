"""The parts of a machine. Everything here is data; nothing here runs a transition."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, Generic, Literal, TypeVar, get_args

from attrs import Attribute, field, frozen

from .shown import shown

F = TypeVar("F")

NONE = "none"
"""Pseudo-state: the entity does not exist yet."""

Kind = Literal["pseudo", "live", "parked", "final"]
Origin = Literal["caller", "engine", "mint", "clock", "operator", "restart"]
Outcome = Literal["accepted", "refused", "absorbed", "undefined"]
Ends = Literal["", "good", "unpaid", "lost"]
WaitsFor = Literal["", "caller", "confirmation"]
Level = Literal["STANDARD", "HIGH", "CRITICAL"]
_LEVELS: tuple[Level, ...] = get_args(Level)


def _one_of(known: tuple[str, ...]) -> Callable[[Any, Attribute[Any], Any], None]:
    """A mistyped word would be taken for one that no rule knows, and nothing would say so."""

    def check(declared: Any, named: Attribute[Any], value: Any) -> None:
        if value not in known:
            where = f"{type(declared).__name__} {declared.name!r}"
            words = ", ".join(word or "''" for word in known)
            raise ValueError(f"{where}: {named.name} is one of {words}, not {value!r}")

    return check


def _several(declared: Any, named: Attribute[Any], value: Any) -> None:
    """``("tick")`` is a text, not a tuple: its letters would be taken for names."""
    if isinstance(value, str):
        raise TypeError(f"State {declared.name!r}: {named.name} is a tuple, not the text {value!r}")


@frozen
class Guard(Generic[F]):
    """A named question about the facts.

    - ``sentence``: the condition, true when the guard holds: "the quote has not expired".
    - ``code``: the stable code of a refusal because of this guard.
    - ``says_no``: the sentence of the refusal when the guard must hold and does not: "the quote has expired".
      Without one it is "it does not hold that" and ``sentence``.
    """

    name: str
    sentence: str
    code: str
    predicate: Callable[[F], bool] = field(eq=False, repr=False)
    says_no: str = ""

    __repr__ = shown

    def holds(self, facts: F) -> bool:
        """Strictly True or False: a truthy value (2, "yes", [1]) counts as False."""
        return self.predicate(facts) is True

    def refusal(self, required: bool) -> Refusal:
        """Code and sentence for an edge that is not taken because of this guard: it does not hold where it is
        required, or it holds where it is forbidden."""
        denied = self.says_no or f"it does not hold that {self.sentence}"
        return Refusal(self.code, denied if required else self.sentence)


@frozen
class Event:
    """Something that happened. ``origin`` says who can cause it. ValueError for another one."""

    name: str
    meaning: str
    origin: Origin = field(validator=_one_of(get_args(Origin)))

    __repr__ = shown


@frozen
class Refuse:
    """A cell that always refuses, with the reason a person needs."""

    event: str
    code: str
    sentence: str

    __repr__ = shown


@frozen
class Action:
    """The word for what the engine performs while an entity is in a state. ``sentence`` says what it does.

    - ``reads_only``: it may run while transitions are still staged. Every other action waits for the commit.
    - ``asks_no_mint``: it asks no mint, so a sweep may run it while the mint is silent.
    - ``reads_back``: it only reads back what the transition before it wrote. Both may be one commit, when the
      documents are found right before it is final; else the state is committed, and the action runs then.
    """

    name: str
    sentence: str
    reads_only: bool = False
    asks_no_mint: bool = False
    reads_back: bool = False

    __repr__ = shown


@frozen
class Effect:
    """The word for what the engine writes when a transition is accepted. ``sentence`` says what is written.

    ``level`` is the compliance level of the transition's audit record: STANDARD (kept 1 year), HIGH (money
    moves; 7 years) or CRITICAL (an alarm: a person must look; 10 years). The highest level of a transition's
    effects counts. ValueError for another level."""

    name: str
    sentence: str
    level: Level = field(default="HIGH", validator=_one_of(get_args(Level)))

    __repr__ = shown


@frozen
class State:
    """One state of a machine. ValueError for an unknown word, TypeError for a text where a tuple belongs.

    - ``action``: the name of what the engine performs while the entity is in the state. With ``write_ahead``
      the action runs only after the state is committed.
    - ``absorbs``: events that change nothing here. Edges of the same cell are tried first.
    - ``patience``: the name of the wait whose length is judged here. When the wait is too long, ``too_old``
      takes the place of every event that stays within the same wait.
    - ``settles``: the caller knows the outcome here. No call waits for what may still come.
    - ``ends``: how a final state ends. "good": the operation did what it was for. "unpaid": nothing was paid;
      claim, quote and duplicate window are free again. "lost": an operator gave it up. "": not declared;
      claim and quote stay taken.
    - ``waits_for``: "caller": only the caller's next call moves it. "confirmation": the same, but only for an
      operation in two steps. "": the engine goes on by itself.
    - ``frees``: the inputs are free here. Another operation may have taken or spent them.
    """

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
    ends: Ends = field(default="", validator=_one_of(get_args(Ends)))
    waits_for: WaitsFor = field(default="", validator=_one_of(get_args(WaitsFor)))
    frees: bool = False

    __repr__ = shown


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

    __repr__ = shown


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
    """A declared finite-state machine. ``version`` grows with every released change of the table.

    ``actions`` and ``effects`` are the words that states and edges name. A name without a word counts as an
    action that may write and ask the mint, or as an effect that moves money."""

    name: str
    version: int
    facts: type[F]
    states: tuple[State, ...]
    events: tuple[Event, ...]
    transitions: tuple[Transition[F], ...]
    good_path: tuple[str, ...] = ()
    actions: tuple[Action, ...] = ()
    effects: tuple[Effect, ...] = ()

    __repr__ = shown

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
        """The state of this name. KeyError when the machine has none."""
        return self.by_name[name]

    def action_in(self, state: str) -> Action | None:
        """The word of the state's action, or None for a state without one. KeyError for an unknown state."""
        name = self.by_name[state].action
        return None if name is None else self._actions.get(name, Action(name, ""))

    def effect(self, name: str) -> Effect:
        """The word of an effect. A name that the machine has no word for moves money (level HIGH)."""
        return self._effects.get(name) or Effect(name, "")

    def level(self, effects: Iterable[str]) -> Level:
        """The compliance level of a transition with these effects: the highest of theirs."""
        return max((self.effect(name).level for name in effects), key=_LEVELS.index, default=_LEVELS[0])

    def ended(self, *ends: Ends) -> frozenset[str]:
        """The names of the final states that end in one of these ways."""
        return frozenset(s.name for s in self.states if s.kind == "final" and s.ends in ends)

    def offered(self, state: str, *origins: Origin) -> tuple[str, ...]:
        """The events of these origins that have an edge in the state, in the order of the declaration."""
        return tuple(e.name for e in self.events if e.origin in origins and (state, e.name) in self.cells)

    @cached_property
    def _actions(self) -> Mapping[str, Action]:
        return {action.name: action for action in self.actions}

    @cached_property
    def _effects(self) -> Mapping[str, Effect]:
        return {effect.name: effect for effect in self.effects}

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
                    "ends": s.ends,
                    "waits_for": s.waits_for,
                    "frees": s.frees,
                }
                for s in self.states
            ],
            "events": [{"name": e.name, "meaning": e.meaning, "origin": e.origin} for e in self.events],
            "guards": [
                {"name": g.name, "sentence": g.sentence, "code": g.code, "says_no": g.says_no}
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
            "action_words": [
                {
                    "name": a.name,
                    "sentence": a.sentence,
                    "reads_only": a.reads_only,
                    "asks_no_mint": a.asks_no_mint,
                    "reads_back": a.reads_back,
                }
                for a in self.actions
            ],
            "effect_words": [
                {"name": e.name, "sentence": e.sentence, "level": e.level} for e in self.effects
            ],
        }

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 (hex) of the canonical JSON of :meth:`as_data`: sorted keys, no spaces, UTF-8."""
        text = json.dumps(self.as_data(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


@frozen
class Verdict:
    """The answer of one guard of one edge. ``passed`` is True when the edge wanted this answer."""

    transition: str
    guard: str
    required: bool
    held: bool

    __repr__ = shown

    @property
    def passed(self) -> bool:
        return self.required == self.held


@frozen
class Refusal:
    """The reason of a refusal: stable code and a sentence for people."""

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

    __repr__ = shown

    @property
    def accepted(self) -> bool:
        return self.outcome == "accepted"
