"""Rules about the edges of one cell, and about what they leave out."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

from ..kit.cells import Cell
from ..spec import Machine
from .cubes import Cube, covered, cube, is_possible
from .gaps import edged_cells, gaps, open_conditions, told
from .rules import Finding, Severity, finding


def cell_rules(spec: Machine[Any]) -> Iterator[Finding]:
    """L20 to L26, cell by cell."""
    for cell in edged_cells(spec):
        cubes = tuple(cube(edge) for edge in cell.edges)
        yield from _never_taken(spec, cell, cubes)
        yield from _overlaps(spec, cell, cubes)
        yield from _holes(spec, cell)
        yield from _dead_answers(spec, cell, cubes)
    for state in spec.states:
        for fixed in state.refuses:
            if fixed.event in state.absorbs:
                where = f"{state.name} + {fixed.event}"
                yield finding("L26", spec.name, where, "`refuses` names it, but it is absorbed before", _LINE)
    yield from _refusals(spec)
    for edge in spec.transitions:
        if edge.source == edge.dest and not edge.effects:
            words = f"it stays in {edge.source} and writes nothing"
            yield finding("L25", spec.name, edge.id, words, "absorb the event there, or name what it writes")


def _never_taken(spec: Machine[Any], cell: Cell, cubes: tuple[Cube | None, ...]) -> Iterator[Finding]:
    for n, (edge, own) in enumerate(zip(cell.edges, cubes, strict=True)):
        if own is None:
            both = {guard.name for guard in edge.requires} & {guard.name for guard in edge.forbids}
            words = f"it requires and forbids {', '.join(sorted(both))}"
            yield finding("L22", spec.name, edge.id, words, "decide which of the two is meant")
            continue
        earlier = [(e, c) for e, c in zip(cell.edges[:n], cubes[:n], strict=True) if c is not None]
        if covered(own, [c for _, c in earlier]):
            taking = ", ".join(e.id for e, c in earlier if is_possible(c | own))
            words = f"it is never taken: {taking} come first and accept all it would"
            words = words if "," in taking else words.replace("come", "comes").replace("accept", "accepts")
            yield finding("L20", spec.name, edge.id, words, "move it up, ask for more above it, or remove it")


def _overlaps(spec: Machine[Any], cell: Cell, cubes: tuple[Cube | None, ...]) -> Iterator[Finding]:
    for (one, first), (other, second) in combinations(zip(cell.edges, cubes, strict=True), 2):
        if first is None or second is None or not is_possible(first | second):
            continue
        terms = tuple((name, (name, True) in first | second) for name in cell.guards
                      if {(name, True), (name, False)} & (first | second))  # fmt: skip
        words = f"it and {one.id}, which comes first, both agree when {shown(terms)}"
        fix = "let one of them forbid what the other requires"
        yield finding("L21", spec.name, other.id, words, fix, "note" if second < first else None)


def _holes(spec: Machine[Any], cell: Cell) -> Iterator[Finding]:
    state = spec.state(cell.state)
    if cell.event in state.absorbs or any(fixed.event == cell.event for fixed in state.refuses):
        return
    wanted = {guard.name for edge in cell.edges for guard in edge.requires}
    unwanted = {guard.name for edge in cell.edges for guard in edge.forbids}
    origin = {event.name: event.origin for event in spec.events}[cell.event]
    conditions: list[str] = []
    for condition in open_conditions(cell):
        names = {name for name, _ in condition}
        if names and names <= wanted & unwanted:
            conditions.append(
                told(spec, tuple((name, (name, True) in condition) for name in cell.guards if name in names))
            )
    if conditions:
        words = f"its edges tell cases apart, but none is taken when {'; or when '.join(conditions)}"
        outside = origin in ("mint", "clock", "restart")
        where = f"{cell.state} + {cell.event}"
        yield finding("L23", spec.name, where, words, _TWIN, None if outside else "warning")


def _refusals(spec: Machine[Any]) -> Iterator[Finding]:
    found: dict[tuple[str, str], list[str]] = {}
    origins = {event.name: event.origin for event in spec.events}
    for gap in gaps(spec):
        if gap.outcome == "refused" and gap.origin in ("mint", "clock", "restart"):
            found.setdefault((gap.state, gap.event), []).append(told(spec, gap.terms) or "always")
    for (state, event), conditions in found.items():
        words = "it is refused when " + "; or when ".join(conditions)
        severity: Severity | None = "warning" if origins[event] == "restart" else None
        fix = "nothing, if that is meant; else add the edge, or let the state absorb the event"
        yield finding("L24", spec.name, f"{state} + {event}", words, fix, severity)


def _dead_answers(spec: Machine[Any], cell: Cell, cubes: tuple[Cube | None, ...]) -> Iterator[Finding]:
    state = spec.state(cell.state)
    absorbs = cell.event in state.absorbs
    refuses = any(fixed.event == cell.event for fixed in state.refuses)
    if (absorbs or refuses) and covered(frozenset(), [one for one in cubes if one is not None]):
        words = f"`{'absorbs' if absorbs else 'refuses'}` names it, but an edge is always taken"
        yield finding("L26", spec.name, f"{cell.state} + {cell.event}", words, _LINE)


def shown(terms: tuple[tuple[str, bool], ...]) -> str:
    """A valuation in short: ``a, not b``."""
    return ", ".join(name if answer else f"not {name}" for name, answer in terms) or "anything holds"


_TWIN = "make facts that belong together one guard, required on one edge and forbidden on its twin"
_LINE = "remove the line, or guard the edge"
