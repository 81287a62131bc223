"""Data of a kind's own: a frozen attrs class in code, JSON-ready data in the stored operation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from attrs import frozen
from cattrs import Converter
from cattrs.errors import BaseValidationError, ForbiddenExtraKeysError

from ...storage.errors import CorruptRecord
from ...storage.records import Operation
from ...storage.secret import Secret
from ..errors import InvalidArgument

D = TypeVar("D")


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
    INVALID_DATA for an instance of another class, or values that JSON has no word for."""
    if type(data) is not kind:
        raise InvalidArgument(f"data is a {kind.__name__}, not a {type(data).__name__}", code="INVALID_DATA")
    try:
        found: dict[str, Any] = _CONVERTER.unstructure(data)
        same = _CONVERTER.structure(found, kind) == data
    except (BaseValidationError, ForbiddenExtraKeysError, TypeError, ValueError, AttributeError):
        same = False  # raised below, outside: the cause may show a secret
    if not same:
        raise InvalidArgument(
            f"a field of {kind.__name__} does not hold what its type says", code="INVALID_DATA"
        )
    return found


def data_of(op: Operation, kind: type[D]) -> D:
    """The stored data of an operation as the kind's class. CorruptRecord if it does not fit the class."""
    try:
        return _CONVERTER.structure(dict(op.data), kind)
    except (BaseValidationError, ForbiddenExtraKeysError, TypeError, ValueError, AttributeError):
        error = CorruptRecord(
            f"operation {op.id}: its data is not a {kind.__name__}",
            document=f"operation:{op.id}",
            field="data",
        )
    raise error  # outside: the cause may show a secret
