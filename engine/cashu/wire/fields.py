"""Fields of a mint's answers, read one by one: one field never hides another.

A reader takes one JSON value and raises :class:`Malformed` if it is not what a NUT promises, or cannot be
stored: a text that does not encode, a number beyond 2^53-1, anything longer than its bound.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ....machines.money import AMOUNT_MAX, is_amount
from ....storage.secret import Secret
from ..coins import crypto
from .classify import safe_detail

T = TypeVar("T")
KEY_AMOUNT_MAX = 2**64 - 1  # of a key in a keyset; none of our amounts is ever larger than AMOUNT_MAX
EXPIRY_S_MAX = 2**43  # keeps milliseconds below 2^53; a mint saying more means "never"
QUOTE_ID_CHARS_MAX = 256
REQUEST_CHARS_MAX = 16_384
UNIT_CHARS_MAX = 64
SAID_CHARS_MAX = 40
NAME_CHARS_MAX = 200
NOTES_MAX = 20
_KEYSET_ID = re.compile(r"[0-9A-Za-z+/=_-]{8,66}")
_HEX64 = re.compile(r"[0-9a-fA-F]{64}")


class Malformed(ValueError):
    """A body is not what the interface promises. Names the field, never its value."""


class Notes:
    """The unreadable parts of one answer, each once, at most NOTES_MAX of them."""

    def __init__(self) -> None:
        self._notes: dict[str, None] = {}

    def add(self, note: str) -> None:
        if len(self._notes) < NOTES_MAX:
            self._notes[note] = None

    def all(self) -> tuple[str, ...]:
        return tuple(self._notes)


class Fields:
    """One JSON object. Raises :class:`Malformed` if the value is not an object."""

    def __init__(self, data: object, what: str, notes: Notes | None = None) -> None:
        self.body: Mapping[str, Any] = an_object(data, what)
        self.notes = notes or Notes()

    def need(self, name: str, read: Callable[[object], T]) -> T:
        """The field, or :class:`Malformed` with its name."""
        try:
            return read(self.body.get(name))
        except Malformed:
            raise Malformed(name) from None

    def get(self, name: str, read: Callable[[object], T]) -> T | None:
        """The field, or None: it is missing, null or empty, or cannot be read, which is noted."""
        if self.body.get(name) in (None, ""):
            return None
        try:
            return self.need(name, read)
        except Malformed:
            self.notes.add(f"{name} cannot be read")
            return None


def an_object(data: object, what: str) -> dict[str, Any]:
    """A JSON object."""
    if not isinstance(data, dict):
        raise Malformed(what)
    return data


def a_list(data: object, what: str, most: int) -> list[Any]:
    """A JSON list of at most ``most`` items."""
    if not isinstance(data, list) or len(data) > most:
        raise Malformed(what)
    return data


def amount(value: object) -> int:
    """0 to 2^53-1."""
    if not is_amount(value, 0):
        raise Malformed("amount")
    return value  # type: ignore[return-value]


def expiry(value: object) -> int | None:
    """Epoch seconds, as ms. 0 and what is beyond any date are None: no expiry is named."""
    if type(value) is not int or value < 0:
        raise Malformed("expiry")
    return value * 1000 if 0 < value <= EXPIRY_S_MAX else None


def text(most: int) -> Callable[[object], str]:
    """A reader of texts of 1 to ``most`` characters that encode as UTF-8."""

    def read(value: object) -> str:
        if not isinstance(value, str) or not 0 < len(value) <= most:
            raise Malformed("text")
        try:
            value.encode()
        except UnicodeEncodeError:  # a lone surrogate
            raise Malformed("text") from None
        return value

    return read


unit = text(UNIT_CHARS_MAX)


def quote_id(value: object) -> str:
    """Printable, because it becomes part of an address."""
    read = text(QUOTE_ID_CHARS_MAX)(value)
    if not read.isprintable():
        raise Malformed("quote")
    return read


def request(value: object) -> Secret:
    """An invoice, or whatever else a method calls a request."""
    return Secret(text(REQUEST_CHARS_MAX)(value))


def name(value: object) -> str:
    """A text to show, cleaned and cut."""
    if not isinstance(value, str):
        raise Malformed("name")
    return safe_detail(value)[:NAME_CHARS_MAX]


def word(value: object) -> str:
    """The mint's word for a state, cleaned and cut."""
    return safe_detail(text(REQUEST_CHARS_MAX)(value))[:SAID_CHARS_MAX]


def flag(value: object) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise Malformed("flag")
    return value


def preimage(value: object) -> Secret:
    """64 hex characters."""
    return Secret(hex64(value))


def hex64(value: object) -> str:
    """64 hex characters, in lower case."""
    if not isinstance(value, str) or not _HEX64.fullmatch(value):
        raise Malformed("hex")
    return value.lower()


def keyset_id(value: object) -> str:
    """An id of any kind, old, new or unknown."""
    if not isinstance(value, str) or not _KEYSET_ID.fullmatch(value):
        raise Malformed("id")
    return value


def point(value: object) -> str:
    """A compressed point of the curve, in lower case."""
    if not isinstance(value, str) or not crypto.is_point(value):
        raise Malformed("point")
    return value.lower()


def key_amount(name: str) -> int:
    """The amount a key stands for: the name of a field."""
    if not (name.isascii() and name.isdigit() and len(name) <= 20 and 0 < int(name) <= KEY_AMOUNT_MAX):
        raise Malformed("keys")
    return int(name)


__all__ = ["AMOUNT_MAX", "Fields", "Malformed", "Notes"]
