"""A machine as the configuration of an XState (v5) machine, in JSON.

``createMachine(config)`` takes it as it is. Guards are referenced by name. Where an edge asks several,
or asks that one does not hold, the guard is ``{"type": "and", "params": {"guards": [...]}}`` or
``{"type": "not", "params": {"guard": ...}}``: JSON cannot hold XState's own functions of those names, so
the program that runs it provides two guards ``and`` and ``not`` (docs/exports.md has them). Effects are
actions. The order of the transitions of an event is their precedence. ``meta`` holds the rest of the
declaration, and ``meta.outcome`` tells ``accepted``, ``absorbed`` and ``refused`` transitions apart.

A top level state of type ``final`` ends an XState machine; its ``meta`` lists its absorbed and refused
events.
"""

from __future__ import annotations

import json
from typing import Any

from ...machines.spec import Guard, Machine, State, Transition
from .names import event_identifiers, guard_identifiers, state_identifiers
from .rules import Rule, halts, initial_of, rules_of

_OURS = frozenset({"and", "or", "not", "stateIn"})


def export(machine: Machine[Any]) -> str:
    """The configuration as JSON (ASCII). Identifiers stand for names that are none; ``meta.name`` has
    the name."""
    return json.dumps(_config(machine), indent=2, ensure_ascii=True) + "\n"


def _config(machine: Machine[Any]) -> dict[str, Any]:
    states, events = state_identifiers(machine), event_identifiers(machine)
    guards = guard_identifiers(machine, _OURS)
    return {
        "id": machine.name,
        "version": str(machine.version),
        "initial": states[initial_of(machine).name],
        "meta": {
            "content_hash": machine.content_hash,
            "good_path": [states[name] for name in machine.good_path],
            "events": {
                events[e.name]: {"name": e.name, "meaning": e.meaning, "origin": e.origin}
                for e in machine.events
            },
            "guards": {
                guards[name]: {"name": name, "sentence": guard.sentence, "code": guard.code}
                for name, guard in machine.guards.items()
            },
        },
        "states": {
            states[state.name]: _state(machine, state, (states, events, guards)) for state in machine.states
        },
    }


_Identifiers = tuple[dict[str, str], dict[str, str], dict[str, str]]


def _state(machine: Machine[Any], state: State, ids: _Identifiers) -> dict[str, Any]:
    meta: dict[str, Any] = {
        "name": state.name,
        "kind": state.kind,
        "group": state.group,
        "action": state.action,
        "write_ahead": state.write_ahead,
        "patience": state.patience,
        "settles": state.settles,
        "ends": state.ends,
        "waits_for": state.waits_for,
        "frees": state.frees,
    }
    rules = rules_of(machine, state)
    if halts(machine, state):
        refused = [rule.refusal for rule in rules if rule.refusal is not None]
        meta["absorbs"] = [ids[1][rule.event] for rule in rules if rule.outcome == "absorbed"]
        meta["refuses"] = [
            {"event": ids[1][r.event], "code": r.code, "sentence": r.sentence} for r in refused
        ]
        return {"type": "final", "description": state.meaning, "meta": meta}
    on: dict[str, list[dict[str, Any]]] = {}
    for rule in rules:
        on.setdefault(ids[1][rule.event], []).append(_transition(rule, ids))
    return {"description": state.meaning, "meta": meta, "on": on}


def _transition(rule: Rule, ids: _Identifiers) -> dict[str, Any]:
    if rule.edge is None:
        if rule.refusal is None:
            return {"meta": {"outcome": "absorbed"}}
        meta = {"outcome": "refused", "code": rule.refusal.code}
        return {"description": rule.refusal.sentence, "meta": meta}
    edge = rule.edge
    asked = _guard(edge, ids[2])
    return {
        "target": ids[0][edge.dest],
        **({} if asked is None else {"guard": asked}),
        **({"actions": [{"type": effect} for effect in edge.effects]} if edge.effects else {}),
        "description": edge.reason,
        "meta": {"outcome": "accepted", "id": edge.id},
    }


def _guard(edge: Transition[Any], ids: dict[str, str]) -> Any:
    def denied(guard: Guard[Any]) -> dict[str, Any]:
        return {"type": "not", "params": {"guard": ids[guard.name]}}

    parts: list[Any] = [*(ids[g.name] for g in edge.requires), *map(denied, edge.forbids)]
    if len(parts) > 1:
        return {"type": "and", "params": {"guards": parts}}
    return parts[0] if parts else None
