"""An empty value on the command line or in the environment: most often a variable of the shell that was
never set.

Where an empty text is no value of its own, it would be taken for "not given", and ``--store ""`` would open
the default wallet instead of the one that was meant. Other empty values are refused where they are checked.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import click


def refuse_empty(group: click.Group, args: Sequence[str]) -> None:
    """Raise UsageError when an option that names a store or a file is given an empty text; ``args`` are those
    of ``group``, the command's name among them."""
    names = frozenset(_places(group, args))
    for n, word in enumerate(args):
        option, given, value = word.partition("=")
        if not given:
            value = args[n + 1] if n + 1 < len(args) else option
        if option in names and not value.strip():
            raise click.UsageError(f"{option} is empty: give it a value, or leave it out")


def _places(group: click.Group, args: Sequence[str]) -> Iterator[str]:
    """The options of the command that ``args`` call."""
    command: click.Command | None = group
    for word in args:
        if not isinstance(command, click.Group):
            break
        command = command.get_command(click.Context(command), word) or command
    for parameter in () if command is None else command.params:
        if isinstance(parameter.type, click.Path) or "--store" in parameter.opts:
            yield from (name for name in parameter.opts if name.startswith("-"))


def refuse_empty_variables(context: click.Context) -> None:
    """Raise UsageError when a variable that the command would read is set and empty, unless its option
    stands on the command line."""
    for parameter in context.command.params:
        name = parameter.envvar
        if isinstance(name, str) and not _given(context, parameter):
            refuse_empty_variable(name)


def refuse_empty_variable(name: str) -> None:
    """Raise UsageError when this variable of the environment is set and empty."""
    if not os.environ.get(name, "given").strip():
        raise click.UsageError(f"the variable {name} is empty: give it a value, or unset it")


def _given(context: click.Context, parameter: click.Parameter) -> bool:
    source = context.get_parameter_source(parameter.name or "")
    return source is click.core.ParameterSource.COMMANDLINE
