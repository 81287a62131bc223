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
_GAP: Final = 6
_HEAD_MIN: Final = 46
_PENCIL: Final = 13


@frozen
class Words:
    """One line of text; ``x`` is its left edge and ``y`` its upper one. ``style`` adds classes."""

    content: str
    face: Face
    x: int
    y: int
    style: str = ""

    @property
    def width(self) -> int:
        """An upper bound."""
        return text.width(self.content, self.face)


@frozen
class Block:
    """What a card says about one wire: its words, the part of the card they take, and the wire's pin."""

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
    for wire in wires:
        found, y = _block(wire, width, y)
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


def _block(wire: Wire, width: int, top: int) -> tuple[Block, int]:
    y = top + 6
    pin = y + text.EVENT.line // 2
    words = []
    for number, row in enumerate(wire.rows):
        if number:
            y += 3
        dest = _dest(wire) if number == 0 else ""
        found, y = _row(row, dest, width, y)
        words += found
    return Block(wire, tuple(words), top, y + _GAP, pin), y + _GAP


def _dest(wire: Wire) -> str:
    return "stays" if wire.source == wire.dest else f"→ {wire.dest}"


def _row(row: Row, dest: str, width: int, y: int) -> tuple[list[Words], int]:
    style = " ".join(filter(None, ("restart" if row.restart else "", row.mark and f"mark-{row.mark}")))
    gutter = _GUTTER if row.number else 0
    left = PAD + gutter
    words = [Words(row.number, text.NUMBER, PAD, y + 2, style)] if row.number else []
    room = width - left - PAD
    if dest:
        taken = text.width(dest, text.DEST)
        words.append(Words(dest, text.DEST, width - PAD - taken, y, style))
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
    if row.named:
        line = text.folded(("if", *text.listed(row.guards)), text.GUARD_NAME, room)
        yield from ((words, text.GUARD_NAME) for words in line)
    else:
        for number, guard in enumerate(row.guards):
            words = f"{'and' if number else 'if'} {guard}".split()
            yield from ((line, text.GUARD) for line in text.folded(words, text.GUARD, room))
    if row.effects:
        names = ("+", *text.listed(row.effects))
        yield from ((line, text.EFFECT) for line in text.folded(names, text.EFFECT, room))
