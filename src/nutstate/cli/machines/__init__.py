"""``machines``: the declared machines, for reviewers. No store is opened and nothing is written."""

from __future__ import annotations

import click

from .explain import explain_cell
from .listing import list_machines
from .paths import list_paths, list_tours
from .simulate import play
from .table import show_table


@click.group()
def machines() -> None:
    """Look at the machines: what may happen, when, and why not."""


_COMMANDS = (
    list_machines,
    explain_cell,
    list_paths,
    list_tours,
    play,
    show_table,
)  # fmt: skip
for _command in _COMMANDS:
    machines.add_command(_command)
