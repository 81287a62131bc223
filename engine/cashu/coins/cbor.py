"""CBOR as far as a Cashu token needs it (RFC 8949): small, bounded, and nothing that a token never holds.

A general decoder does too much for hostile text: shared values turn 8 KB into a million items, decimal tags
take quadratic time, indefinite lengths hide how much will come. Here those are refused where they begin,
everything is counted while it is read, and no length is believed that the text itself is too short for.
"""

from __future__ import annotations

from typing import Any

DEPTH_MAX = 8
"""A token is a map of lists of maps of lists of maps, with DLEQ maps in them: 6 levels."""
ITEMS_MAX = 500_000
"""More than PROOFS_MAX proofs with everything in them have."""
_UNSIGNED, _BYTES, _TEXT, _ARRAY, _MAP = 0, 2, 3, 4, 5
_SIMPLE = {0xF4: False, 0xF5: True, 0xF6: None}


class NotCbor(ValueError):
    """The bytes are no CBOR, or hold a type that no token has."""


class Reader:
    """Reads one item of unsigned integers, texts, bytes, lists, maps with text keys, true, false and null.
    ``items`` counts what was begun: never more than there are bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self.items = 0

    def read(self) -> Any:
        """The item the bytes consist of. Raises :class:`NotCbor`; nothing may follow it."""
        value = self._item(0)
        if self._at != len(self._data):
            raise NotCbor("something follows")
        return value

    def _item(self, depth: int) -> Any:
        self.items += 1
        if self.items > ITEMS_MAX or depth > DEPTH_MAX:
            raise NotCbor("too many items, or too deep")
        first = self._take(1)[0]
        if first in _SIMPLE:
            return _SIMPLE[first]
        kind, argument = first >> 5, self._argument(first & 0x1F)
        if kind == _UNSIGNED:
            return argument
        if kind == _BYTES:
            return self._take(argument)
        if kind == _TEXT:
            return self._text(argument)
        if kind not in (_ARRAY, _MAP):
            raise NotCbor("an item that no token has")
        least = argument if kind == _ARRAY else 2 * argument
        if least > len(self._data) - self._at:
            raise NotCbor("cut off")
        if kind == _ARRAY:
            return [self._item(depth + 1) for _ in range(argument)]
        return self._map(argument, depth)

    def _map(self, pairs: int, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for _ in range(pairs):
            key = self._item(depth + 1)
            if type(key) is not str or key in found:
                raise NotCbor("a key that is no text, or twice the same")
            found[key] = self._item(depth + 1)
        return found

    def _argument(self, info: int) -> int:
        if info < 24:
            return info
        if info > 27:
            raise NotCbor("an indefinite or reserved length")
        return int.from_bytes(self._take(1 << (info - 24)), "big")

    def _text(self, length: int) -> str:
        try:
            return self._take(length).decode("utf-8")
        except UnicodeDecodeError:
            raise NotCbor("a text that is not UTF-8") from None

    def _take(self, length: int) -> bytes:
        if length > len(self._data) - self._at:
            raise NotCbor("cut off")
        start, self._at = self._at, self._at + length
        return self._data[start : self._at]
