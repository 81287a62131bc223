"""``machines``: the declared machines, for reviewers. No store is opened and nothing is written."""

from __future__ import annotations

import click

from .lint import lint_machines
from .listing import list_machines


@click.group()
def machines() -> None:
    """Look at the machines: what may happen, when, and why not."""


_COMMANDS = (
    lint_machines,
    list_machines,
)  # fmt: skip
for _command in _COMMANDS:
    machines.add_command(_command)
