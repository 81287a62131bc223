"""A layout as SVG text.

A page may build on these: ``<g data-state>`` for each card (names separated by spaces) and ``<g data-edge>``
for each wire (transition ids separated by spaces) with ``data-source``, ``data-dest`` and ``data-events``.
Ids are ``state-MACHINE-STATE`` and ``edge-MACHINE-SOURCE-DEST``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from xml.sax.saxutils import escape, quoteattr

from . import text
from .box import Words, tag_width
from .chart import Chart, Wire
from .layout import Area, Layout, Line, PlacedCard, Point, arranged, moved
from .legend import Entry, entries, rows_of
from .theme import Theme, style

_MARGIN = 22
_WIDTH_MIN = 660
_RADIUS = 7
_CONTROL = re.compile(r"[\x00-\t\x0b-\x1f]")  # most of them no XML may hold
_TONES = ("restart", "plain", "alarm", "good")


def drawn(chart: Chart, theme: Theme = "auto") -> str:
    """The whole SVG document of a chart. The same chart always gives the same text."""
    inner = arranged(chart)
    width = max(inner.width + 2 * _MARGIN, _WIDTH_MIN)
    head, top = _head(chart, width)
    layout = moved(inner, (width - inner.width) // 2, top, width, top + inner.height + _MARGIN)
    key = slug(chart.title)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="nutstate" width="{layout.width}" '
        f'height="{layout.height}" viewBox="0 0 {layout.width} {layout.height}" role="img" '
        f'aria-labelledby="title-{key} desc-{key}" data-machine={quoteattr(chart.title)}>',
        f'<title id="title-{key}">{escape(chart.title)}</title>',
        f'<desc id="desc-{key}">{escape(chart.summary)}</desc>',
        f"<style>{escape(style(theme))}\n</style>",
        f'<rect class="paper" width="{layout.width}" height="{layout.height}"/>',
        *head,
        *(_area(area) for area in layout.areas),
        *(_card(card, key, chart.marks) for card in layout.cards),
        *_wires(layout, key, chart),
        "</svg>",
    ]
    return _CONTROL.sub(" ", "\n".join(parts)) + "\n"


def slug(name: str) -> str:
    """The name as part of an XML id."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name) or "machine"


def identity(name: str) -> str:
    """The name as part of an id, other names giving others: a character that is no letter, digit or ``_``
    becomes its code."""
    return re.sub(r"[^A-Za-z0-9_]", lambda found: f"-{ord(found[0]):x}-", name)


def _head(chart: Chart, width: int) -> tuple[list[str], int]:
    """Title, versions and legend; and where they end."""
    y = _MARGIN
    lines = [_text(Words(chart.title, text.HEAD, _MARGIN, y))]
    y += text.HEAD.line + 2
    for told in (chart.subtitle, chart.reading):
        for line in text.folded(told.split(), text.FINE, width - 2 * _MARGIN):
            lines.append(_text(Words(line, text.FINE, _MARGIN, y)))
            y += text.FINE.line
    y += 8
    for row in rows_of(entries(chart), width - 2 * _MARGIN):
        x = _MARGIN
        for entry in row:
            lines.append(_entry(entry, x, y))
            x += entry.width
        y += 22
    return lines, y + 10


def _entry(entry: Entry, x: int, y: int) -> str:
    words = _text(Words(entry.text, text.FINE, x + 34, y + 1))
    if entry.tone:
        start = f'<path class="wire" d="M{x} {y + 8}H{x + 22}"/>'
        mark = f" mark-{entry.mark}" if entry.mark else ""
        sample = (
            f'<g class="tone-{entry.tone} to-{entry.look}{mark}">{start}'
            f"{_arrow((x, y + 8), (x + 28, y + 8))}</g>"
        )
    else:
        sample = f'<g class="{entry.look}">{_frame(x + 1, y + 1, 26, 15, entry.look == "final", 15)}</g>'
    return f'<g class="legend">{sample}{words}</g>'


def _area(area: Area) -> str:
    css = "band" if area.kind == "band" else f"lane-{area.kind}"
    name = Words(area.label, text.BAND, area.x + 10, area.y + (6 if area.kind == "band" else 7))
    return (
        f'<g data-group={quoteattr(area.name)}><rect class="{css}" x="{area.x}" y="{area.y}" '
        f'width="{area.width}" height="{area.height}" rx="10"/>{_text(name)}</g>'
    )


def _card(placed: PlacedCard, key: str, marks: bool) -> str:
    inside, card = placed.inside, placed.inside.card
    css = f"state {card.look}" + (f" mark-{card.mark or 'none'}" if marks else "")
    parts = [
        f'<g class="{css}" id="state-{key}-{identity(card.id)}" data-state={quoteattr(" ".join(card.names))} '
        f'data-kind="{card.kind}" data-group={quoteattr(card.group)}>',
        f"<title>{escape(card.tip)}</title>",
        _frame(placed.x, placed.y, inside.width, inside.height, card.kind == "final", inside.head),
        *(_text(words, placed.x, placed.y) for words in inside.words),
    ]
    right = placed.x + inside.width
    if card.kind == "pseudo":
        parts.append(f'<circle class="sign" cx="{placed.x + 18}" cy="{placed.y + 19}" r="7"/>')
    if card.look == "ahead":
        parts.append(_tag(right - tag_width() - 8, placed.y + 10))
    if card.kind == "final":
        x, y = right - 18, placed.y + 19
        parts.append(
            f'<circle class="ring" cx="{x}" cy="{y}" r="7"/><circle class="sign" cx="{x}" cy="{y}" r="4"/>'
        )
    return "\n".join([*parts, "</g>"])


def _frame(x: int, y: int, width: int, height: int, ends: bool, head: int) -> str:
    """A card's body, its tinted head and its border; a final state has a second border."""
    parts = [f'<rect class="body" x="{x}" y="{y}" width="{width}" height="{height}" rx="9"/>']
    if head < height:
        corner = f"M{x} {y + head}V{y + 9}q0-9 9-9H{x + width - 9}q9 0 9 9V{y + head}z"
        parts.append(f'<path class="top" d="{corner}"/>')
    else:
        parts.append(f'<rect class="top" x="{x}" y="{y}" width="{width}" height="{height}" rx="9"/>')
    parts.append(f'<rect class="frame" x="{x}" y="{y}" width="{width}" height="{height}" rx="9"/>')
    if ends:
        parts.append(
            f'<rect class="ring" x="{x + 3}" y="{y + 3}" width="{width - 6}" height="{height - 6}" rx="6"/>'
        )
    return "".join(parts)


def _tag(x: int, y: int) -> str:
    """A pencil and the words: this state is committed before its request is sent."""
    pencil = f"M{x} {y + 13}l1-4 7-7 3 3-7 7z"
    words = Words("written ahead", text.TAG, x + 15, y)
    return f'<path class="sign" d="{pencil}"/>{_text(words)}'


def _wires(layout: Layout, key: str, chart: Chart) -> Iterable[str]:
    """Net by net, the quiet ones first; each net is kept apart from what it crosses by a halo."""
    looks = {card.id: card.look for card in chart.cards}
    nets: dict[tuple[int, str, Point], list[Line]] = {}
    for line in layout.lines:
        rank = _TONES.index(line.wire.tone) + (10 if line.wire.mark else 0)
        nets.setdefault((rank, line.wire.dest, line.points[-1]), []).append(line)
    at = {card.inside.card.id: card for card in layout.cards}
    for _, lines in sorted(nets.items(), key=lambda item: item[0][0]):
        yield f'<path class="halo" d="{"".join(_path(line, 4) for line in lines)}"/>'
        yield from (
            _wire(line, at[line.wire.source], key, looks[line.wire.dest], chart.marks) for line in lines
        )


def _wire(line: Line, source: PlacedCard, key: str, look: str, marks: bool) -> str:
    wire = line.wire
    block = next(block for block in source.inside.blocks if block.wire == wire)
    css = f"edge tone-{wire.tone} to-{look}" + (f" mark-{wire.mark or 'none'}" if marks else "")
    parts = [
        f'<g class="{css}" id="edge-{key}-{identity(wire.source)}-{identity(wire.dest)}" '
        f"data-edge={quoteattr(' '.join(wire.ids))} data-source={quoteattr(wire.source)} "
        f"data-dest={quoteattr(wire.dest)} data-events={quoteattr(' '.join(wire.events))}>",
        f"<title>{escape(_tip(wire))}</title>",
    ]
    y = source.y + block.top
    if block.top > source.inside.head:
        right = source.x + source.inside.width
        parts.append(f'<path class="rule" d="M{source.x + 8} {y}H{right - 8}"/>')
    parts.append(f'<path class="wire" d="{_path(line)}"/>{_arrow(line.points[-2], line.points[-1])}')
    parts += [_text(words, source.x, source.y) for words in block.words]
    return "\n".join([*parts, "</g>"])


def _tip(wire: Wire) -> str:
    lines = [f"{wire.source} → {wire.dest}"]
    lines += [f"{row.number} {', '.join(row.events)}: {row.why}".strip(" :") for row in wire.rows]
    return "\n".join(lines)


def _path(line: Line, late: int = 0) -> str:
    """The points joined by straight parts with round corners; it begins ``late`` pixels from the card and
    ends where the arrowhead begins."""
    points = _without_repeats(line.points)
    points[0] = _towards(points[0], points[1], late)
    parts = [f"M{points[0][0]} {points[0][1]}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        radius = min(_RADIUS, _length(before, corner) // 2, _length(corner, after) // 2)
        enter, leave = _towards(corner, before, radius), _towards(corner, after, radius)
        parts.append(f"L{enter[0]} {enter[1]}Q{corner[0]} {corner[1]} {leave[0]} {leave[1]}")
    end = _towards(points[-1], points[-2], 6)
    parts.append(f"L{end[0]} {end[1]}")
    return "".join(parts)


def _without_repeats(points: Sequence[Point]) -> list[Point]:
    found = [points[0]]
    for point in points[1:]:
        if point != found[-1]:
            found.append(point)
    return found


def _length(one: Point, other: Point) -> int:
    return abs(one[0] - other[0]) + abs(one[1] - other[1])


def _towards(start: Point, to: Point, by: int) -> Point:
    def step(a: int, b: int) -> int:
        return a + max(-by, min(by, b - a))

    return step(start[0], to[0]), step(start[1], to[1])


def _arrow(before: Point, tip: Point) -> str:
    x, y = tip
    if before[1] == y:
        back = 9 if before[0] > x else -9
        return f'<path class="arrow" d="M{x} {y}l{back}-4v8z"/>'
    back = 10 if before[1] > y else -10
    return f'<path class="arrow" d="M{x} {y}l-6 {back}h12z"/>'


def _text(words: Words, x: int = 0, y: int = 0) -> str:
    css = f"{words.face.css} {words.style}".strip()
    base = y + words.y + round(words.face.size)
    left = x + words.x
    where = f'x="{left + words.width}" text-anchor="end"' if words.ends else f'x="{left}"'
    return f'<text class="{css}" {where} y="{base}">{escape(words.content)}</text>'
