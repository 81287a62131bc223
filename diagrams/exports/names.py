"""Names and sentences of a machine, with any content, as other notations can hold them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any

from ...machines.spec import Machine

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def identifiers(names: Iterable[str], reserved: Collection[str] = ()) -> dict[str, str]:
    """Each name and the identifier that stands for it (an ASCII letter, then letters, digits and
    underscores). A name that is one keeps itself, unless it is ``reserved``; every other gets one that
    resembles it and that no other name of the list has. The same list gives the same identifiers."""
    wanted = tuple(dict.fromkeys(names))
    found = {name: name for name in wanted if _PLAIN.fullmatch(name) and name not in reserved}
    taken = {*found.values(), *reserved}
    for name in wanted:
        if name in found:
            continue
        base = re.sub(r"[^A-Za-z0-9]+", "_", name).lstrip("_0123456789").rstrip("_") or "x"
        number, candidate = 1, base
        while candidate in taken:
            number += 1
            candidate = f"{base}_{number}"
        taken.add(candidate)
        found[name] = candidate
    return {name: found[name] for name in wanted}


def state_identifiers(machine: Machine[Any], reserved: Collection[str] = ()) -> dict[str, str]:
    """:func:`identifiers` of the states, in the order of the declaration."""
    return identifiers((state.name for state in machine.states), reserved)


def event_identifiers(machine: Machine[Any], reserved: Collection[str] = ()) -> dict[str, str]:
    """:func:`identifiers` of the events, in the order of the declaration."""
    return identifiers((event.name for event in machine.events), reserved)


def guard_identifiers(machine: Machine[Any], reserved: Collection[str] = ()) -> dict[str, str]:
    """:func:`identifiers` of the guards, in the order in which the table first asks them."""
    return identifiers(machine.guards, reserved)


def visible(text: str) -> str:
    """The text on one line: control characters as their pictures (``␊`` for a line feed), and what no
    encoding can hold as a replacement character."""
    return "".join(_seen(character) for character in text)


def _seen(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if 0x7F <= code <= 0x9F or code in (0x2028, 0x2029):
        return "\N{SYMBOL FOR DELETE}" if code == 0x7F else "\N{SYMBOL FOR NEWLINE}"
    if 0xD800 <= code <= 0xDFFF or code in (0xFFFE, 0xFFFF):
        return "\N{REPLACEMENT CHARACTER}"
    return character
