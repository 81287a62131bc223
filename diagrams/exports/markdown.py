"""A machine as a Markdown page: the one of :mod:`nutstate.diagrams.table`, also for words that Markdown
would read as markup."""

from __future__ import annotations

import re
from typing import Any

import attrs

from ...machines.spec import Action, Effect, Event, Guard, Machine, Refuse, State, Transition
from .. import table
from . import mermaid
from .names import visible

_MARKUP = re.compile(r"([\\`*\[\]<&~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")


def export(machine: Machine[Any]) -> str:
    """The page with the Mermaid drawing, states, transitions, events, effects and refusal codes."""
    safe = attrs.evolve(
        machine,
        name=_name(machine.name).replace(">", "›"),
        states=tuple(_state(state) for state in machine.states),
        events=tuple(_event(event) for event in machine.events),
        transitions=tuple(_edge(edge) for edge in machine.transitions),
        good_path=tuple(map(_name, machine.good_path)),
        actions=tuple(_action(word) for word in machine.actions),
        effects=tuple(_effect(word) for word in machine.effects),
    )
    return table.page(safe, mermaid.export(machine)).replace(safe.content_hash, machine.content_hash)


def _state(state: State) -> State:
    return attrs.evolve(
        state,
        name=_name(state.name),
        meaning=_words(state.meaning),
        action=None if state.action is None else _name(state.action),
        absorbs=tuple(map(_name, state.absorbs)),
        refuses=tuple(Refuse(_name(r.event), _name(r.code), _words(r.sentence)) for r in state.refuses),
        patience=_words(state.patience),
    )


def _action(word: Action) -> Action:
    return attrs.evolve(word, name=_name(word.name), sentence=_words(word.sentence))


def _effect(word: Effect) -> Effect:
    return attrs.evolve(word, name=_name(word.name), sentence=_words(word.sentence))


def _event(event: Event) -> Event:
    return Event(_name(event.name), _words(event.meaning), event.origin)


def _edge(edge: Transition[Any]) -> Transition[Any]:
    return attrs.evolve(
        edge,
        id=_words(edge.id),
        event=_name(edge.event),
        source=_name(edge.source),
        dest=_name(edge.dest),
        requires=tuple(map(_guard, edge.requires)),
        forbids=tuple(map(_guard, edge.forbids)),
        effects=tuple(map(_name, edge.effects)),
        reason=_words(edge.reason),
    )


def _guard(guard: Guard[Any]) -> Guard[Any]:
    return attrs.evolve(
        guard, name=_name(guard.name), sentence=_words(guard.sentence), code=_name(guard.code)
    )


def _name(name: str) -> str:
    """For between two backticks, where nothing but a backtick means anything."""
    return visible(name).replace("`", "ˋ") or " "


def _words(text: str) -> str:
    return _MARKUP.sub(r"\\\1", visible(text))
