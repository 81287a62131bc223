"""``--from`` and ``NUTSTATE_KINDS``: the kinds of operation that a command knows beside the built-in ones."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from attrs import field, frozen

from .._declared import Declared, NotDeclared, everything_in
from ..engine.loop.kinds import Kinds
from ..engine.operations.built_in import BUILT_IN
from ..machines.spec import Machine
from ..storage.records import MachineRef

C = TypeVar("C", bound=Callable[..., Any])

VARIABLE = "NUTSTATE_KINDS"

kinds_option = click.option(
    "--from", "origin", envvar=VARIABLE, show_envvar=True, metavar="MODULE[:NAME]",
    help="Your own kinds of operation: all that this Python module holds, or those of that name in it. The "
    "working directory is searched too.  [default: the built-in kinds]",
)  # fmt: skip


@frozen
class Known:
    """The machines of a command in every version, and the kinds that it can drive."""

    machines: tuple[Machine[Any], ...] = field(default=BUILT_IN.machines, repr=False)
    kinds: Kinds = field(default=BUILT_IN, repr=False)
    only_read: str = ""
    """Why nothing of the module can be driven; "" if it can."""

    def to_drive(self) -> Kinds:
        """The kinds. UsageError when a module was named that holds machines without their code."""
        if self.only_read:
            raise _wrong(self.only_read)
        return self.kinds

    def machine(self, ref: MachineRef) -> Machine[Any] | None:
        """Exactly that machine, or None."""
        found = self.labelled(f"{ref.name}@{ref.version}")
        return found if found is not None and found.content_hash == ref.hash else None

    def labelled(self, label: str) -> Machine[Any] | None:
        """The machine of a label ``name@version``, or None."""
        return next((spec for spec in self.machines if f"{spec.name}@{spec.version}" == label), None)


def known_from(origin: str | None) -> Known:
    """The built-in kinds and those of the module. UsageError for a module that is not there, cannot be
    imported, or holds nothing, and for kinds that do not go together (KIND_INVALID)."""
    if origin is None:
        return Known()
    found = declared_in(origin)
    try:
        kinds = found.with_built_in()
    except NotDeclared as error:
        raise _wrong(error) from None
    machines = tuple(dict.fromkeys((*BUILT_IN.machines, *found.machines)))
    labels = [f"{spec.name}@{spec.version}" for spec in machines]
    if twice := [label for label in labels if labels.count(label) > 1]:
        raise _wrong(f"{origin!r} declares another machine {twice[0]}: choose another name or version")
    return Known(machines, kinds, found.without_code)


def declared_in(origin: str) -> Declared:
    """The machines and kinds of a module. UsageError for one that is not there, cannot be imported, or holds
    nothing."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return everything_in(origin)
    except NotDeclared as error:
        raise _wrong(error) from None


def _wrong(what: object) -> click.UsageError:
    """A wrong command line; the sentence names the option, or the variable if that was read."""
    context = click.get_current_context(silent=True)
    source = None if context is None else context.get_parameter_source("origin")
    option = VARIABLE if source is click.core.ParameterSource.ENVIRONMENT else "--from"
    return click.UsageError(f"{option}: {what}")
