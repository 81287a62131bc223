"""A machine from its data: enough to compare and draw it. Its guards cannot be asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...machines.spec import Action, Effect, Event, Guard, Machine, Refuse, State, Transition

Stored = Mapping[str, Any]
"""The result of ``Machine.as_data``, of now or of long ago."""


class NotAMachine(ValueError):
    """The text or document is not the data of a machine; the message says what is missing."""


def whole(stored: object) -> dict[str, Any]:
    """The data with every key of today: a key that an older version did not have gets its default.
    Raises NotAMachine."""
    if not isinstance(stored, Mapping):
        raise NotAMachine("a machine's data is a JSON object")
    try:
        found: dict[str, Any] = {**stored, "good_path": list(stored.get("good_path", ()))}
        found["name"], found["version"] = str(stored["name"]), int(stored["version"])
        found["states"] = [{**_STATE, **state, "name": state["name"]} for state in stored["states"]]
        found["events"] = [{**_EVENT, **event, "name": event["name"]} for event in stored["events"]]
        found["guards"] = [{**_GUARD, **guard, "name": guard["name"]} for guard in stored["guards"]]
        found["transitions"] = [
            {**_TRANSITION, **edge, **{key: edge[key] for key in ("id", "event", "source", "dest")}}
            for edge in stored["transitions"]
        ]
        found["action_words"] = [{**_ACTION, **a, "name": a["name"]} for a in stored.get("action_words", ())]
        found["effect_words"] = [{**_EFFECT, **e, "name": e["name"]} for e in stored.get("effect_words", ())]
        found.pop("content_hash", None)  # what `machines export` adds: the hash of the rest
        machine_of(found)
    except KeyError as error:
        raise NotAMachine(f"not the data of a machine: {error} is missing") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise NotAMachine(f"not the data of a machine: {error}") from None
    return found


def machine_of(stored: Stored) -> Machine[Any]:
    """The declaration the data tells; ``as_data`` of it is the same data again."""
    guards = {
        g["name"]: Guard[Any](g["name"], g["sentence"], g["code"], _unasked, g["says_no"])
        for g in stored["guards"]
    }
    known = {state["name"] for state in stored["states"]}
    for edge in stored["transitions"]:
        for end in (edge["source"], edge["dest"]):
            if end not in known:
                raise KeyError(end)
    return Machine[Any](
        stored["name"],
        stored["version"],
        object,
        tuple(_state(state) for state in stored["states"]),
        tuple(Event(e["name"], e["meaning"], e["origin"]) for e in stored["events"]),
        tuple(
            Transition[Any](
                t["id"], t["event"], t["source"], t["dest"],
                tuple(guards[name] for name in t["requires"]),
                tuple(guards[name] for name in t["forbids"]),
                tuple(t["effects"]), t["reason"],
            )
            for t in stored["transitions"]
        ),
        tuple(stored["good_path"]),
        tuple(
            Action(a["name"], a["sentence"], a["reads_only"], a["asks_no_mint"], a["reads_back"])
            for a in stored["action_words"]
        ),
        tuple(Effect(e["name"], e["sentence"], e["level"]) for e in stored["effect_words"]),
    )  # fmt: skip


def _state(stored: Stored) -> State:
    return State(
        stored["name"],
        stored["meaning"],
        stored["kind"],
        stored["action"],
        stored["write_ahead"],
        tuple(stored["absorbs"]),
        tuple(Refuse(*refusal) for refusal in stored["refuses"]),
        stored["group"],
        stored["patience"],
        stored["settles"],
        stored["ends"],
        stored["waits_for"],
        stored["frees"],
    )


def _unasked(_facts: object) -> bool:
    raise TypeError("this machine was read from data: its guards have names, but no predicates")


_STATE: Stored = {
    "meaning": "", "kind": "live", "action": None, "write_ahead": False, "absorbs": [], "refuses": [],
    "group": "", "patience": "", "settles": False, "ends": "", "waits_for": "", "frees": False,
}  # fmt: skip
_EVENT: Stored = {"meaning": "", "origin": "engine"}
_ACTION: Stored = {"sentence": "", "reads_only": False, "asks_no_mint": False, "reads_back": False}
_EFFECT: Stored = {"sentence": "", "level": "HIGH"}
_GUARD: Stored = {"sentence": "", "code": "", "says_no": ""}
_TRANSITION: Stored = {"requires": [], "forbids": [], "effects": [], "reason": ""}
