"""Rules about the edges of one cell, and about what they leave out."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

from ...machines.spec import Machine, Origin
from ..kit.cells import Cell
from .cubes import Cube, TooMany, covered, cube, is_possible
from .gaps import edged_cells, gaps_of, told
from .rules import Finding, finding


def cell_rules(spec: Machine[Any]) -> Iterator[Finding]:
    """L20 to L26, cell by cell."""
    origins = {event.name: event.origin for event in spec.events}
    for cell in edged_cells(spec):
        cubes = tuple(cube(edge) for edge in cell.edges)
        yield from _never_taken(spec, cell, cubes)
        yield from _overlaps(spec, cell, cubes)
        yield from _left_out(spec, cell, origins[cell.event])
        yield from _dead_answers(spec, cell, cubes)
    for state in spec.states:
        for fixed in state.refuses:
            if fixed.event in state.absorbs:
                where = f"{state.name} + {fixed.event}"
                yield finding("L26", spec.name, where, "`refuses` names it, but it is absorbed before", _LINE)
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
            taking = [e.id for e, c in earlier if is_possible(c | own)]
            words = f"it is never taken: all it would accept goes to {', '.join(taking)} before"
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


def _left_out(spec: Machine[Any], cell: Cell, origin: Origin) -> Iterator[Finding]:
    """L23 and L24. An event that the state absorbs or always refuses is answered, so nothing is left out."""
    state, where = spec.state(cell.state), f"{cell.state} + {cell.event}"
    if cell.event in state.absorbs or any(fixed.event == cell.event for fixed in state.refuses):
        return
    outside = origin in ("mint", "clock", "restart")
    try:
        found = gaps_of(spec, cell)
    except TooMany as error:
        yield finding("L24", spec.name, where, str(error), "ask for less in one cell")
        return
    wanted = {guard.name for edge in cell.edges for guard in edge.requires}
    twins = wanted & {guard.name for edge in cell.edges for guard in edge.forbids}
    holes = [told(spec, gap.terms) for gap in found if gap.terms and {name for name, _ in gap.terms} <= twins]
    if holes:
        words = f"its edges tell cases apart, but none is taken when {'; or when '.join(holes)}"
        yield finding("L23", spec.name, where, words, _TWIN, None if outside else "warning")
    if found and outside:
        words = "it is refused when " + "; or when ".join(told(spec, gap.terms) or _ALWAYS for gap in found)
        fix = "nothing, if that is meant; else add the edge, or let the state absorb the event"
        yield finding("L24", spec.name, where, words, fix, "warning" if origin == "restart" else None)


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
_ALWAYS = "anything is so"
_LINE = "remove the line, or guard the edge"
