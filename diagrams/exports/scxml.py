"""A machine as W3C SCXML, with everything the notation has no word for in a namespace of our own.

Guards are items of the data model: the program that runs the document sets them to ``true`` or ``false``
before each event. A guard without an answer enables nothing. The order of the transitions of a state is their
precedence. ``<log>`` tells the outcome: ``accepted`` and the transition's id, then ``effect``
for each effect; ``absorbed``; ``refused`` and the code. An event that no transition takes was refused by
guards (its cell has transitions) or is undefined there.

A ``<final>`` ends an SCXML session and cannot have transitions. It lists its absorbed and refused events
as ``nut:absorbs`` and ``nut:refuses``; an SCXML processor does nothing with events sent by then.
"""

from __future__ import annotations

import json
import keyword
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import quoteattr

from ...machines.spec import Machine, State, Transition
from .names import event_identifiers, guard_identifiers, state_identifiers, visible
from .rules import Rule, halts, initial_of, rules_of

NAMESPACE = "urn:nutstate:machine"
"""The namespace of the attributes and elements that SCXML does not have."""

_LEFT_OUT_EMPTY = frozenset({"nut:group", "nut:meaning", "nut:reason"})

_RESERVED = frozenset(
    (*keyword.kwlist, "arguments", "await", "case", "catch", "const", "debugger", "default", "delete", "do",
     "enum", "eval", "export", "extends", "false", "function", "if", "implements", "In", "Infinity",
     "instanceof", "interface", "let", "NaN", "new", "null", "package", "private", "protected", "public",
     "static", "super", "switch", "this", "throw", "true", "typeof", "undefined", "var", "void",
     "event", "event_data", "machine", "model", "source", "state", "target", "transition")
)  # fmt: skip
"""Words that mean something in conditions: those of Python and ECMAScript, and those that runners define."""


def export(machine: Machine[Any]) -> str:
    """The SCXML document (UTF-8). Identifiers stand for names that are none; ``nut:name`` has the name."""
    names = _Names(machine)
    root = {
        "xmlns": "http://www.w3.org/2005/07/scxml",
        "xmlns:nut": NAMESPACE,
        "version": "1.0",
        "name": machine.name,
        "datamodel": "ecmascript",
        "initial": names.states[initial_of(machine).name],
        "nut:version": str(machine.version),
        "nut:content_hash": machine.content_hash,
    }
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f"<scxml{_attributes(root)}>",
        *(_element("nut:good_path", {"state": names.states[name]}, "  ") for name in machine.good_path),
        *(_event(machine, names, place) for place in range(len(machine.events))),
        *_guards(machine, names),
    ]
    for state in machine.states:
        lines += _state(machine, names, state)
    return "\n".join([*lines, "</scxml>"]) + "\n"


class _Names:
    """The identifiers of one machine."""

    def __init__(self, machine: Machine[Any]) -> None:
        self.states = state_identifiers(machine)
        self.events = event_identifiers(machine)
        self.guards = guard_identifiers(machine, _RESERVED)


def _event(machine: Machine[Any], names: _Names, place: int) -> str:
    event = machine.events[place]
    said = {"id": names.events[event.name], "origin": event.origin, "meaning": event.meaning}
    return _element("nut:event", said | _renamed(event.name, names.events), "  ")


def _guards(machine: Machine[Any], names: _Names) -> list[str]:
    lines = [
        _element(
            "data",
            {"id": names.guards[name], **_renamed(name, names.guards, "nut:name")}
            | {"nut:code": guard.code, "nut:sentence": guard.sentence},
            "    ",
        )
        for name, guard in machine.guards.items()
    ]
    return ["  <datamodel>", *lines, "  </datamodel>"] if lines else []


def _state(machine: Machine[Any], names: _Names, state: State) -> list[str]:
    said = {"id": names.states[state.name], **_renamed(state.name, names.states, "nut:name")}
    said |= {"nut:kind": state.kind, "nut:group": state.group, "nut:meaning": state.meaning}
    said |= {} if state.action is None else {"nut:action": state.action}
    said |= {"nut:write_ahead": "true"} if state.write_ahead else {}
    said |= {"nut:patience": state.patience} if state.patience else {}
    said |= {"nut:settles": "true"} if state.settles else {}
    said |= {"nut:ends": state.ends} if state.ends else {}
    said |= {"nut:waits_for": state.waits_for} if state.waits_for else {}
    said |= {"nut:frees": "true"} if state.frees else {}
    tag = "final" if halts(machine, state) else "state"
    rules = rules_of(machine, state)
    if tag == "final":
        inner = [_listed(names, rule) for rule in rules]
    else:
        inner = [line for rule in rules for line in _transition(names, rule)]
    if not inner:
        return [_element(tag, said, "  ")]
    return [f"  <{tag}{_attributes(said)}>", *inner, f"  </{tag}>"]


def _listed(names: _Names, rule: Rule) -> str:
    said = {"event": names.events[rule.event]}
    if rule.refusal is None:
        return _element("nut:absorbs", said, "    ")
    said |= {"code": rule.refusal.code, "sentence": rule.refusal.sentence}
    return _element("nut:refuses", said, "    ")


def _transition(names: _Names, rule: Rule) -> list[str]:
    said = {"event": names.events[rule.event]}
    logs: list[tuple[str, str]]
    if rule.edge is not None:
        said |= _cond(names, rule.edge) | {"target": names.states[rule.edge.dest]}
        said |= {"nut:transition": rule.edge.id, "nut:reason": rule.edge.reason}
        logs = [("accepted", rule.edge.id), *(("effect", effect) for effect in rule.edge.effects)]
    elif rule.refusal is not None:
        said |= {"nut:code": rule.refusal.code, "nut:sentence": rule.refusal.sentence}
        logs = [("refused", rule.refusal.code)]
    else:
        logs = [("absorbed", rule.event)]
    inner = [_element("log", {"label": what, "expr": _literal(text)}, "      ") for what, text in logs]
    return [f"    <transition{_attributes(said)}>", *inner, "    </transition>"]


def _cond(names: _Names, edge: Transition[Any]) -> dict[str, str]:
    """Every answer is compared with ``===``, so that a guard without an answer agrees with nothing."""
    parts = [f"{names.guards[guard.name]} === true" for guard in edge.requires]
    parts += [f"{names.guards[guard.name]} === false" for guard in edge.forbids]
    return {"cond": " && ".join(parts)} if parts else {}


def _literal(text: str) -> str:
    """A string literal that ECMAScript and Python read alike."""
    return json.dumps(text, ensure_ascii=False)


def _renamed(name: str, identifiers: Mapping[str, str], attribute: str = "name") -> dict[str, str]:
    return {} if identifiers[name] == name else {attribute: name}


def _element(tag: str, said: Mapping[str, str], indent: str) -> str:
    return f"{indent}<{tag}{_attributes(said)}/>"


def _attributes(said: Mapping[str, str]) -> str:
    kept = ((name, value) for name, value in said.items() if value or name not in _LEFT_OUT_EMPTY)
    return "".join(f" {name}={_quoted(value)}" for name, value in kept)


def _quoted(value: str) -> str:
    """An attribute's value. Line breaks and tabs are given by their codes; other control characters,
    which XML 1.0 cannot hold at all, by their pictures."""
    kept = "".join(character if character in "\n\r\t" else visible(character) for character in value)
    return quoteattr(kept)
