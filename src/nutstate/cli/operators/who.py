"""``--reason`` and ``--operator``: the reason of a person's decision, and the person's name."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from typing import Any

import click

from ...engine.arguments import OPERATOR_LENGTH_MAX

operator_option = click.option(
    "--operator", envvar="NUTSTATE_OPERATOR", show_envvar=True, metavar="NAME",
    help="The person who decides; the name goes into the audit trail.  [default: your login name]",
)  # fmt: skip


def reason_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--reason``, which a decision needs, and ``--operator``."""
    command = operator_option(command)
    return click.option(
        "--reason", required=True, metavar="TEXT", help="The reason; it goes into the audit trail."
    )(command)


def named(operator: str | None) -> str | None:
    """The name that was given, else the login name, else None."""
    if operator is not None:
        return operator
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        return None
    return name if name.isprintable() and 0 < len(name) <= OPERATOR_LENGTH_MAX else None
