"""Where everything lies: whole pixels, the same for the same chart on every machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from attrs import evolve, frozen

from . import text
from .box import ENTRY, ENTRY_STEP, Inside, bare_width, inside
from .chart import Chart, Wire
from .place import Grid, placed
from .route import Side, Way, ways
from .tracks import Join, Net, Stretch, lanes, stretches

CARD_WIDTH: Final = 283
CARD_WIDTH_NARROW: Final = 226
APART: Final = 9
_STREET_PAD: Final = 22
_STREET_EMPTY: Final = 28
_EDGE: Final = 14
_CORRIDOR_PAD: Final = 13
_CORRIDOR_EMPTY: Final = 26
_BAND_NAME: Final = 22
_LANE_NAME: Final = 28
_LANE_NAMES: Final[Mapping[str, str]] = {"ended": "ended", "parked": "a person must look"}
_BESIDE_PATH: Final = 12
_WIDEST_FOR_NAME: Final = 2 * CARD_WIDTH
"""A group's name beyond that is cut: it says more than a name."""

Point = tuple[int, int]


@frozen
class Area:
    """A tinted rectangle with a name: a band or a side lane. ``label`` is as much of the name as has room."""

    name: str
    label: str
    kind: str
    x: int
    y: int
    width: int
    height: int


@frozen
class PlacedCard:
    """A card and its place; everything in ``inside`` is relative to it."""

    inside: Inside
    x: int
    y: int


@frozen
class Line:
    """A wire as points; every part is horizontal or vertical. ``straight``: it runs down the spine."""

    wire: Wire
    points: tuple[Point, ...]
    straight: bool = False


@frozen
class Layout:
    """Cards, lines and tinted areas on a canvas that begins at 0, 0."""

    width: int
    height: int
    cards: tuple[PlacedCard, ...]
    lines: tuple[Line, ...]
    areas: tuple[Area, ...]


@frozen
class _Rows:
    """Vertical coordinates: the top of each row, and of each horizontal street the y of its stretches."""

    tops: tuple[int, ...]
    streets: tuple[Mapping[Stretch, int], ...]
    bands: tuple[tuple[int, int], ...]
    height: int


def arranged(chart: Chart) -> Layout:
    """Lay a chart out."""
    grid = placed(chart)
    found, straight, stays = ways(chart, grid)
    contents = _contents(chart, grid, straight)
    rows = _rows(grid, contents, found)
    pins = _pins(grid, contents, rows)
    used = _verticals(grid, found, pins, rows)
    lefts, street_x, width = _columns(grid, contents, used)
    cards = tuple(
        PlacedCard(contents[card.id], lefts[grid.cells[card.id][0]], rows.tops[grid.cells[card.id][1]])
        for card in chart.cards
    )
    at = {card.inside.card.id: card for card in cards}
    lines = [_line(way, at, pins, rows, street_x, used) for way in found]
    lines += [_down(wire, at) for wire in straight]
    lines += [_loop(wire, at, pins) for wire in stays]
    order = {wire: place for place, wire in enumerate(chart.wires)}
    lines.sort(key=lambda line: order[line.wire])
    return Layout(width, rows.height, cards, tuple(lines), _areas(grid, rows, lefts, contents))


def _contents(chart: Chart, grid: Grid, straight: Sequence[Wire]) -> dict[str, Inside]:
    """Set all cards; those of one column have one width. Blocks follow the rows their wires lead to."""
    out: dict[str, list[Wire]] = {card.id: [] for card in chart.cards}
    for wire in chart.wires:
        out[wire.source].append(wire)
    widths = _least_widths(grid)
    card_width = CARD_WIDTH_NARROW if chart.narrow else CARD_WIDTH
    for card in chart.cards:
        column = grid.cells[card.id][0]
        wanted = max(bare_width(card), card_width if out[card.id] else 0)
        widths[column] = max(widths.get(column, 0), wanted)

    def order(wire: Wire) -> tuple[bool, int, int]:
        column, row = grid.cells[wire.dest]
        return wire in straight, row, column

    return {
        card.id: inside(card, sorted(out[card.id], key=order), widths[grid.cells[card.id][0]])
        for card in chart.cards
    }


def _least_widths(grid: Grid) -> dict[int, int]:
    """How wide the cards of a column must be for the names of the areas around them."""
    widths: dict[int, int] = {}
    for column, lane in enumerate(grid.lanes):
        if lane in _LANE_NAMES:
            widths[column] = text.width(_LANE_NAMES[lane], text.BAND)
    if grid.bands:
        needed = max(text.width(band.name, text.BAND) for band in grid.bands)
        widths[_middle(grid)[0]] = min(2 * (needed + _BESIDE_PATH), _WIDEST_FOR_NAME)
    return widths


def _middle(grid: Grid) -> list[int]:
    """The columns between the side lanes."""
    return [column for column, lane in enumerate(grid.lanes) if lane in ("spine", "beside")]


def _net(way: Way) -> Net:
    return way.wire.dest, way.enter


def _rows(grid: Grid, contents: Mapping[str, Inside], found: Sequence[Way]) -> _Rows:
    heights = [0] * grid.rows
    for name, (_, row) in grid.cells.items():
        heights[row] = max(heights[row], contents[name].height)
    begins = {band.first for band in grid.bands}
    ends = {band.last: number for number, band in enumerate(grid.bands)}
    has_lanes = any(lane in _LANE_NAMES for lane in grid.lanes)
    y = _LANE_NAME if has_lanes else 4
    tops: list[int] = []
    streets: list[Mapping[Stretch, int]] = []
    spans: dict[int, tuple[int, int]] = {}
    opened = 0
    for over in range(grid.rows + 1):
        if over - 1 in ends:
            y += 12
            spans[ends[over - 1]] = (opened, y)
        street, y = _street(over, grid, found, y)
        streets.append(street)
        if over in begins:
            opened = y
            y += _BAND_NAME
        if over < grid.rows:
            tops.append(y)
            y += heights[over]
    return _Rows(tuple(tops), tuple(streets), tuple(spans[n] for n in range(len(grid.bands))), y)


def _street(over: int, grid: Grid, found: Sequence[Way], y: int) -> tuple[Mapping[Stretch, int], int]:
    """The stretches of one horizontal street with their y, and where the street ends."""
    parts = []
    for way in found:
        if way.over == over and way.first != way.last:
            row, to_row = grid.cells[way.wire.source][1], grid.cells[way.wire.dest][1]
            joins = (Join(way.first, row < over), Join(way.last, to_row < over))
            parts.append((_net(way), min(way.first, way.last), max(way.first, way.last), joins))
    taken = lanes(stretches(parts), 1)
    if not taken:
        outer = over in (0, grid.rows)
        return {}, y + (6 if outer else _CORRIDOR_EMPTY)
    y += _CORRIDOR_PAD
    last = max(taken.values())
    return {part: y + APART * lane for part, lane in taken.items()}, y + APART * last + _CORRIDOR_PAD


def _pins(grid: Grid, contents: Mapping[str, Inside], rows: _Rows) -> dict[tuple[str, str], int]:
    """The y of every way out, by source and destination; no two cards of a row use the same."""
    used: dict[int, dict[int, str]] = {row: {} for row in range(grid.rows)}
    for name in grid.cells:
        row = grid.cells[name][1]
        for side in ("left", "right"):
            used[row][_entry(grid, rows, name, side)] = name
    found: dict[tuple[str, str], int] = {}
    for name, content in contents.items():
        row = grid.cells[name][1]
        for block in content.blocks:
            wanted = rows.tops[row] + block.pin
            shifts = (0, 2, -2, 4, -4, 6, -6, 8, -8, 1, -1, 3, -3, 5, -5, 7, -7)
            free = [wanted + shift for shift in shifts if _is_free(used[row], wanted + shift, name)]
            found[block.wire.source, block.wire.dest] = free[0] if free else wanted
            used[row][free[0] if free else wanted] = name
    return found


def _is_free(used: Mapping[int, str], y: int, name: str) -> bool:
    return all(used.get(y + near, name) == name for near in (-1, 0, 1)) and y not in used


def _entry(grid: Grid, rows: _Rows, name: str, side: Side | str) -> int:
    column, row = grid.cells[name]
    return rows.tops[row] + ENTRY + ENTRY_STEP * (2 * column + (side == "right"))


@frozen
class _Used:
    """The stretches and lanes of each vertical street, and the place of each part of a way."""

    streets: tuple[Mapping[Stretch, int], ...]
    entries: Mapping[Wire, int]
    over: Mapping[Wire, int]


def _verticals(grid: Grid, found: Sequence[Way], pins: Mapping[tuple[str, str], int], rows: _Rows) -> _Used:
    parts: list[list[tuple[Net, int, int, tuple[Join, ...]]]] = [[] for _ in range(len(grid.lanes) + 1)]
    entries: dict[Wire, int] = {}
    overs: dict[Wire, int] = {}
    for way in found:
        leave = pins[way.wire.source, way.wire.dest]
        enter = entries[way.wire] = _entry(grid, rows, way.wire.dest, way.enter)
        out = Join(leave, way.out == "right")
        into = Join(enter, way.enter == "right")
        if way.over is None or way.first == way.last:
            parts[way.first].append((_net(way), min(leave, enter), max(leave, enter), (out, into)))
            continue
        y = overs[way.wire] = _y_of(rows.streets[way.over], way)
        turn, back = Join(y, way.last < way.first), Join(y, way.first < way.last)
        parts[way.first].append((_net(way), min(leave, y), max(leave, y), (out, turn)))
        parts[way.last].append((_net(way), min(enter, y), max(enter, y), (back, into)))
    return _Used(tuple(lanes(stretches(street), APART) for street in parts), entries, overs)


def _y_of(street: Mapping[Stretch, int], way: Way) -> int:
    low, high = sorted((way.first, way.last))
    return next(y for part, y in street.items()
                if part.net == _net(way) and part.first <= low and high <= part.last)  # fmt: skip


def _columns(
    grid: Grid, contents: Mapping[str, Inside], used: _Used
) -> tuple[list[int], list[Mapping[Stretch, int]], int]:
    """The left edge of each column, the x of each stretch of the vertical streets, and the whole width."""
    widths = [0] * len(grid.lanes)
    for name, (column, _) in grid.cells.items():
        widths[column] = contents[name].width
    x = 0
    lefts: list[int] = []
    streets: list[Mapping[Stretch, int]] = []
    for number, street in enumerate(used.streets):
        outer = number in (0, len(grid.lanes))
        if street:
            before = _EDGE if number == 0 else _STREET_PAD
            after = _EDGE if number == len(grid.lanes) else _STREET_PAD
            streets.append({part: x + before + APART * lane for part, lane in street.items()})
            x += before + APART * max(street.values()) + after
        else:
            streets.append({})
            x += _EDGE + 8 if outer else _STREET_EMPTY + 12
        if number < len(widths):
            lefts.append(x)
            x += widths[number]
    return lefts, streets, x


def _line(
    way: Way,
    at: Mapping[str, PlacedCard],
    pins: Mapping[tuple[str, str], int],
    rows: _Rows,
    street_x: Sequence[Mapping[Stretch, int]],
    used: _Used,
) -> Line:
    source, dest = at[way.wire.source], at[way.wire.dest]
    leave, enter = pins[way.wire.source, way.wire.dest], used.entries[way.wire]
    start = source.x + (source.inside.width if way.out == "right" else 0)
    end = dest.x + (dest.inside.width if way.enter == "right" else 0)
    if way.wire not in used.over:
        x = _x_of(street_x[way.first], way, leave, enter)
        points = [(start, leave), (x, leave), (x, enter), (end, enter)]
    else:
        y = used.over[way.wire]
        first = _x_of(street_x[way.first], way, leave, y)
        last = _x_of(street_x[way.last], way, enter, y)
        points = [(start, leave), (first, leave), (first, y), (last, y), (last, enter), (end, enter)]
    return Line(way.wire, tuple(points))


def _x_of(street: Mapping[Stretch, int], way: Way, one: int, other: int) -> int:
    low, high = sorted((one, other))
    return next(x for part, x in street.items()
                if part.net == _net(way) and part.first <= low and high <= part.last)  # fmt: skip


def _down(wire: Wire, at: Mapping[str, PlacedCard]) -> Line:
    source, dest = at[wire.source], at[wire.dest]
    x = source.x + source.inside.width // 2
    return Line(wire, ((x, source.y + source.inside.height), (x, dest.y)), straight=True)


def _loop(wire: Wire, at: Mapping[str, PlacedCard], pins: Mapping[tuple[str, str], int]) -> Line:
    card, y = at[wire.source], pins[wire.source, wire.dest]
    right = card.x + card.inside.width
    return Line(wire, ((right, y), (right + 14, y), (right + 14, y + 11), (right, y + 11)))


def _areas(grid: Grid, rows: _Rows, lefts: Sequence[int], contents: Mapping[str, Inside]) -> tuple[Area, ...]:
    widths = {grid.cells[name][0]: content.width for name, content in contents.items()}
    found: list[Area] = []
    for column, lane in enumerate(grid.lanes):
        if lane in _LANE_NAMES:
            name = _LANE_NAMES[lane]
            label = text.cut(name, text.BAND, widths[column])
            found.append(Area(name, label, lane, lefts[column] - 10, 0, widths[column] + 20, rows.height))
    middle = _middle(grid)
    for band, (top, bottom) in zip(grid.bands, rows.bands, strict=True):
        left = lefts[middle[0]] - 10
        right = lefts[middle[-1]] + widths[middle[-1]] + 10
        # the good path comes down the middle of the first card
        label = text.cut(band.name, text.BAND, widths[middle[0]] // 2 - _BESIDE_PATH)
        found.append(Area(band.name, label, "band", left, top, right - left, bottom - top))
    return tuple(found)


def moved(layout: Layout, right: int, down: int, width: int, height: int) -> Layout:
    """The same layout elsewhere on a larger canvas."""
    cards = tuple(evolve(card, x=card.x + right, y=card.y + down) for card in layout.cards)
    lines = tuple(
        evolve(line, points=tuple((x + right, y + down) for x, y in line.points)) for line in layout.lines
    )
    areas = tuple(evolve(area, x=area.x + right, y=area.y + down) for area in layout.areas)
    return Layout(width, height, cards, lines, areas)
