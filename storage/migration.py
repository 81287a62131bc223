"""Bringing a store from an older schema to the one of this release: the steps, and the report about them."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

from attrs import NOTHING, Factory, asdict, fields, frozen, has

from .errors import StoreUnsupported
from .records import Operation
from .rules.machines import Machines, Version
from .rules.plain import plain
from .schema_1 import moved

D = TypeVar("D")


@frozen
class Step(Generic[D]):
    """One step away from the schema ``start``. The step before the next number ends it. ``run`` is given the
    database and the machines of the program. It can run again after an interruption."""

    start: int
    name: str
    text: str
    run: Callable[[D, Machines], None]


@frozen
class Migration:
    """The way of a store from one schema to another. ``done`` says whether it was gone; ``copy`` names the
    copy that was made of the store before, if one was."""

    start: int
    end: int
    steps: tuple[str, ...]
    done: bool = False
    copy: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def way(steps: Sequence[Step[D]], start: int, end: int) -> tuple[Step[D], ...]:
    """The steps from schema ``start`` to ``end``. StoreUnsupported when a number between them has none."""
    missing = [number for number in range(start, end) if not any(step.start == number for step in steps)]
    if missing or start < 1:
        raise StoreUnsupported(
            f"this release has no way from schema {start} to schema {end}", schema_version=start
        )
    return tuple(step for step in steps if start <= step.start < end)


def wrong_schema(place: str, found: int, wanted: int, url: str) -> StoreUnsupported:
    """The error for a store of another schema: an older one can be migrated, a newer one needs a newer
    release. ``url`` has no credentials."""
    if found > wanted:
        text = (
            f"{place} has schema {found}, made by a newer release: this release works with schema {wanted} "
            "and is too old for it. Update nutstate; the store is left as it is"
        )
    else:
        text = (
            f"{place} has schema {found}, and this release works with schema {wanted}. Stop every program "
            f"that uses the store, then run: nutstate doctor --fix --store {shlex.quote(url)}"
        )
    return StoreUnsupported(text, schema_version=found, wanted=wanted)


def operation_of_schema_2(document: Mapping[str, Any], version: Version) -> dict[str, Any]:
    """A stored operation in the form of schema 2, from that of schema 1: with what its machine says of its
    state, with the fields of its kind in its data, and with every field that was added since at its default.
    ``document`` may lack fields that are columns.

    As long as schema 2 is not released, every change that renames or moves a field of an operation is made
    here too."""
    kind, ends = version.states[document["state"]]
    return {**_DEFAULTS, **moved(document), "kind_of_state": kind, "ends": ends, "schema_version": 2}


def _defaults() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in fields(Operation):
        default: Any = field.default
        if isinstance(default, Factory):  # type: ignore[arg-type]
            default = default.factory()
        if default is not NOTHING:
            found[field.name] = asdict(default) if has(type(default)) else default
    defaults: dict[str, Any] = plain(
        {name: asdict(value) if has(type(value)) else value for name, value in found.items()}
    )
    return defaults


_DEFAULTS: Final[Mapping[str, Any]] = _defaults()


def unknown_machines(operations: Mapping[str, Sequence[str]]) -> StoreUnsupported:
    """The error for a store that cannot be migrated by this program; ``operations`` are ids by machine."""
    shown = "; ".join(
        f"{label} ({', '.join(ids[:3])}{' and more' if len(ids) > 3 else ''})"
        for label, ids in sorted(operations.items())
    )
    return StoreUnsupported(
        f"operations run under machines that this program does not have: {shown}. Migrate the store with the "
        "program that has them; nothing was changed",
        code="UNKNOWN_MACHINE",
        machines=sorted(operations),
    )
