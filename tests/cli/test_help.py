"""Help is worth reading: every command says what it does, names its options and shows an example."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from nutstate import __version__
from nutstate.cli import app


def commands(
    group: click.Group, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


ALL = tuple(commands(app))
OURS = tuple((path, command) for path, command in ALL if path[0] not in ("machines", "diagrams", "errors"))


@pytest.mark.parametrize(("path", "command"), ALL, ids=[" ".join(path) for path, _ in ALL])
def test_help_names_every_option(path: tuple[str, ...], command: click.Command) -> None:
    shown = CliRunner().invoke(app, [*path, "--help"])
    assert shown.exit_code == 0
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help
            for name in parameter.opts:
                assert name in shown.stdout
        else:
            assert str(parameter.human_readable_name) in shown.stdout


@pytest.mark.parametrize(("path", "command"), OURS, ids=[" ".join(path) for path, _ in OURS])
def test_every_command_has_an_example_and_the_common_options(
    path: tuple[str, ...], command: click.Command
) -> None:
    shown = CliRunner().invoke(app, [*path, "-h"]).stdout
    assert command.get_short_help_str(60)[-3:] != "..."
    assert "Example" in shown and f"nutstate {path[0]}" in shown
    if path[0] == "mongod":  # it runs servers and opens no store
        return
    for name in ("--store", "--mint-state", "--log", "--json", "NUTSTATE_STORE", "NUTSTATE_LOG"):
        assert name in shown


@pytest.mark.parametrize("args", [[], ["--help"], ["-h"]])
def test_no_command_shows_the_list(args: list[str]) -> None:
    shown = CliRunner().invoke(app, args)
    assert shown.exit_code == 0
    for path, _ in ALL:
        assert path[0] in shown.stdout
    assert "Exit codes" in shown.stdout


def test_deposit_warns_of_the_shell_history() -> None:
    assert "history" in CliRunner().invoke(app, ["deposit", "--help"]).stdout


def test_version() -> None:
    shown = CliRunner().invoke(app, ["--version"])
    assert (shown.exit_code, shown.stdout) == (0, f"nutstate {__version__}\n")
