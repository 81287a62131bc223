"""Choosing the machines of a command: those of this release, or those of a module that the caller names; and
the message about an unknown name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

import click

from ...machines.registry import latest, names
from ...machines.spec import Machine
from ...review.kit import BadMachine, ScriptError, UnknownName, check_names
from ..kinds import declared_in

C = TypeVar("C", bound=Callable[..., Any])

NAMES_SHOWN_MAX = 12

from_option = click.option(
    "--from", "origin", metavar="MODULE[:NAME]",
    help="Machines declared elsewhere: all that this Python module holds, or those of that name in it; of "
    "several versions the newest. The working directory is searched too.  "
    "[default: the machines of this release]",
)  # fmt: skip
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Exactly one JSON document on standard output."
)


def chosen(wanted: Sequence[str], origin: str | None) -> tuple[Machine[Any], ...]:
    """The machines of these names, all without any, in order of name. ``UsageError`` for a name or a
    module that is not there."""
    known = {machine.name: machine for machine in available(origin)}
    if missing := [name for name in wanted if name not in known]:
        raise click.UsageError(f"no machine named {missing[0]!r}{near(missing[0], sorted(known))}")
    return tuple(known[name] for name in (dict.fromkeys(wanted) if wanted else sorted(known)))


def machine_named(name: str, origin: str | None) -> Machine[Any]:
    """This machine. ``UsageError`` if there is none, or if it names states or events it does not declare."""
    (spec,) = chosen((name,), origin)
    try:
        check_names(spec)
    except BadMachine as error:
        raise click.UsageError(str(error)) from None
    return spec


def available(origin: str | None) -> tuple[Machine[Any], ...]:
    """All machines in their newest version: of this release, or of the module ``origin`` names.
    ``UsageError`` for a module that is not there, cannot be imported, or holds none."""
    if origin is None:
        return tuple(latest(name) for name in names())
    newest: dict[str, Machine[Any]] = {}
    for machine in declared_in(origin).machines:
        if machine.name not in newest or machine.version > newest[machine.name].version:
            newest[machine.name] = machine
    return tuple(newest.values())


def near(name: str, known: Collection[str]) -> str:
    """The end of a message about an unknown name: similar names, else all names if they are few."""
    close = difflib.get_close_matches(name, known, n=3)
    close += [other for other in sorted(known) if name and name in other and other not in close][:3]
    if close:
        return f"; did you mean {' or '.join(close)}?"
    if len(known) <= NAMES_SHOWN_MAX:
        return f"; there are {', '.join(known)}" if known else ""
    return "; `nutstate machines table MACHINE` lists them"


def wrong(error: UnknownName | ScriptError) -> click.UsageError:
    """The same as a wrong command line, with the names that are close."""
    name, known = (
        (error.name, error.known) if isinstance(error, UnknownName) else (error.unknown, error.known)
    )
    return click.UsageError(f"{error}{near(name, known) if name else ''}")
