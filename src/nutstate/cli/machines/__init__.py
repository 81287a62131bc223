"""``machines``: the declared machines, for reviewers. No store is opened and nothing is written."""

from __future__ import annotations

import click

from .explain import explain_cell
from .explore import explore_worlds
from .export import export_machine
from .lint import lint_machines
from .listing import list_machines
from .paths import list_paths, list_tours
from .simulate import play
from .table import show_table


@click.group()
def machines() -> None:
    """Look at the machines: their states, events, guards and refusals."""


_COMMANDS = (
    list_machines,
    lint_machines,
    show_table,
    explain_cell,
    export_machine,
    list_paths,
    list_tours,
    play,
    explore_worlds,
)
for _command in _COMMANDS:
    machines.add_command(_command)
