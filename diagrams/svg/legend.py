"""The meaning of the colours and lines of a drawing; only those it uses."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from ..sketch import Look
from . import text
from .chart import Chart, Mark

_SAMPLE = 34
_SPACE = 20


@frozen
class Entry:
    """A sample (a line when it has a ``tone``, else a card) and its meaning."""

    text: str
    look: Look
    tone: str = ""
    mark: Mark = ""

    @property
    def width(self) -> int:
        """With the space that follows."""
        return _SAMPLE + text.width(self.text, text.FINE) + _SPACE


def entries(chart: Chart) -> tuple[Entry, ...]:
    """The legend of a chart, in a fixed order."""
    tones = {wire.tone for wire in chart.wires}
    looks = {card.look for card in chart.cards}
    found: list[Entry] = []
    if chart.marks:
        found += [
            Entry("added", "live", "plain", "added"),
            Entry("removed", "live", "plain", "removed"),
            Entry("changed", "live", "plain", "changed"),
        ]
    if "good" in tones:
        found.append(Entry("the good path", "good", "good"))
    if "ahead" in looks:
        found.append(Entry("written ahead: committed before its request is sent", "ahead"))
    if "parked" in looks:
        found.append(Entry("a person must look", "parked"))
    if "final" in looks or any(card.kind == "final" for card in chart.cards):
        found.append(Entry("double border: ended", "final"))
    if any(row.restart for wire in chart.wires for row in wire.rows):
        found.append(Entry("dashed, or a grey event: only after a restart", "live", "restart"))
    if not chart.marks:
        found.append(Entry("a line has the colour of where it leads", "live", "plain"))
    return tuple(found)


def rows_of(found: Sequence[Entry], room: int) -> tuple[tuple[Entry, ...], ...]:
    """Entries set into rows of at most ``room`` pixels."""
    rows: list[list[Entry]] = []
    left = 0
    for entry in found:
        if not rows or entry.width - _SPACE > left:
            rows.append([])
            left = room
        rows[-1].append(entry)
        left -= entry.width
    return tuple(tuple(row) for row in rows)
