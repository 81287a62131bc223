"""A changed copy of a frozen record, in half the time of ``attrs.evolve``: a drive makes a hundred."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

import attrs

R = TypeVar("R")


@cache
def _shape(kind: type[Any]) -> tuple[Mapping[str, int], Callable[[Any], tuple[Any, ...]]] | None:
    """The place of each field among the arguments of the class, and a reader of all fields in order. None
    for a class with fields that are no such arguments."""
    fields = attrs.fields(kind)
    if any(field.kw_only or not field.init or field.alias != field.name for field in fields) or not fields:
        return None
    names = [field.name for field in fields]
    read: Any = attrgetter(*names) if len(names) > 1 else lambda record: (getattr(record, names[0]),)
    return {name: place for place, name in enumerate(names)}, read


def evolve(record: R, **changes: Any) -> R:
    """A new record of the same class with these fields changed. TypeError for a field that it does not
    have."""
    kind: Any = type(record)
    shape = _shape(kind)
    if shape is None:
        other: Any = record
        changed: R = attrs.evolve(other, **changes)
        return changed
    places, read = shape
    values = list(read(record))
    for name, value in changes.items():
        if name not in places:
            raise TypeError(f"{kind.__name__} has no field {name}")
        values[places[name]] = value
    made: R = kind(*values)
    return made
