"""The content of one drawing, before any coordinate: cards and wires.

A card is a state, or several folded into one. A wire is everything that leads from one card to another;
its rows are written on the source's card, so that no text ever lies on a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from attrs import evolve, frozen

from ...machines.spec import NONE, Kind, Machine, State, Transition
from ..folded import folded
from ..sketch import Look, Tone, edges_of, look_of, row_of, tone_of

Detail = Literal["full", "events"]
Mark = Literal["", "added", "removed", "changed"]


@frozen
class Row:
    """Transitions that differ in nothing but their event. ``guards`` are sentences or names (``named``);
    ``restart``: only a restart takes it."""

    number: str
    events: tuple[str, ...]
    ids: tuple[str, ...] = ()
    guards: tuple[str, ...] = ()
    named: bool = False
    effects: tuple[str, ...] = ()
    why: str = ""
    restart: bool = False
    mark: Mark = ""


@frozen
class Wire:
    """All rows from one card to another (or the same)."""

    source: str
    dest: str
    tone: Tone
    rows: tuple[Row, ...]
    mark: Mark = ""

    @property
    def ids(self) -> tuple[str, ...]:
        """The transitions it stands for, in table order."""
        return tuple(name for row in self.rows for name in row.ids)

    @property
    def events(self) -> tuple[str, ...]:
        """The events it is taken at, each once."""
        return tuple(dict.fromkeys(event for row in self.rows for event in row.events))


@frozen
class Card:
    """One box. ``names`` are the states it stands for, ``tip`` is what a pointer resting on it shows."""

    id: str
    names: tuple[str, ...]
    look: Look
    kind: Kind
    group: str = ""
    meaning: str = ""
    action: str = ""
    tip: str = ""
    mark: Mark = ""


@frozen
class Chart:
    """A drawing's content. ``spine`` are the cards of its middle column from top to bottom.
    ``marks``: parts without a mark are dimmed. ``narrow``: it shall fit a page of text. ``reading`` says how
    to read its rows."""

    title: str
    subtitle: str
    summary: str
    reading: str
    cards: tuple[Card, ...]
    wires: tuple[Wire, ...]
    spine: tuple[str, ...]
    marks: bool = False
    narrow: bool = False


READING: Mapping[Detail, str] = {
    "full": "On a card: what may happen in the state: row of the table, event, where it leads; "
    "if: guards; +: what is written in the same commit.",
    "events": "On a card: what may happen in the state: row of the table, event, where it leads.",
}

GUARDS_AS_SENTENCES_MAX = 2
"""More guards than these are told by their names: a card is no essay."""


def whole(machine: Machine[Any], detail: Detail = "full") -> Chart:
    """Every state and every edge of a machine; ``events`` leaves guards, effects and meanings out."""
    cards = tuple(_card(machine, state, detail) for state in machine.states)
    members: dict[tuple[str, str], list[Transition[Any]]] = {}
    for transition in machine.transitions:
        members.setdefault((transition.source, transition.dest), []).append(transition)
    wires = tuple(
        Wire(edge.source, edge.dest, edge.tone, _rows(machine, members[edge.source, edge.dest], detail))
        for edge in edges_of(machine)
    )
    what = "every state and every edge" if detail == "full" else "every state and every event"
    return _chart(machine, what, cards, wires, spine_of(machine), READING[detail])


def part(machine: Machine[Any], group: str) -> Chart:
    """The states of one group with every edge that leaves or enters them; their neighbours are bare."""
    full = whole(machine)
    inside = {state.name for state in machine.states if state.group == group}
    wires = tuple(wire for wire in full.wires if inside & {wire.source, wire.dest})
    shown = inside | {name for wire in wires for name in (wire.source, wire.dest)}
    cards = tuple(
        card if card.id in inside else evolve(card, meaning="", action="")
        for card in full.cards
        if card.id in shown
    )
    spine = tuple(name for name in full.spine if name in shown)
    return evolve(_chart(machine, f"{group}: its states, and every edge that leaves or enters them", cards,
                         wires, spine, READING["full"]), title=f"{machine.name}: {group}")  # fmt: skip


def good_path(machine: Machine[Any], without: Iterable[str] = ()) -> Chart:
    """The good path, and the other states folded into a few boxes."""
    boxes, edges = folded(machine, without)
    start = machine.good_path[0]
    cards = [_card(machine, machine.state(start), "events")]
    for box in boxes:
        state = machine.state(box.states[0])
        alone = len(box.states) == 1
        # a folded box that waits for a person stands beside the good path: the drawing stays narrow
        group = "" if state.kind == "parked" else state.group
        cards.append(
            Card(box.name, box.states, box.look, state.kind, group, state.meaning if alone else "",
                 (state.action or "") if alone else "", tip=state.meaning)
        )  # fmt: skip
    home = {state: box.name for box in boxes for state in box.states} | {NONE: NONE}
    wires = []
    for edge in edges:
        found = [
            t for t in machine.transitions
            if home.get(t.source) == edge.source and home.get(t.dest) == edge.dest
        ]  # fmt: skip
        tone = tone_of(machine, edge.source, edge.dest, found)
        row = Row("", edge.events, tuple(t.id for t in found))
        wires.append(Wire(edge.source, edge.dest, tone, (row,)))
    spine = tuple(name for name in machine.good_path if name in {card.id for card in cards})
    made = _chart(machine, "the good path, other states folded", tuple(cards), tuple(wires), spine)
    return evolve(made, narrow=True)


def spine_of(machine: Machine[Any]) -> tuple[str, ...]:
    """The good path; of a machine that declares none, the longest straight way down its table."""
    known = dict.fromkeys(name for name in machine.good_path if name in machine.by_name)
    if known:
        return tuple(known)
    ahead = {state.name: place for place, state in enumerate(machine.states)}
    best: dict[str, tuple[str, ...]] = {}
    for state in reversed(machine.states):
        ways = [best[t.dest] for t in machine.transitions
                if t.source == state.name and ahead[t.dest] > ahead[t.source] and t.dest in best
                and machine.state(t.dest).kind != "parked"]  # fmt: skip
        best[state.name] = (state.name, *max(ways, key=len, default=()))
    return best[machine.states[0].name] if machine.states else ()


def _chart(
    machine: Machine[Any],
    what: str,
    cards: tuple[Card, ...],
    wires: tuple[Wire, ...],
    spine: tuple[str, ...],
    reading: str = "",
) -> Chart:
    live = sum(state.kind != "pseudo" for state in machine.states)
    path = ", ".join(machine.good_path) or "none declared"
    return Chart(
        machine.name,
        f"version {machine.version} · content hash {machine.content_hash[:16]}… · {what}",
        f"State machine {machine.name}, version {machine.version}, content hash {machine.content_hash}: "
        f"{live} states, {len(machine.transitions)} transitions. Good path: {path}.",
        reading,
        cards,
        wires,
        spine,
    )


def _card(machine: Machine[Any], state: State, detail: Detail) -> Card:
    tip = [f"{state.name}: {state.meaning}"]
    if state.absorbs:
        tip.append(f"absorbs {', '.join(state.absorbs)}")
    tip += [f"always refuses {r.event} ({r.code}): {r.sentence}" for r in state.refuses]
    return Card(
        state.name,
        (state.name,),
        look_of(machine, state),
        state.kind,
        state.group,
        state.meaning if detail == "full" else "",
        state.action or "",
        "\n".join(tip),
    )


def _rows(machine: Machine[Any], members: Iterable[Transition[Any]], detail: Detail) -> tuple[Row, ...]:
    found: dict[tuple[object, ...], list[Transition[Any]]] = {}
    for t in members:
        key: tuple[object, ...] = (row_of(t),)
        if detail == "full":
            key = (row_of(t), t.requires, t.forbids, t.effects, t.reason)
        found.setdefault(key, []).append(t)
    restarts = {event.name for event in machine.events if event.origin == "restart"}
    return tuple(_row(same, restarts, detail) for same in found.values())


def _row(same: list[Transition[Any]], restarts: set[str], detail: Detail) -> Row:
    first = same[0]
    events = tuple(dict.fromkeys(t.event for t in same))
    row = Row(row_of(first), events, tuple(t.id for t in same), restart=set(events) <= restarts)
    if detail == "events":
        return row
    named = len(first.requires) + len(first.forbids) > GUARDS_AS_SENTENCES_MAX
    guards = tuple(g.name if named else g.sentence for g in first.requires)
    guards += tuple(f"not {g.name}" if named else f"not: {g.sentence}" for g in first.forbids)
    return evolve(row, guards=guards, named=named, effects=first.effects, why=first.reason)


def marked(chart: Chart, states: Mapping[str, Mark], transitions: Mapping[str, Mark]) -> Chart:
    """The same content with marks: a row takes the mark of its transitions, a wire that of its rows when
    they agree and ``changed`` when only some have one."""

    def of(marks: Iterable[Mark]) -> Mark:
        found = list(dict.fromkeys(marks))
        return found[0] if len(found) == 1 else "changed"

    wires = []
    for wire in chart.wires:
        rows = tuple(evolve(row, mark=of(transitions.get(name, "") for name in row.ids)) for row in wire.rows)
        wires.append(evolve(wire, rows=rows, mark=of(row.mark for row in rows)))
    cards = tuple(evolve(card, mark=states.get(card.id, "")) for card in chart.cards)
    return evolve(chart, cards=cards, wires=tuple(wires), marks=True)
