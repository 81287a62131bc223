"""How wide text is and where it breaks, without any font at hand.

Widths are upper bounds over the faces a browser may take (DejaVu Sans and Verdana are the widest), so
that a box made for a text holds it everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from attrs import frozen

MONO_EM: Final = 0.61
_EM: Final[Mapping[str, float]] = {
    **dict.fromkeys("il", 0.28), "j": 0.28, "f": 0.36, "t": 0.4, "r": 0.42, "s": 0.53, "z": 0.53, "c": 0.56,
    "k": 0.59, "v": 0.6, "x": 0.6, "y": 0.6, **dict.fromkeys("abdeghnopqu", 0.64), "w": 0.83, "m": 0.98,
    **dict.fromkeys(" .,:;", 0.34), **dict.fromkeys("'|!()[]-/", 0.41), "…": 1.0, "→": 1.0, "·": 0.34, "—": 1.0,
    **dict.fromkeys("0123456789_", 0.64), "W": 1.0, "M": 0.87, "I": 0.3, "J": 0.5,
}  # fmt: skip
_ANY: Final = 0.8


@frozen
class Face:
    """One kind of text: its class in the drawing, size in pixels, and whether all letters are equal."""

    css: str
    size: float
    mono: bool = False
    bold: bool = False

    @property
    def line(self) -> int:
        """The height of one line."""
        return round(self.size * 1.36)


TITLE: Final = Face("name", 15, bold=True)
WORDS: Final = Face("words", 11)
ACTION: Final = Face("action", 11, mono=True)
EVENT: Final = Face("event", 11.5, mono=True, bold=True)
GUARD: Final = Face("guard", 11)
GUARD_NAME: Final = Face("guard-name", 10.5, mono=True)
EFFECT: Final = Face("effect", 10.5, mono=True)
DEST: Final = Face("dest", 11, bold=True)
NUMBER: Final = Face("number", 10)
BAND: Final = Face("band-name", 11, bold=True)
TAG: Final = Face("tag", 10, bold=True)
HEAD: Final = Face("head", 22, bold=True)
FINE: Final = Face("fine", 11)


def width(text: str, face: Face) -> int:
    """An upper bound of the width in whole pixels."""
    if face.mono:
        return _ceil(len(text) * face.size * MONO_EM)
    return _ceil(sum(_EM.get(c, _ANY) for c in text) * face.size * (1.12 if face.bold else 1.0))


def folded(words: Iterable[str], face: Face, room: int) -> tuple[str, ...]:
    """Words set into lines of at most ``room`` pixels; a word that is longer is broken."""
    lines: list[str] = []
    for word in words:
        for piece in _pieces(word, face, room):
            if lines and width(f"{lines[-1]} {piece}", face) <= room:
                lines[-1] += f" {piece}"
            else:
                lines.append(piece)
    return tuple(lines)


def listed(names: Iterable[str]) -> tuple[str, ...]:
    """Names as the words of an enumeration: a comma after each but the last."""
    found = list(names)
    return tuple(f"{name}," for name in found[:-1]) + tuple(found[-1:])


def _pieces(word: str, face: Face, room: int) -> list[str]:
    pieces = []
    while len(word) > 1 and width(word, face) > room:
        cut = next((n for n in range(len(word) - 1, 1, -1) if width(word[:n], face) <= room), 1)
        cut = word.rfind("_", 1, cut) + 1 or cut
        pieces.append(word[:cut])
        word = word[cut:]
    return [*pieces, word]


def _ceil(number: float) -> int:
    return -int(-number // 1)
