"""The fields that an operation has because of its kind."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

D = TypeVar("D")


class Data(Mapping[str, Any]):
    """Names of fields to JSON-ready values. A store reads and writes it without knowing the class that the
    kind has for it. Both forms are kept: the class is decoded once for a stored document, and a change is
    encoded once, when the first reader asks for the values."""

    __slots__ = ("_encode", "_instance", "_values")

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        self._values: Mapping[str, Any] | None = {} if values is None else values
        self._instance: object = None
        self._encode: Callable[[Any], Mapping[str, Any]] | None = None

    @classmethod
    def of(cls, instance: object, encode: Callable[[Any], Mapping[str, Any]]) -> Data:
        """The data of this instance. ``encode`` makes the values of it."""
        made = cls()
        made._values, made._instance, made._encode = None, instance, encode
        return made

    def decoded(self, kind: type[D], decode: Callable[[Mapping[str, Any]], D]) -> D:
        """The instance of the class. ``decode`` makes it of the values, unless it is known."""
        known = self._instance
        if isinstance(known, kind) and type(known) is kind:
            return known
        self._instance = made = decode(self.plain())
        return made

    def apart(self) -> Data:
        """The same data, with values of its own: a caller that changes one of them changes no other data."""
        made = Data()
        made._instance, made._encode = self._instance, self._encode
        made._values = None if self._encode is not None else copy.deepcopy(self._values)
        return made

    def plain(self) -> Mapping[str, Any]:
        """The values by name."""
        if self._values is None:
            assert self._encode is not None  # an instance comes with it
            self._values = self._encode(self._instance)
        return self._values

    def __getitem__(self, name: str) -> Any:
        return self.plain()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.plain())

    def __len__(self) -> int:
        return len(self.plain())

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        theirs = other.plain() if isinstance(other, Data) else other
        return isinstance(theirs, Mapping) and self.plain() == theirs and _same(self.plain(), theirs)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "Data(…)"  # it may hold money


def _same(one: Any, other: Any) -> bool:
    """Whether equal values are stored as the same: 1, 1.0 and True are equal, and are three values to the
    hash of the document; so are 0.0 and -0.0."""
    if isinstance(one, Mapping):
        return all(_same(value, other[name]) for name, value in one.items())
    if isinstance(one, list | tuple):
        return all(map(_same, one, other))
    return type(one) is type(other) and (type(one) is not float or str(one) == str(other))


def as_data(values: Mapping[str, Any]) -> Data:
    """These values as data; data stay as they are."""
    return values if isinstance(values, Data) else Data(values)
