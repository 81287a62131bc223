"""Data of a kind's own: a frozen attrs class in code, JSON-ready data in the stored operation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from attrs import frozen
from cattrs import Converter
from cattrs.errors import BaseValidationError, ForbiddenExtraKeysError, StructureHandlerNotFoundError

from ...storage.errors import CorruptRecord
from ...storage.records import Operation
from ...storage.rules.plain import AMOUNT_MAX, dump_json, plain
from ...storage.secret import Secret
from ..errors import InvalidArgument

D = TypeVar("D")

DATA_BYTES_MAX = 1_000_000
"""Of the JSON of an operation's own data: a document of MongoDB holds 16 MB, of which the most are ours."""
_UNFIT = (
    *(BaseValidationError, ForbiddenExtraKeysError, StructureHandlerNotFoundError),
    *(TypeError, ValueError, AttributeError, RecursionError),
)


class OwnData(Protocol):
    """A kind as far as its operations' own data are concerned."""

    @property
    def data(self) -> type:
        """The class of the data."""

    def data_of(self, op: Operation) -> Any:
        """The operation's data, an instance of that class."""


@frozen
class NoData:
    """The data of a kind that has none of its own."""


def _converter() -> Converter:
    converter = Converter(forbid_extra_keys=True)
    converter.register_unstructure_hook(Secret, lambda secret: secret.reveal())
    converter.register_structure_hook(
        Secret, lambda text, _: text if isinstance(text, Secret) else Secret(text)
    )
    return converter


_CONVERTER = _converter()


def stored_data(data: object, kind: type) -> Mapping[str, Any]:
    """The data as the store keeps it: names of fields to JSON values, a Secret as its text. Code
    INVALID_DATA for an instance of another class, for values that are not JSON, and for those that one of the
    stores cannot keep: text that is not Unicode, an integer beyond 2**53-1, a key that begins with ``$`` or
    holds a NUL, more than 64 levels or 1 MB."""
    if type(data) is not kind:
        raise InvalidArgument(f"data is a {kind.__name__}, not a {type(data).__name__}", code="INVALID_DATA")
    try:
        found: dict[str, Any] = plain(_CONVERTER.unstructure(data))
        _check_storable(found)
        same = _CONVERTER.structure(found, kind) == data
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
        found = _CONVERTER.structure(given, kind) if isinstance(given, dict) else None
        same = found is not None and _holds(_CONVERTER.unstructure(found), given)
    except _UNFIT:
        same = False  # raised below, outside: the cause may show a secret
    if found is None or not same:
        raise InvalidArgument(
            f"the data are a JSON object with fields of {kind.__name__}, each with a value of its type",
            code="INVALID_DATA",
        )
    return found


def _holds(found: object, given: object) -> bool:
    """Whether every given value was kept as it is: none was converted into another type."""
    if isinstance(given, dict) and isinstance(found, dict):
        return all(key in found and _holds(found[key], value) for key, value in given.items())
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


def data_of(op: Operation, kind: type[D]) -> D:
    """The stored data of an operation as the kind's class. CorruptRecord if it does not fit the class."""
    try:
        return _CONVERTER.structure(dict(op.data), kind)
    except _UNFIT:
        error = CorruptRecord(
            f"operation {op.id}: its data is not a {kind.__name__}",
            document=f"operation:{op.id}",
            field="data",
        )
    raise error  # outside: the cause may show a secret
