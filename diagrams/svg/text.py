"""How wide text is and where it breaks, without any font at hand.

Widths are upper bounds over the faces a browser may take (DejaVu Sans and Verdana are the widest), so
that a box made for a text holds it everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from attrs import frozen

# Hundredths of an em, as whole numbers: how floats are summed differs between versions of Python.
MONO_EM: Final = 61
_EM: Final[Mapping[str, int]] = {
    **dict.fromkeys("il", 28), "j": 28, "f": 36, "t": 40, "r": 42, "s": 53, "z": 53, "c": 56,
    "k": 59, "v": 60, "x": 60, "y": 60, **dict.fromkeys("abdeghnopqu", 64), "w": 83, "m": 98,
    **dict.fromkeys(" .,:;", 34), **dict.fromkeys("'|!()[]-/", 41), "…": 100, "→": 100, "·": 34,
    "—": 100,
    **dict.fromkeys("0123456789_", 64), "W": 100, "M": 87, "I": 30, "J": 50,
}  # fmt: skip
_ANY: Final = 80
_BOLD: Final = 112


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
    units = len(text) * MONO_EM if face.mono else sum(_EM.get(c, _ANY) for c in text)
    bold = _BOLD if face.bold and not face.mono else 100
    return -(-units * round(face.size * 10) * bold // 100_000)


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


def cut(words: str, face: Face, room: int) -> str:
    """The words, or as much of them as has room, with an ellipsis."""
    if width(words, face) <= room:
        return words
    fits = [n for n in range(len(words)) if width(f"{words[:n]}…", face) <= room]
    return f"{words[: fits[-1]]}…" if fits else ""


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
