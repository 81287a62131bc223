"""Changes as a drawing: both versions in one, added green, removed red and dashed, changed amber."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from ...machines.spec import Guard, Machine, Transition
from ..svg import chart
from ..svg.chart import Chart, Mark
from ..svg.draw import drawn
from ..svg.theme import Theme
from .compare import Change, Changes
from .stored import Stored, machine_of


def drawing(found: Changes, theme: Theme = "auto", compared: str = "") -> str:
    """One SVG of both versions of a machine; unchanged parts are dimmed. A changed row tells what was
    taken out (−) and put in (+). ``compared`` says of what."""
    old, new = found.old, found.new
    machine = machine_of(_either(new, old))
    before = machine if old is None else machine_of(old)
    union, transitions = _union(found, machine, before)
    states = _states(found, union)
    marked = _short(chart.marked(chart.whole(union), states, transitions))
    versions = " → ".join(
        "absent" if side is None else f"version {side['version']}, {machine_of(side).content_hash[:12]}…"
        for side in (old, new)
    )
    subtitle = " · ".join(part for part in (compared, versions) if part)
    title = f"{found.machine}: changes"
    summary = f"Changes of the state machine {found.machine}: {len(found.changes)}."
    return drawn(evolve(marked, title=title, subtitle=subtitle, summary=summary), theme)


def _short(marked: Chart) -> Chart:
    """Only what changed is told in full; the rest is there to show where."""
    wires = tuple(
        evolve(wire, rows=tuple(r if r.mark else evolve(r, guards=(), effects=()) for r in wire.rows))
        for wire in marked.wires
    )
    cards = tuple(card if card.mark else evolve(card, meaning="") for card in marked.cards)
    return evolve(marked, cards=cards, wires=wires)


def _either(new: Stored | None, old: Stored | None) -> Stored:
    found = old if new is None else new
    assert found is not None
    return found


def _union(
    found: Changes, machine: Machine[Any], before: Machine[Any]
) -> tuple[Machine[Any], dict[str, Mark]]:
    """Both versions in one machine, and the mark of each transition of it."""
    marks: dict[str, Mark] = {}
    if found.old is None or found.new is None:
        mark: Mark = "added" if found.old is None else "removed"
        return machine, {t.id: mark for t in machine.transitions}
    old = {t.id: t for t in before.transitions}
    edges = [change for change in found.changes if change.of == "edge"]
    renumbered = {change.new: change.old for change in edges if change.what == "id"}
    table: list[Transition[Any]] = []
    for t in machine.transitions:
        mine = [change for change in edges if change.name == t.id]
        if any(change.how == "added" for change in mine):
            marks[t.id] = "added"
        elif mine or _is_touched(found, t):
            marks[t.id] = "changed"
        was = old.get(renumbered.get(t.id, t.id))
        table.append(_told(t, mine))
        if was is not None and (was.source, was.dest, was.event) != (t.source, t.dest, t.event):
            table.append(evolve(was, id=f"{was.id}~old"))
            marks[f"{was.id}~old"] = "removed"
    for change in edges:
        if change.how == "removed":
            table.append(old[change.name])
            marks[change.name] = "removed"
    return evolve(machine, states=_all_states(machine, before), transitions=tuple(table),
                  events=_all_events(machine, before)), marks  # fmt: skip


def _is_touched(found: Changes, t: Transition[Any]) -> bool:
    """Whether an edge says or does something else because a guard, its event or its cell changed."""
    guards = {guard.name for guard in (*t.requires, *t.forbids)}
    for change in found.changes:
        if change.how != "changed":
            continue
        if change.of == "guard" and change.what in ("sentence", "code", "says_no") and change.name in guards:
            return True
        if change.of == "event" and change.what == "origin" and change.name == t.event:
            return True
        if change.of == "cell" and t.id in change.new:
            return True
    return False


def _told(t: Transition[Any], changes: list[Change]) -> Transition[Any]:
    """The edge with what was put in and taken out written before the names."""
    lists = {change.what: change for change in changes if change.what in ("requires", "forbids", "effects")}

    def guards(key: str, now: tuple[Guard[Any], ...]) -> tuple[Guard[Any], ...]:
        if key not in lists:
            return now
        new = [evolve(g, name=f"+{g.name}", sentence=f"+ {g.sentence}") if g.name in lists[key].new else g
               for g in now]  # fmt: skip
        gone = [Guard[Any](f"−{name}", f"− {name}", "", _never) for name in lists[key].old]
        return (*new, *gone)

    effects = t.effects
    if "effects" in lists:
        put_in = [f"+{name}" if name in lists["effects"].new else name for name in t.effects]
        effects = (*put_in, *(f"−{name}" for name in lists["effects"].old))
    return evolve(
        t, requires=guards("requires", t.requires), forbids=guards("forbids", t.forbids), effects=effects
    )


def _never(_facts: object) -> bool:
    return False


def _all_states(machine: Machine[Any], before: Machine[Any]) -> tuple[Any, ...]:
    """The states of both, a removed one behind what preceded it."""
    found = list(machine.states)
    place = 0
    for state in before.states:
        if state.name in machine.by_name:
            place = [known.name for known in found].index(state.name) + 1
        else:
            found.insert(place, state)
            place += 1
    return tuple(found)


def _all_events(machine: Machine[Any], before: Machine[Any]) -> tuple[Any, ...]:
    known = {event.name for event in machine.events}
    return (*machine.events, *(event for event in before.events if event.name not in known))


def _states(found: Changes, union: Machine[Any]) -> dict[str, Mark]:
    if found.old is None or found.new is None:
        mark: Mark = "added" if found.old is None else "removed"
        return {state.name: mark for state in union.states}
    return {
        change.name: change.how
        for change in found.changes
        if change.of == "state" and change.what != "order in the table"
    }
