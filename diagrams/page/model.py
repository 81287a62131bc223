"""The page's data about a machine: its declaration, and the sentences of the words that it names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...machines.spec import Machine
from ..table import code_sentences


def model(machine: Machine[Any]) -> dict[str, Any]:
    """The declaration as :meth:`Machine.as_data` gives it, its content hash, and ``actions``, ``effects`` and
    ``codes``: name to sentence, "" where the machine declares no word for an action or effect."""
    return {
        **machine.as_data(),
        "content_hash": machine.content_hash,
        "actions": _told({word.name: word.sentence for word in machine.actions}, _done(machine)),
        "effects": _told({word.name: word.sentence for word in machine.effects}, _written(machine)),
        "codes": dict(sorted(code_sentences(machine).items())),
    }


def _done(machine: Machine[Any]) -> Iterable[str]:
    return (state.action for state in machine.states if state.action)


def _written(machine: Machine[Any]) -> Iterable[str]:
    return (name for edge in machine.transitions for name in edge.effects)


def _told(sentences: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    return {name: sentences.get(name, "") for name in sorted(set(names))}
