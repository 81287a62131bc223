"""A changed copy of a frozen record, many times faster than ``attrs.evolve``: a drive makes a hundred."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, cached_property
from operator import attrgetter
from typing import Any, TypeVar

import attrs

R = TypeVar("R")

_new = object.__new__
Check = Callable[[Any, Any], Any]


def evolve(record: R, **changes: Any) -> R:
    """A new record of the same class with these fields changed. TypeError for a field that it does not
    have. Fields that stay were checked when the record was made, so only changed ones are checked."""
    kind: Any = type(record)
    checks = _checks(kind)
    if checks is None:
        return _made_anew(record, kind, changes)
    if not checks.keys() >= changes.keys():
        raise _no_field(kind, changes.keys() - checks.keys())
    made: R = _new(kind)
    values = made.__dict__
    values.update(record.__dict__)
    for name, value in changes.items():
        check = checks[name]
        values[name] = value if check is None else check(made, value)
    return made


def _made_anew(record: R, kind: Any, changes: dict[str, Any]) -> R:
    shape = _shape(kind)
    if shape is None:
        other: Any = record
        changed: R = attrs.evolve(other, **changes)
        return changed
    places, read = shape
    values = list(read(record))
    for name, value in changes.items():
        if name not in places:
            raise _no_field(kind, (name,))
        values[places[name]] = value
    made: R = kind(*values)
    return made


def _no_field(kind: type[Any], names: Any) -> TypeError:
    return TypeError(f"{kind.__name__} has no field {', '.join(sorted(names))}")


@cache
def _checks(kind: type[Any]) -> Mapping[str, Check | None] | None:
    """By field: converter and validator as one call, or None.

    None for a class that keeps its fields in slots, or does more with them when a record is made, or
    remembers what it worked out from them; and for a class of a service, whose validators may compare fields
    with each other."""
    if kind.__module__.partition(".")[0] != __package__.partition(".")[0]:
        return None
    if any("__slots__" in vars(base) for base in kind.__mro__[:-1] if base.__module__ != "typing"):
        return None
    if any(isinstance(word, cached_property) for base in kind.__mro__ for word in vars(base).values()):
        return None
    fields = attrs.fields(kind)
    if hasattr(kind, "__attrs_post_init__") or hasattr(kind, "__attrs_pre_init__"):
        return None
    if any(not field.init or field.alias != field.name or _asks_the_record(field) for field in fields):
        return None
    return {field.name: _check_of(field) for field in fields}


def _asks_the_record(field: attrs.Attribute[Any]) -> bool:
    return isinstance(field.converter, attrs.Converter)


def _check_of(field: attrs.Attribute[Any]) -> Check | None:
    convert: Any = field.converter
    validate: Any = field.validator
    if convert is None and validate is None:
        return None

    def check(made: Any, value: Any) -> Any:
        found = value if convert is None else convert(value)
        if validate is not None:
            validate(made, field, found)
        return found

    return check


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
