"""The one machine a command is about, and names that are close to a mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import Any

import click

from ...machines.kit import BadMachine, ScriptError, UnknownName, check_names
from ...machines.spec import Machine
from .choose import chosen

NAMES_SHOWN_MAX = 12


def machine_named(name: str, origin: str | None) -> Machine[Any]:
    """This machine. ``UsageError`` if there is none, or if it names states or events it does not declare."""
    (spec,) = chosen((name,), origin)
    try:
        check_names(spec)
    except BadMachine as error:
        raise click.UsageError(str(error)) from None
    return spec


def near(name: str, known: Collection[str]) -> str:
    """What to say after "there is no such name": those close to it, else all, if they are few."""
    close = difflib.get_close_matches(name, known, n=3)
    close += [other for other in sorted(known) if name and name in other and other not in close][:3]
    if close:
        return f"; did you mean {' or '.join(close)}?"
    if len(known) <= NAMES_SHOWN_MAX:
        return f"; there are {', '.join(known)}" if known else ""
    return "; `nutstate machines table` lists them"


def wrong(error: UnknownName | ScriptError) -> click.UsageError:
    """The same as a wrong command line, with the names that are close."""
    name, known = (
        (error.name, error.known) if isinstance(error, UnknownName) else (error.unknown, error.known)
    )
    return click.UsageError(f"{error}{near(name, known) if name else ''}")
