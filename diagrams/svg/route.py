"""Which streets a wire takes: vertical ones between the columns, horizontal ones between the rows.

``Street`` 0 of either kind lies before the first column (row), street n after the n-th.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final, Literal

from attrs import frozen

from .chart import Chart, Wire
from .place import Grid

Side = Literal["left", "right"]

_COLUMN: Final = 10
_ROW: Final = 7
_BEND: Final = 3
_CROWD: Final = 1
_ACROSS: Final = 4


@frozen
class Way:
    """From a side of the source to a side of the destination. ``up`` and ``down`` are the vertical streets
    it takes, ``over`` the horizontal one between them (None: both are one street)."""

    wire: Wire
    out: Side
    enter: Side
    first: int
    over: int | None
    last: int


def ways(chart: Chart, grid: Grid) -> tuple[tuple[Way, ...], tuple[Wire, ...], tuple[Wire, ...]]:
    """The ways of all wires; those that run straight down the spine; and those that stay."""
    straight = tuple(wire for wire in chart.wires if _is_straight(wire, chart, grid))
    stays = tuple(wire for wire in chart.wires if wire.source == wire.dest)
    others = [wire for wire in chart.wires if wire not in straight and wire not in stays]
    others.sort(key=lambda wire: _distance(wire, grid))
    streets: Counter[tuple[str, int, int]] = Counter()
    entered: dict[str, Counter[Side]] = {}
    found: dict[Wire, Way] = {}
    for wire in others:
        best = min(_possible(wire, grid), key=lambda way: (_cost(way, grid, streets, entered), _sort(way)))
        streets.update(_used(best, grid))
        entered.setdefault(wire.dest, Counter())[best.enter] += 1
        found[wire] = best
    return tuple(found[wire] for wire in chart.wires if wire in found), straight, stays


def _is_straight(wire: Wire, chart: Chart, grid: Grid) -> bool:
    """A step to the next card of the spine below."""
    if wire.source not in chart.spine or wire.dest not in chart.spine:
        return False
    return chart.spine.index(wire.dest) == chart.spine.index(wire.source) + 1


def _distance(wire: Wire, grid: Grid) -> tuple[int, int, int]:
    (column, row), (to_column, to_row) = grid.cells[wire.source], grid.cells[wire.dest]
    across, along = abs(column - to_column), abs(row - to_row)
    return across * _COLUMN + along * _ROW, row, to_row


def _possible(wire: Wire, grid: Grid) -> list[Way]:
    found: list[Way] = []
    for out, first in _reach(grid, wire.source):
        for enter, last in _reach(grid, wire.dest):
            if first == last:
                found.append(Way(wire, out, enter, first, None, last))
            found += [Way(wire, out, enter, first, over, last) for over in range(grid.rows + 1)]
    return found


def _reach(grid: Grid, name: str) -> list[tuple[Side, int]]:
    """The vertical streets a line may take from a card: the nearest, and those behind empty cells."""
    taken = set(grid.cells.values())
    column, row = grid.cells[name]
    found: list[tuple[Side, int]] = [("left", column), ("right", column + 1)]
    street = column
    while street > 0 and (street - 1, row) not in taken:
        street -= 1
        found.append(("left", street))
    street = column + 1
    while street < len(grid.lanes) and (street, row) not in taken:
        street += 1
        found.append(("right", street))
    return found


def _levels(way: Way, grid: Grid) -> tuple[int, int, int | None]:
    """Source row, destination row and horizontal street on one scale of half rows."""
    row, to_row = grid.cells[way.wire.source][1], grid.cells[way.wire.dest][1]
    return 2 * row + 1, 2 * to_row + 1, None if way.over is None else 2 * way.over


def _cost(
    way: Way,
    grid: Grid,
    streets: Counter[tuple[str, int, int]],
    entered: Mapping[str, Counter[Side]],
) -> int:
    column, to_column = grid.cells[way.wire.source][0], grid.cells[way.wire.dest][0]
    level, to_level, over = _levels(way, grid)
    out = abs(2 * way.first - (2 * column + 1)) - 1
    back = abs(2 * way.last - (2 * to_column + 1)) - 1
    # an empty cell of the spine still holds the good path: passing it crosses the thickest line
    cost = (out + back) // 2 * (_COLUMN + _ACROSS) + 2 * _BEND
    if over is None:
        cost += abs(level - to_level) * _ROW // 2
    else:
        cost += (abs(level - over) + abs(to_level - over)) * _ROW // 2
        cost += abs(way.first - way.last) * (_COLUMN + _ACROSS) + 2 * _BEND
    cost += _CROWD * sum(streets[key] for key in _used(way, grid)) // 2
    others = entered.get(way.wire.dest, Counter())
    other: Side = "left" if way.enter == "right" else "right"
    return cost + (2 if others[other] > others[way.enter] else 0)


def _used(way: Way, grid: Grid) -> list[tuple[str, int, int]]:
    level, to_level, over = _levels(way, grid)
    if over is None:
        low, high = sorted((level, to_level))
        return [("v", way.first, at) for at in range(low, high)]
    found = [("v", way.first, at) for at in range(*sorted((level, over)))]
    found += [("v", way.last, at) for at in range(*sorted((to_level, over)))]
    return found + [("h", over, at) for at in range(*sorted((way.first, way.last)))]


def _sort(way: Way) -> tuple[str, str, int, int, int]:
    return way.out, way.enter, way.first, -1 if way.over is None else way.over, way.last
