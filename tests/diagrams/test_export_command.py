"""``nutstate machines export``, as a person and as a script uses it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nutstate.cli import app
from nutstate.diagrams.exports import FORMATS, export
from nutstate.machines import MELT
from nutstate.machines.registry import RELEASED
from tests.diagrams.oracles.odd import ODD

NAMES = sorted({machine.name for machine in RELEASED})

ELSEWHERE = "tests.diagrams.oracles.odd:ODD"


def run(*args: str) -> Result:
    return CliRunner().invoke(app, ["machines", "export", *args])


@pytest.mark.parametrize("name", FORMATS)
def test_the_text_goes_to_standard_output(name: str) -> None:
    ran = run("melt", "--format", name)
    assert ran.exit_code == 0, ran.output
    assert ran.stdout_bytes == export(MELT, name).encode()
    assert ran.stderr == ""
    assert run("melt", "--format", name, "-o", "-").stdout_bytes == ran.stdout_bytes


def test_one_file(tmp_path: Path) -> None:
    there = tmp_path / "melt.gv"
    ran = run("melt", "--format", "dot", "-o", str(there))
    assert (ran.exit_code, ran.stdout) == (0, f"{there}\n")
    assert there.read_bytes() == export(MELT, "dot").encode()


def test_all_formats(tmp_path: Path) -> None:
    ran = run("melt", "--format", "all", "--out", str(tmp_path / "there"), "--json")
    assert ran.exit_code == 0
    said = json.loads(ran.stdout)
    assert (said["machine"], said["version"], said["content_hash"]) == ("melt", 1, MELT.content_hash)
    assert [item["format"] for item in said["written"]] == list(FORMATS)
    for item in said["written"]:
        assert Path(item["path"]).read_bytes() == export(MELT, item["format"]).encode()
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == [
        "melt.dot", "melt.json", "melt.md", "melt.mmd", "melt.pml", "melt.puml", "melt.scxml", "melt.svg",
        "melt.xstate.json",
    ]  # fmt: skip


def test_a_machine_declared_elsewhere_stays_in_the_folder(tmp_path: Path) -> None:
    ran = run(ODD.name, "--from", ELSEWHERE, "--format", "all", "--out", str(tmp_path / "there"))
    assert ran.exit_code == 0, ran.output
    assert {path.parent for path in tmp_path.rglob("*") if path.is_file()} == {tmp_path / "there"}


def test_json_without_a_file_holds_the_text() -> None:
    said = json.loads(run("melt", "--format", "promela", "--json").stdout)
    assert (said["format"], said["text"]) == ("promela", export(MELT, "promela"))


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["melt"], "--format"),
        (["melt", "--format", "visio"], "visio"),
        (["smelt", "--format", "dot"], "did you mean melt?"),
        (["burn", "--format", "dot"], f"there are {', '.join(NAMES)}"),
        (["melt", "--format", "all"], "--out DIR"),
        (["melt", "--format", "all", "-o", "x"], "--out DIR"),
        (["melt", "--format", "dot", "-o", "x", "--out", "y"], "not both"),
        (["melt", "--format", "dot", "-o", "pyproject.toml/x"], "--output: Not a directory: 'pypro"),
        (["melt", "--format", "dot", "--out", "pyproject.toml/x"], "--out: Not a directory: "),
        (["check", "--from", "tests.diagrams.test_export_command:BROKEN", "--format", "dot"], "not declare"),
    ],
)  # fmt: skip
def test_wrong_usage_says_why(args: list[str], why: str) -> None:
    ran = run(*args)
    assert ran.exit_code == 2, ran.output
    assert why in ran.output


def _broken() -> object:
    import attrs

    from nutstate.machines import CHECK

    return attrs.evolve(CHECK, good_path=("none", "gone"))


BROKEN = _broken()
