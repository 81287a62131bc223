"""How a machine is written down a second time, and how that is compared with its declaration.

A row is ``row | events | sources > dest | guards | effects``; ``stay`` as destination stays, ``not g``
forbids a guard. Rows of one cell stand in the order in which they are tried, guards in the order in
which a caller is told about them, effects in the order in which they are staged. A state is
``name | kind action +facets | absorbs | event=CODE of fixed refusals``, with ``ahead`` when it is written
ahead. A word is ``level or facet | its names``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from attrs import frozen

from nutstate.machines.spec import Machine, State

Edge = tuple[str, str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]
"""Row, destination, required and forbidden guards, effects."""


@frozen(slots=False, eq=False)
class Rows:
    """One machine as it was specified."""

    good_path: str
    states: str
    origins: str
    rows: str
    codes: str
    said: str = ""
    words: Mapping[str, str] = {}

    @cached_property
    def cells(self) -> dict[tuple[str, str], list[Edge]]:
        """The edges of each cell, in order."""
        found: dict[tuple[str, str], list[Edge]] = {}
        for row, events, way, guards, effects in self._lines(self.rows, 5):
            sources, dest = (part.split() for part in way.split(">"))
            asked = [word.strip() for word in guards.split(",") if word.strip()]
            forbidden = tuple(word.removeprefix("not ") for word in asked if word.startswith("not "))
            required = tuple(word for word in asked if not word.startswith("not "))
            for event in events.split():
                for source in sources:
                    to = source if dest == ["stay"] else dest[0]
                    edge = (row, to, required, forbidden, tuple(effects.split()))
                    found.setdefault((source, event), []).append(edge)
        return found

    @cached_property
    def stated(self) -> dict[str, tuple[object, ...]]:
        """Kind, action, written ahead, facets, absorbs and fixed refusals of each state."""
        found: dict[str, tuple[object, ...]] = {}
        for name, how, absorbs, refuses in self._lines(self.states, 4):
            kind, *action = [word for word in how.replace("ahead", "").split() if word[0] != "+"]
            facets = frozenset(word[1:] for word in how.split() if word[0] == "+")
            fixed = dict(pair.split("=") for pair in refuses.split())
            found[name] = (
                kind,
                action[0] if action else None,
                "ahead" in how,
                facets,
                frozenset(absorbs.split()),
                fixed,
            )
        return found

    @cached_property
    def caused(self) -> dict[str, str]:
        """Who causes each event."""
        return {event: line[0] for line in self._lines(self.origins, 2) for event in line[1].split()}

    @cached_property
    def told(self) -> dict[str, str]:
        """The refusal code of each guard."""
        return {guard: line[0] for line in self._lines(self.codes, 2) for guard in line[1].split()}

    @cached_property
    def worded(self) -> dict[str, frozenset[str]]:
        """The words with each level (effects) and facet (actions)."""
        return {what: frozenset(names.split()) for what, names in self._lines(self.said, 2)}

    def _lines(self, text: str, columns: int) -> Iterator[list[str]]:
        for line in filter(None, text.strip().splitlines()):
            for short, long in self.words.items():
                line = re.sub(rf"\b{short}\b", long, line)
            parts = [part.strip() for part in line.split("|")]
            assert len(parts) == columns, line
            yield parts


def _facets(state: State) -> frozenset[str]:
    """The facets of a state: every flag that holds, and its end and what it waits for."""
    flags = {"settles": state.settles, "frees": state.frees}
    return frozenset(
        filter(None, (*(name for name, holds in flags.items() if holds), state.ends, state.waits_for))
    )


def _worded(spec: Machine[Any]) -> dict[str, frozenset[str]]:
    """The words with each level (effects) and facet (actions), those only that any word has."""
    found: dict[str, set[str]] = {}
    for effect in spec.effects:
        found.setdefault(effect.level, set()).add(effect.name)
    for action in spec.actions:
        for facet in ("reads_only", "asks_no_mint", "reads_back"):
            if getattr(action, facet):
                found.setdefault(facet, set()).add(action.name)
    return {what: frozenset(names) for what, names in found.items()}


def differences(spec: Machine[Any], rows: Rows) -> list[str]:
    """Every way in which a declaration is not what was specified."""
    declared: dict[tuple[str, str], list[Edge]] = {}
    for t in spec.transitions:
        required, forbidden = tuple(g.name for g in t.requires), tuple(g.name for g in t.forbids)
        row = t.id.removesuffix(f".{t.event}.{t.source}")
        edge = (row, t.dest, required, forbidden, t.effects)
        declared.setdefault((t.source, t.event), []).append(edge)
    states = {
        s.name: (
            s.kind, s.action, s.write_ahead, _facets(s), frozenset(s.absorbs),
            {r.event: r.code for r in s.refuses},
        )
        for s in spec.states
    }  # fmt: skip
    pairs: list[tuple[str, Mapping[Any, object], Mapping[Any, object]]] = [
        ("cell", declared, rows.cells),
        ("state", states, rows.stated),
        ("event", {e.name: e.origin for e in spec.events}, rows.caused),
        ("guard", {name: g.code for name, g in spec.guards.items()}, rows.told),
        ("words", _worded(spec), rows.worded),
        ("good path", {"": spec.good_path}, {"": tuple(rows.good_path.split())}),
    ]
    return [
        f"{what} {name}: declared {ours.get(name)}, specified {theirs.get(name)}"
        for what, ours, theirs in pairs
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name) != theirs.get(name)
    ]
