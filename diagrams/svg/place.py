"""Which column and row each card gets.

Columns from left to right: *ended* (final states), *spine* (the good path, straight down), *beside* (the
other live states) and *parked* (states that wait for a person). Rows run from start to end; the groups of
live states are bands of rows. Everything follows from the order of the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from attrs import frozen

from .chart import Card, Chart

Lane = Literal["ended", "spine", "beside", "parked"]
LANES: Final[tuple[Lane, ...]] = ("ended", "spine", "beside", "parked")


@frozen
class Band:
    """Rows ``first`` to ``last`` hold the live states of one group."""

    name: str
    first: int
    last: int


@frozen
class Grid:
    """``cells``: (column, row) by card id. ``lanes``: what each column is. ``rows``: how many there are."""

    lanes: tuple[Lane, ...]
    rows: int
    cells: Mapping[str, tuple[int, int]]
    bands: tuple[Band, ...]


def placed(chart: Chart) -> Grid:
    """The grid of a chart; every card has a cell of its own."""
    lane = {card.id: _lane(card, chart) for card in chart.cards}
    near = _neighbours(chart)
    rows, bands = _spine_and_beside(chart, lane, near)
    for side in ("parked", "ended"):
        _settle([card for card in chart.cards if lane[card.id] == side], near, rows)
    lanes = tuple(name for name in LANES if name in lane.values())
    count = 1 + max(rows.values(), default=0)
    cells = {card.id: (lanes.index(lane[card.id]), rows[card.id]) for card in chart.cards}
    return Grid(lanes, count, cells, bands)


def _lane(card: Card, chart: Chart) -> Lane:
    if card.id in chart.spine:
        return "spine"
    if card.kind == "final":
        return "ended"
    return "parked" if card.kind == "parked" and not chart.narrow else "beside"


def _neighbours(chart: Chart) -> dict[str, list[str]]:
    near: dict[str, list[str]] = {card.id: [] for card in chart.cards}
    for wire in chart.wires:
        if wire.source != wire.dest:
            near[wire.source].append(wire.dest)
            near[wire.dest].append(wire.source)
    return near


def _spine_and_beside(
    chart: Chart, lane: Mapping[str, Lane], near: Mapping[str, Sequence[str]]
) -> tuple[dict[str, int], tuple[Band, ...]]:
    """The rows of both middle columns, and the bands they form."""
    by_id = {card.id: card for card in chart.cards}
    runs: list[tuple[str, list[str], list[str]]] = []
    for name in chart.spine:
        card = by_id[name]
        group = card.group if card.kind in ("live", "parked") else ""
        if runs and runs[-1][0] == group:
            runs[-1][1].append(name)
        else:
            runs.append((group, [name], []))
    order = {card.id: place for place, card in enumerate(chart.cards)}
    for card in chart.cards:
        if lane[card.id] == "beside":
            _home(runs, card, order)[2].append(card.id)
    rows: dict[str, int] = {}
    bands: list[Band] = []
    top = 0
    for group, middle, beside in runs:
        local = {name: row for row, name in enumerate(middle)}
        wanted = [(_wanted(near[name], local), name) for name in beside]
        size = max(len(middle), len(beside), 1)
        wanted.sort(key=lambda item: (item[0], order[item[1]]))
        for row, (_, name) in zip(_spread([row for row, _ in wanted], size), wanted, strict=True):
            rows[name] = top + row
        rows.update({name: top + row for name, row in local.items()})
        if group:
            bands.append(Band(group, top, top + size - 1))
        top += size
    return rows, tuple(bands)


def _home(
    runs: list[tuple[str, list[str], list[str]]], card: Card, order: Mapping[str, int]
) -> tuple[str, list[str], list[str]]:
    """The run of rows a card beside the spine belongs to; a group of its own comes after what precedes it
    in the table."""
    for run in runs:
        if run[0] == card.group and card.group:
            return run
    before = [place for place, run in enumerate(runs)
              if any(order[name] < order[card.id] for name in (*run[1], *run[2]))]  # fmt: skip
    at = max(before, default=-1)
    if not card.group and at >= 0:
        return runs[at]
    runs.insert(at + 1, (card.group, [], []))
    return runs[at + 1]


def _wanted(near: Sequence[str], local: Mapping[str, int]) -> int:
    found = [local[name] for name in near if name in local]
    return min(found, default=0)


def _spread(wanted: Sequence[int], size: int) -> list[int]:
    """Rows as near as possible to those wanted (which ascend), each once, all below ``size``."""
    taken: list[int] = []
    for row in wanted:
        taken.append(max(row, taken[-1] + 1 if taken else 0))
    for place in range(len(taken) - 1, -1, -1):
        taken[place] = min(taken[place], size - len(taken) + place)
    return taken


def _settle(cards: Sequence[Card], near: Mapping[str, Sequence[str]], rows: dict[str, int]) -> None:
    """Give the cards of a side column the rows next to what leads to them."""
    known = dict(rows)
    wanted = []
    for place, card in enumerate(cards):
        found = sorted(known[name] for name in near[card.id] if name in known)
        wanted.append((found[len(found) // 2] if found else 0, place, card.id))
    wanted.sort()
    size = max(1 + max(known.values(), default=0), len(cards))
    for row, (_, _, name) in zip(_spread([row for row, _, _ in wanted], size), wanted, strict=True):
        rows[name] = row
