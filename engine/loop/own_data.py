"""The data that an operation has because of its kind: a frozen attrs class in code, JSON-ready data in the
stored operation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar, cast

import attrs
from attrs import frozen
from cattrs.errors import BaseValidationError, StructureHandlerNotFoundError

from ...storage.data import Data
from ...storage.errors import CorruptRecord
from ...storage.evolve import evolve
from ...storage.records import Operation
from ...storage.rules.codec import data_from_plain, data_to_plain
from ...storage.rules.plain import AMOUNT_MAX, dump_json, plain
from ..errors import InvalidArgument

D = TypeVar("D")

DATA_BYTES_MAX = 1_000_000
"""Of the JSON of the data of a service's kind: a document of MongoDB holds 16 MB, most of which are ours."""
_UNFIT = (
    *(BaseValidationError, StructureHandlerNotFoundError, CorruptRecord),
    *(TypeError, ValueError, AttributeError, RecursionError),
)


class OwnData(Protocol):
    """A kind as far as the data of its operations are concerned."""

    @property
    def data(self) -> type:
        """The class of the data."""

    def data_of(self, op: Operation) -> Any:
        """The operation's data, an instance of that class."""

    def stored(self, data: object) -> Data:
        """The data, an instance of that class, as an operation holds them."""


@frozen
class NoData:
    """The data of a kind that has none of its own."""


def data_of(op: Operation, kind: type[D]) -> D:
    """The data of an operation as the kind's class: decoded once for each stored document. CorruptRecord that
    names the field if they do not fit the class."""
    held = cast(Data, op.data)  # the record sees to it
    return held.decoded(kind, lambda values: data_from_plain(kind, values, f"operation:{op.id}"))


def own_data_of(op: Operation, kind: type[D]) -> D:
    """The same for the class of a service. Each call decodes a copy: such a class may hold lists and
    mappings, and a change in one of them must not reach the stored values, nor the next reader."""
    return data_from_plain(kind, plain(op.data), f"operation:{op.id}")


def held_data(data: object) -> Data:
    """The data as an operation holds them, without a check: of a kind of the package, whose tests are the
    check."""
    return Data.of(data, data_to_plain)


def changed(op: Operation, kind: type, /, **fields: Any) -> Operation:
    """The operation with other fields: its own, or those of its data, which are an instance of ``kind``."""
    of_data = {name: fields.pop(name) for name in tuple(fields) if name not in _COMMON}
    if of_data:
        before: Any = data_of(op, kind)
        fields["data"] = held_data(evolve(before, **of_data))
    return evolve(op, **fields)


_COMMON = frozenset(field.name for field in attrs.fields(Operation))


def checked_data(data: object, kind: type) -> Mapping[str, Any]:
    """The data of a service as the store keeps them: names of fields to JSON values, a Secret as its text.
    Code INVALID_DATA for an instance of another class, for values that are not JSON, and for those that one
    of the stores cannot keep: text that is not Unicode, an integer beyond 2**53-1, a key that begins with
    ``$`` or holds a NUL, more than 64 levels or 1 MB."""
    if type(data) is not kind:
        raise InvalidArgument(f"data is a {kind.__name__}, not a {type(data).__name__}", code="INVALID_DATA")
    try:
        found: dict[str, Any] = plain(data_to_plain(data))
        _check_storable(found)
        same = data_from_plain(kind, found, "data") == data
    except _UNFIT:
        same = False  # raised below, outside: the cause may show a secret
    if not same:
        raise InvalidArgument(
            f"a field of {kind.__name__} does not hold what its type says, or a value that no store can keep",
            code="INVALID_DATA",
        )
    return found


def data_from(given: object, kind: type[D]) -> D:
    """The kind's data from JSON values by field; a field that is left out has its default. Code INVALID_DATA
    for a field that the class does not have, and for a value that is not of the field's type."""
    found: D | None = None
    try:
        found = data_from_plain(kind, given, "data") if isinstance(given, dict) else None
        same = found is not None and _holds(data_to_plain(found), given)
    except _UNFIT:
        same = False  # raised below, outside: the cause may show a secret
    if found is None or not same:
        declared: Any = kind
        names = ", ".join(field.name for field in attrs.fields(declared)) or "0 of them"
        raise InvalidArgument(
            f"the data are a JSON object with fields of {kind.__name__}, each with a value of its type; "
            f"the fields are: {names}",
            code="INVALID_DATA",
        )
    return found


def _holds(found: object, given: object) -> bool:
    """Whether every given value was kept as it is: none was converted into another type. A field at an empty
    default is not among the found ones."""
    if isinstance(given, dict) and isinstance(found, dict):
        return all(_holds(found[key], value) if key in found else not value for key, value in given.items())
    if isinstance(given, list) and isinstance(found, list | tuple):
        return len(found) == len(given) and all(map(_holds, found, given))
    if type(found) is float and type(given) is int:
        return found == given
    return type(found) is type(given) and found == given


def _check_storable(found: dict[str, Any]) -> None:
    """ValueError for plain data that one of the stores cannot keep."""
    if len(dump_json(found).encode()) > DATA_BYTES_MAX:
        raise ValueError("too long")
    left: list[Any] = [found]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            if any(key.startswith("$") or "\0" in key for key in value):
                raise ValueError("a key that MongoDB reads as an operator or not at all")
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)
        elif isinstance(value, int) and not -AMOUNT_MAX <= value <= AMOUNT_MAX:
            raise ValueError("not every program reads it as this integer")
