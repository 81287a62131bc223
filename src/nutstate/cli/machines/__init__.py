"""``machines``: the declared machines, for reviewers. No store is opened and nothing is written."""

from __future__ import annotations

import click

from .export import export_machine
from .listing import list_machines


@click.group()
def machines() -> None:
    """Look at the machines: what may happen, when, and why not."""


_COMMANDS = (
    list_machines,
    export_machine,
)  # fmt: skip
for _command in _COMMANDS:
    machines.add_command(_command)
