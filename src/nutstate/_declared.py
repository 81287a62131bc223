"""The machines and kinds that a module of an embedding service declares, by ``MODULE`` or ``MODULE:NAME``."""

from __future__ import annotations

import importlib
import sysconfig
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from attrs import frozen

from .engine.errors import KindInvalid
from .engine.loop.kinds import Kind, Kinds
from .engine.operations.built_in import BUILT_IN
from .machines.spec import Machine


class NotDeclared(ValueError):
    """There are no machines to be had from there; the message says why."""


class NotImportable(NotDeclared):
    """The module is not there, or ends with an error when it is imported."""


@frozen
class Declared:
    """The machines and kinds of one module, without the built-in ones. ``machines`` holds also those of the
    ``kinds``."""

    origin: str
    machines: tuple[Machine[Any], ...]
    kinds: tuple[Kind[Any], ...]

    @property
    def without_code(self) -> str:
        """The reason why operations of the module cannot be driven: it holds tables only. "" for a Kind."""
        if self.kinds:
            return ""
        return (
            f"{self.origin!r} holds no Kind, only the table of {self.machines[0].name}; to drive its "
            "operations, name the module that puts table and code together: Kind(machines=…, facts=…)"
        )

    def with_built_in(self) -> Kinds:
        """The built-in kinds and those of the module. Raises NotDeclared when they do not go together."""
        try:
            return BUILT_IN | Kinds(*self.kinds)
        except KindInvalid as error:
            raise NotDeclared(f"{self.origin!r}: {error.message} [{error.code}]") from None


def declared(origin: str) -> tuple[Machine[Any], ...]:
    """The machines of :func:`everything_in`. Raises NotDeclared."""
    return everything_in(origin).machines


def everything_in(origin: str) -> Declared:
    """Every Machine and Kind a module holds, or those of the name behind the colon (one, a tuple, or a
    Kinds); each once, in the order of the module. Raises NotDeclared."""
    module_name, _, attribute = origin.partition(":")
    module = imported(module_name)
    if attribute and not hasattr(module, attribute):
        raise NotDeclared(f"{module_name!r} holds no {attribute!r}")
    values = [getattr(module, attribute)] if attribute else list(vars(module).values())
    items = tuple(_flat(values))
    kinds = tuple(dict.fromkeys(item for item in items if isinstance(item, Kind)))
    machines = tuple(dict.fromkeys(_machines(items)))
    if not machines:
        raise NotDeclared(f"{origin!r} holds no Machine and no Kind")
    names = [f"{spec.name}@{spec.version}" for spec in machines]
    if twice := [name for name in names if names.count(name) > 1]:
        raise NotDeclared(f"{origin!r} holds two different machines {twice[0]}")
    return Declared(origin, machines, kinds)


def _flat(values: Iterable[Any]) -> Iterator[Any]:
    built_in = tuple(BUILT_IN)
    for value in values:
        for item in value if isinstance(value, tuple | list | Kinds) else (value,):
            if not isinstance(item, Kind) or item not in built_in:
                yield item


def _machines(items: Iterable[Any]) -> Iterator[Machine[Any]]:
    for item in items:
        if isinstance(item, Machine):
            yield item
        elif isinstance(item, Kind):
            yield from item.machines


def imported(name: str) -> ModuleType:
    """The module of that name. Raises NotImportable, whatever its own lines raise."""
    if name.endswith(".py"):
        raise NotImportable(f"{name!r} is a file; give the name of its module, such as {Path(name).stem}")
    if not all(part.isidentifier() for part in name.split(".")):
        raise NotImportable(f"{name!r} is not the name of a module, such as shop.machines")
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - their lines may raise anything
        raise NotImportable(f"{name!r} cannot be imported: {_said(error)}{_place(error)}") from None


def _said(error: BaseException) -> str:
    if isinstance(error, KindInvalid):
        return f"{error.message} [{error.code}]"
    return str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"


def _place(error: BaseException) -> str:
    """The place in the service's own code where it was raised. Empty for a module that is not there, and
    where the text of the error names the line."""
    if isinstance(error, ModuleNotFoundError | SyntaxError):
        return ""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_file() and not any(path.is_relative_to(folder) for folder in _NOT_THEIRS):
            return f" ({path.name}:{frame.lineno})"
    return ""


_NOT_THEIRS = (Path(__file__).parent, *map(Path, sysconfig.get_paths().values()))
"""Where the lines lie that say nothing about a mistake of theirs: ours, Python's, what is installed."""
