"""Each command of docs/own-operation.md is run as it stands, in a folder with the example."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
import structlog
from click.testing import CliRunner

from nutstate import open_store
from nutstate.cli import app
from nutstate.kinds import Child, EffectContext, Kind, Look, Run
from nutstate.machines.spec import Action, Effect, Event, Guard, Machine, State, Transition
from tests.support import invariants
from tests.support.own import example

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "own_operation.py"
PAGE = (ROOT / "docs" / "own-operation.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)

CHANGES = (
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "TIME"),
    (r"\b\d+(\.\d+)? ?(ms|s|m|h|min)\b", "DURATION"),
    (r"\s+", " "),
)
"""Parts of an output that change with each run, and what stands for them."""


def commands(block: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of a block, and the lines that it shows."""
    for part in block.removeprefix("$ ").split("\n$ "):
        command, *lines = part.rstrip("\n").split("\n")
        yield command, lines


def alike(line: str) -> str:
    """The line without what changes with each run."""
    for pattern, word in CHANGES:
        line = re.sub(pattern, word, line)
    return line.strip()


def matches(shown: list[str], said: str) -> bool:
    """Whether an output is as the page shows it; … stands for anything."""
    pattern = r"\s".join(re.escape(alike(line)).replace("…", ".*") for line in shown if line.strip())
    return re.fullmatch(pattern, alike(said), re.DOTALL) is not None


class Shell:
    """Runs the commands of a page in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.variables: dict[str, str] = {}

    def run(self, command: str) -> str:
        """Everything that the command prints; it must not end with an unexpected error."""
        name, *words = shlex.split(command)
        if name == "export":
            self.variables |= dict(word.split("=", 1) for word in words)
            return ""
        if name == "nutstate":
            ended = CliRunner(env=self.variables).invoke(app, words, prog_name="nutstate")
            assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
            assert ended.exit_code in (0, 1), ended.output
            return ended.output
        module = ["-m", "pytest", "-p", "nutstate.pytest_plugin"] if name == "pytest" else []
        assert name in ("python", "pytest"), name
        env = (
            os.environ
            | {"PYTHONPATH": str(ROOT / "src"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
            | self.variables
        )
        done = subprocess.run(
            [sys.executable, *module, *words],
            cwd=self.folder, env=env, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    example()
    shutil.copy(EXAMPLE, tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("NUTSTATE_STORE", "NUTSTATE_KINDS", "NUTSTATE_NPUB", "NUTSTATE_MINT"):
        monkeypatch.delenv(name, raising=False)
    yield Shell(tmp_path)
    structlog.reset_defaults()


def test_r494_every_command_of_the_page_says_what_the_page_shows(shell: Shell) -> None:
    """R494, R497, R498: review and operation of the example, command by command, in one folder."""
    done = [(command, lines, shell.run(command)) for block in BLOCKS for command, lines in commands(block)]
    assert len(done) > 20 and {command.split()[0] for command, _, _ in done} == {
        "nutstate", "pytest", "python", "export",
    }  # fmt: skip
    wrong = [f"$ {command}\n{said}" for command, lines, said in done if not matches(lines, said)]
    assert not wrong, "\n".join(wrong)
    with open_store(f"sqlite:///{shell.folder}/shop.db", kinds=example().KINDS) as store:
        invariants.check(store)


def test_r494_an_output_that_differs_is_seen() -> None:
    """R494: another word, a line more and a line less; a time and a duration may differ."""
    assert matches(["a  1.5 s", "…", "end"], "a 2 ms\nx\ny\nend\n")
    assert matches(["begun 2026-11-30 20:55:54 UTC"], "begun   2027-01-01 00:00:00 UTC\n")
    assert not matches(["a", "b"], "a\n") and not matches(["a"], "a\nb\n") and not matches(["a b"], "a c")


REFERENCE = PAGE.partition("## Field reference")[2].partition("## The files")[0]
SECTIONS: dict[str, tuple[type, ...]] = {
    "Machine": (Machine,), "State": (State,), "Event": (Event,), "Guard": (Guard,),
    "Transition": (Transition,), "Action and Effect": (Action, Effect), "Kind": (Kind,),
    "What the code": (Look, Child),
}  # fmt: skip


@pytest.mark.parametrize("title", SECTIONS)
def test_r499_the_field_reference_names_every_field(title: str) -> None:
    """R499: each field of the classes that a kind is made of stands in its table; each name of Run and
    EffectContext in the page is one of theirs."""
    (section,) = (part for part in REFERENCE.split("\n### ") if part.startswith(title))
    names = {name.rpartition(".")[2] for name in re.findall(r"`([A-Za-z_.]+)(?:\([^`]*\))?`", section)}
    for cls in SECTIONS[title]:
        assert {field.name for field in attrs.fields(cls)} <= names, cls
    if title == "What the code":
        for name, face in (("Run", Run), ("EffectContext", EffectContext)):
            (row,) = (line for line in section.splitlines() if line.startswith(f"| `{name}`"))
            told = re.findall(r"`([a-z_]+)[^`]*`", row.split("|")[3])
            assert len(told) > 7 and not set(told) - {*dir(face), *(f.name for f in attrs.fields(face))}


STORY = [
    "tx_approval_17: waiting",
    "  none -> waiting  (ask, by caller)",
    "  waiting -> paying  (approve, by caller)",
    "  paying -> done  (melt_paid, by worker)",
    "tx_approval_17: done, outcome paid",
]


def run_example(*words: str) -> list[str]:
    """The lines that the example prints."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), *words],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_r460_the_example_runs_as_a_program() -> None:
    """R460: `python examples/own_operation.py`, on SQLite."""
    assert run_example() == STORY


@pytest.mark.real_mongo
def test_r460_the_example_runs_on_a_replica_set(mongo_urls: Callable[[], str]) -> None:
    """R460: the same program on a real mongod."""
    assert run_example(mongo_urls()) == STORY
