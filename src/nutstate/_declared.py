"""The machines that a module of an embedding service declares, by ``MODULE`` or ``MODULE:NAME``."""

from __future__ import annotations

import importlib
import sysconfig
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from .machines.spec import Machine


class NotDeclared(ValueError):
    """There are no machines to be had from there; the message says why."""


class NotImportable(NotDeclared):
    """The module is not there, or ends with an error when it is imported."""


def declared(origin: str) -> tuple[Machine[Any], ...]:
    """Every Machine a module holds, or the one (or the tuple) of the name behind the colon; each once, in
    the order of the module. Raises NotDeclared."""
    module_name, _, attribute = origin.partition(":")
    module = imported(module_name)
    if attribute and not hasattr(module, attribute):
        raise NotDeclared(f"{module_name!r} holds no {attribute!r}")
    values = [getattr(module, attribute)] if attribute else list(vars(module).values())
    flat = [item for value in values for item in (value if isinstance(value, tuple | list) else (value,))]
    found = tuple(dict.fromkeys(item for item in flat if isinstance(item, Machine)))
    if not found:
        raise NotDeclared(f"{origin!r} holds no Machine")
    names = [f"{spec.name}@{spec.version}" for spec in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise NotDeclared(f"{origin!r} holds two different machines {twice[0]}")
    return found


def imported(name: str) -> ModuleType:
    """The module of that name. Raises NotImportable, whatever its own lines raise."""
    if name.endswith(".py"):
        raise NotImportable(f"{name!r} is a file; give the name of its module, such as {Path(name).stem}")
    if not all(part.isidentifier() for part in name.split(".")):
        raise NotImportable(f"{name!r} is not the name of a module, such as shop.machines")
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - their lines may raise anything
        what = str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
        raise NotImportable(f"{name!r} cannot be imported: {what}{_place(error)}") from None


def _place(error: BaseException) -> str:
    """Where in the service's own code it was raised. Empty for a module that is not there, and where the
    text of the error names the line."""
    if isinstance(error, ModuleNotFoundError | SyntaxError):
        return ""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_file() and not any(path.is_relative_to(folder) for folder in _NOT_THEIRS):
            return f" ({path.name}:{frame.lineno})"
    return ""


_NOT_THEIRS = (Path(__file__).parent, *map(Path, sysconfig.get_paths().values()))
"""Where the lines lie that say nothing about a mistake of theirs: ours, Python's, what is installed."""
