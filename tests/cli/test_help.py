"""Help is worth reading: every command says what it does, names its options and shows an example."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from nutstate import __version__
from nutstate.cli import app
from nutstate.cli.commands import COMMANDS, load
from nutstate.cli.errors import HINTS
from tests.support.cases import every

ROOT = Path(__file__).parents[2]


def commands(
    group: click.Group, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


ALL = tuple(commands(app))
OURS = tuple((path, command) for path, command in ALL if path[0] not in ("machines", "diagrams", "errors"))


@every(("path", "command"), ALL, ids=[" ".join(path) for path, _ in ALL])
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


@every(("path", "command"), OURS, ids=[" ".join(path) for path, _ in OURS])
def test_every_command_has_an_example_and_the_common_options(
    path: tuple[str, ...], command: click.Command
) -> None:
    shown = CliRunner().invoke(app, [*path, "-h"]).stdout
    assert command.get_short_help_str(60)[-3:] != "..."
    assert "Example" in shown and f"nutstate {path[0]}" in shown
    if path[0] in ("mongod", "mint-server"):  # they run servers and open no store
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


def test_the_list_repeats_the_first_sentence_of_each_help() -> None:
    """R570: the list of commands, which is made without importing them, says what their help says."""
    for name, (_, sentence) in COMMANDS.items():
        assert load(name).get_short_help_str(200) == sentence
        assert load(name).name == name


def test_deposit_warns_of_the_shell_history() -> None:
    assert "history" in CliRunner().invoke(app, ["deposit", "--help"]).stdout


def named_commands(text: str) -> list[list[str]]:
    """Every `nutstate …` in a text, word by word."""
    found = re.findall(r"(?:`|^ *|\$\()(?:[A-Z_]+=\S+ )?nutstate ([a-z][^`)|>$\n]*)", text, re.MULTILINE)
    return [line.split() for line in found]


def missing(words: list[str]) -> list[str]:
    """What of these words no command has: a command's name, or an option."""
    command: click.Command = app
    for word in words:
        if isinstance(command, click.Group):
            found = command.get_command(click.Context(command), word)
            if found is None:
                return [word]
            command = found
        options = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
        name = word.partition("=")[0]
        if re.fullmatch("--?[a-z][a-z-]*", name) and name not in options | {"--help", "-h"}:
            return [word]
    return []


TEXTS = {
    **{" ".join(path): CliRunner().invoke(app, [*path, "--help"]).stdout for path, _ in ALL},
    "nutstate": CliRunner().invoke(app, ["--help"]).stdout,
    "hints": "\n".join(HINTS.values()),
    **{
        path.name: path.read_text(encoding="utf-8")
        for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    },
}


@every("name", TEXTS)
def test_texts_name_only_what_exists(name: str) -> None:
    """R308: every command and option that a help text, a hint or a page names can be run."""
    wrong = [words for words in named_commands(TEXTS[name]) if missing(words)]
    assert not wrong, [(missing(words), words) for words in wrong]


def test_the_check_of_texts_sees_what_does_not_exist() -> None:
    """R308: an option, a command, and a command inside another one."""
    text = '  nutstate doctor --store "$(nutstate mongod --print-url)"\nsee `nutstate undo ID`'
    assert [missing(words) for words in named_commands(text)] == [[], ["--print-url"], ["undo"]]


def test_version() -> None:
    shown = CliRunner().invoke(app, ["--version"])
    assert (shown.exit_code, shown.stdout) == (0, f"nutstate {__version__}\n")
