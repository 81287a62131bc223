"""Which machines a command looks at: those of this release, or those of a module the caller names."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from ...machines.registry import latest, names
from ...machines.spec import Machine

C = TypeVar("C", bound=Callable[..., Any])

from_option = click.option(
    "--from", "origin", metavar="MODULE[:NAME]",
    help="Machines declared elsewhere: every Machine a module holds, or the one (or the tuple) of that name. "
    "The working directory is searched too.  [default: the machines of this release]",
)  # fmt: skip
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Exactly one JSON document on standard output."
)


def chosen(wanted: Sequence[str], origin: str | None) -> tuple[Machine[Any], ...]:
    """The machines of these names, all without any, in order of name. ``UsageError`` for a name or a
    module that is not there."""
    known = {machine.name: machine for machine in available(origin)}
    if missing := [name for name in wanted if name not in known]:
        raise click.UsageError(f"no machine named {missing[0]!r}; there are {', '.join(sorted(known))}")
    return tuple(known[name] for name in (dict.fromkeys(wanted) if wanted else sorted(known)))


def available(origin: str | None) -> tuple[Machine[Any], ...]:
    """All machines of this release in their newest version, or all of the module ``origin`` names."""
    if origin is None:
        return tuple(latest(name) for name in names())
    module_name, _, attribute = origin.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise click.UsageError(f"--from: {module_name!r} cannot be imported: {error}") from None
    if attribute and not hasattr(module, attribute):
        raise click.UsageError(f"--from: {module_name!r} holds no {attribute!r}")
    found = _machines([getattr(module, attribute)] if attribute else vars(module).values())
    if not found:
        raise click.UsageError(f"--from: {origin!r} holds no Machine")
    return found


def _machines(values: Iterable[object]) -> tuple[Machine[Any], ...]:
    found: dict[str, Machine[Any]] = {}
    for value in values:
        for item in value if isinstance(value, tuple | list) else (value,):
            if isinstance(item, Machine):
                found.setdefault(item.name, item)
    return tuple(found.values())
