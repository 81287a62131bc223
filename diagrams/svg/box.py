"""The inside of a card: its texts, where its wires leave, and how large all that is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from attrs import frozen

from . import text
from .chart import Card, Row, Wire
from .text import Face

PAD: Final = 11
ENTRY: Final = 13
"""Where wires enter: so far below the card's top, plus three pixels for each place further right."""
ENTRY_STEP: Final = 3
_GUTTER: Final = 24
_GUTTER_MAX: Final = 70
_EVENT_ROOM_MIN: Final = 100
_GAP: Final = 6
_HEAD_MIN: Final = 46
_PENCIL: Final = 13


@frozen
class Words:
    """One line of text; ``x`` is its left edge and ``y`` its upper one. ``style`` adds classes;
    ``ends``: it ends where its width says, however narrow it turns out."""

    content: str
    face: Face
    x: int
    y: int
    style: str = ""
    ends: bool = False

    @property
    def width(self) -> int:
        """An upper bound."""
        return text.width(self.content, self.face)


@frozen
class Block:
    """The part of a card about one wire: its words, their place on the card, and the wire's pin."""

    wire: Wire
    words: tuple[Words, ...]
    top: int
    bottom: int
    pin: int


@frozen
class Inside:
    """A card's content in coordinates of its own."""

    card: Card
    width: int
    height: int
    words: tuple[Words, ...]
    blocks: tuple[Block, ...]
    head: int


def inside(card: Card, wires: Sequence[Wire], width: int) -> Inside:
    """Set a card of the given width: name, meaning and action, then one block a wire, in their order."""
    words, y = _head(card, width)
    head = y
    blocks: list[Block] = []
    gutter = _gutter(wires)
    for wire in wires:
        found, y = _block(wire, width, gutter, y)
        blocks.append(found)
    return Inside(card, width, y + (3 if blocks else 0), tuple(words), tuple(blocks), head)


def bare_width(card: Card) -> int:
    """How wide a card without wires must be for its names."""
    wanted = max(text.width(name, text.TITLE) for name in card.names) + 2 * PAD
    if card.kind == "pseudo":
        wanted += 18
    if card.look == "ahead":
        wanted += tag_width() + 8
    return max(wanted, 132)


def tag_width() -> int:
    """The width of the sign on states that are written ahead."""
    return text.width("written ahead", text.TAG) + _PENCIL + 12


def _head(card: Card, width: int) -> tuple[list[Words], int]:
    words: list[Words] = []
    y = 9
    shift = 18 if card.kind == "pseudo" else 0
    for name in ("start",) if card.kind == "pseudo" else card.names:
        words.append(Words(name, text.TITLE, PAD + shift, y))
        y += text.TITLE.line
    if card.meaning and card.kind != "pseudo":
        for line in text.folded(card.meaning.split(), text.WORDS, width - 2 * PAD):
            words.append(Words(line, text.WORDS, PAD, y))
            y += text.WORDS.line
    if card.action:
        y += 1
        words.append(Words("does", text.WORDS, PAD, y))
        words.append(Words(card.action, text.ACTION, PAD + text.width("does ", text.WORDS) + 3, y))
        y += text.ACTION.line
    return words, max(y + 7, _HEAD_MIN)


def _gutter(wires: Sequence[Wire]) -> int:
    """The room for row numbers, as wide as the widest on the card needs it."""
    numbers = [text.width(row.number, text.NUMBER) for wire in wires for row in wire.rows if row.number]
    return min(max(_GUTTER, max(numbers) + 6), _GUTTER_MAX) if numbers else 0


def _block(wire: Wire, width: int, gutter: int, top: int) -> tuple[Block, int]:
    y = top + 6
    pin = y + text.EVENT.line // 2
    words = []
    for number, row in enumerate(wire.rows):
        if number:
            y += 3
        dest = _dest(wire) if number == 0 else ""
        found, y = _row(row, dest, width, gutter, y)
        words += found
    return Block(wire, tuple(words), top, y + _GAP, pin), y + _GAP


def _dest(wire: Wire) -> str:
    return "stays" if wire.source == wire.dest else f"→ {wire.dest}"


def _row(row: Row, dest: str, width: int, gutter: int, y: int) -> tuple[list[Words], int]:
    style = " ".join(filter(None, ("restart" if row.restart else "", row.mark and f"mark-{row.mark}")))
    left = PAD + gutter
    number = text.cut(row.number, text.NUMBER, gutter - 6)
    words = [Words(number, text.NUMBER, PAD, y + 2, style)] if number else []
    room = width - left - PAD
    if dest:
        shown = text.cut(dest, text.DEST, room)
        taken = text.width(shown, text.DEST)
        words.append(Words(shown, text.DEST, width - PAD - taken, y, style, ends=True))
        if room - taken - 8 < _EVENT_ROOM_MIN:
            y += text.DEST.line
        else:
            room -= taken + 8
    lines = text.folded(text.listed(row.events), text.EVENT, room)
    for line in lines:
        words.append(Words(line, text.EVENT, left, y, style))
        y += text.EVENT.line
    room = width - left - PAD
    for line, face in _told(row, room):
        words.append(Words(line, face, left, y, style))
        y += face.line
    return words, y


def _told(row: Row, room: int) -> Iterable[tuple[str, Face]]:
    """Guards and effects, line by line."""
    if row.named and row.guards:
        line = text.folded(("if", *text.listed(row.guards)), text.GUARD_NAME, room)
        yield from ((words, text.GUARD_NAME) for words in line)
    else:
        for number, guard in enumerate(row.guards):
            words = f"{'and' if number else 'if'} {guard}".split()
            yield from ((line, text.GUARD) for line in text.folded(words, text.GUARD, room))
    if row.effects:
        names = ("+", *text.listed(row.effects))
        yield from ((line, text.EFFECT) for line in text.folded(names, text.EFFECT, room))
