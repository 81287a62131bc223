"""R498: drawings, tables, review page and the kit for kinds that a module of a service declares."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner, Result

from nutstate import open_store
from nutstate.cli import app
from nutstate.diagrams.build import OUT
from tests.support import errand
from tests.support.own import ROOT, example

example()
ERRAND, APPROVAL = "tests.support.errand", "own_operation"
KINDS = "tests.support.errand:KINDS"
Run = Callable[..., Result]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of the folder by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def nutstate() -> Run:
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words], prog_name="nutstate")


@pytest.mark.parametrize("origin", [ERRAND, f"{ERRAND}:ERRAND", f"{ERRAND}:ERRAND_KIND", KINDS])
def test_r498_only_the_own_machines_are_drawn(nutstate: Run, tmp_path: Path, origin: str) -> None:
    """R498: by module, machine, kind or kinds; the same bytes each time; nothing else is written."""
    committed, out = contents(ROOT / OUT), tmp_path / "drawings"
    built = nutstate("diagrams", "build", "--from", origin, "--out", out, "--json")
    assert built.exit_code == 0, built.output
    assert json.loads(built.stdout)["written"] == ["errand.md", "errand.mmd", "errand.svg"]
    assert sorted(contents(out)) == ["errand.md", "errand.mmd", "errand.svg"]
    assert contents(ROOT / OUT) == committed
    assert nutstate("diagrams", "check", "--from", origin, "--out", out).exit_code == 0
    page = (out / "errand.md").read_text(encoding="utf-8")
    assert "| `clear_the_way` | the way is free from now on | STANDARD |" in page
    assert "| `ERRAND_NOT_LOOKED_AT` | it does not hold that the mint was asked before |" in page


def test_r498_a_difference_is_told_with_what_mends_it(nutstate: Run, tmp_path: Path) -> None:
    """R498: a changed, a missing and a foreign file; the command to run names the same module and folder."""
    out = tmp_path / "drawings"
    nutstate("diagrams", "build", "--from", ERRAND, "--out", out)
    (out / "errand.md").write_text("changed\n", encoding="utf-8")
    (out / "errand.svg").unlink()
    (out / "other.md").write_text("x\n", encoding="utf-8")
    told = nutstate("diagrams", "check", "--from", ERRAND, "--out", out)
    assert told.exit_code == 1
    assert "errand.svg: missing" in told.stdout and "other.md: not generated" in told.stdout
    assert f"nutstate diagrams build --from {ERRAND} --out {out}" in told.stderr
    refused = nutstate("diagrams", "build", "--from", ERRAND, "--out", out)
    assert refused.exit_code == 2 and (out / "errand.md").read_text(encoding="utf-8") == "changed\n"


@pytest.mark.parametrize("command", ["build", "check"])
def test_r498_own_drawings_never_take_the_place_of_the_committed_ones(nutstate: Run, command: str) -> None:
    """R498: --from needs --out DIR."""
    committed = contents(ROOT / OUT)
    wrong = nutstate("diagrams", command, "--from", ERRAND)
    assert wrong.exit_code == 2 and "needs --out DIR" in wrong.stderr
    assert contents(ROOT / OUT) == committed


def test_r498_the_page_shows_the_own_machine_and_counts_its_operations(nutstate: Run, tmp_path: Path) -> None:
    """R498: the review page of an own machine, with how many operations are in each of its states."""
    url, page = f"sqlite:///{tmp_path}/own.db", tmp_path / "page.html"
    with open_store(url, kinds=errand.KINDS):
        pass
    written = nutstate("diagrams", "page", "--from", KINDS, "--store", url, "-o", page, "--json")
    assert written.exit_code == 0 and json.loads(written.stdout)["machines"] == ["errand"]
    assert "the way is blocked" in page.read_text(encoding="utf-8")


def test_r498_a_changed_own_machine_is_compared_with_its_stored_table(nutstate: Run, tmp_path: Path) -> None:
    """R498: `machines export --format json` writes the record, `diagrams diff FILE . --from` compares."""
    record = tmp_path / "v1.json"
    nutstate("machines", "export", "errand", "--format", "json", "-o", record, "--from", ERRAND)
    same = nutstate("diagrams", "diff", record, ".", "--from", ERRAND)
    assert (same.exit_code, same.stdout) == (0, "No change: errand.\n")
    states = tuple(s for s in errand.ERRAND.states if s.name != "gone")
    other = attrs.evolve(
        errand.ERRAND,
        version=2,
        states=states,
        transitions=tuple(t for t in errand.ERRAND.transitions if t.dest != "gone"),
    )
    record.write_text(json.dumps(other.as_data()), encoding="utf-8")
    changed = nutstate("diagrams", "diff", record, ".", "--from", ERRAND)
    assert changed.exit_code == 1 and "+ state gone" in changed.stdout
    for words in ((), ("HEAD",), ("HEAD", ".")):
        wrong = nutstate("diagrams", "diff", *words, "--from", ERRAND)
        assert wrong.exit_code == 2 and "name the JSON file" in wrong.stderr


COMMANDS = {
    "list": ((), "errand"),
    "lint": ((), "nothing found"),
    "table": (("errand",), "carry it, unless the way is blocked"),
    "explain": (
        ("errand", "blocked", "resume", "gave_reason=yes"),
        "clear_the_way: the way is free from now on",
    ),
    "paths": (("errand",), "edges covered"),
    "tours": (("errand",), "edges taken"),
    "simulate": (("errand", "--seed", "3", "--steps", "5"), "# errand, version 1"),
    "export": (("errand", "--format", "scxml"), "blocked"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_r498_the_kit_finds_the_machines_through_their_kind(nutstate: Run, command: str) -> None:
    """R498: a module that holds only the Kind is enough, and its own words are told."""
    words, shown = COMMANDS[command]
    ran = nutstate("machines", command, *words, "--from", f"{ERRAND}:ERRAND_KIND")
    assert ran.exit_code == 0 and shown in ran.output, ran.output


def test_r498_of_several_versions_the_kit_takes_the_newest(
    nutstate: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R498: a kind with two machines is looked at in its newest version."""
    lines = (
        "import attrs", "from tests.support.errand import ERRAND, ERRAND_KIND as _FIRST",
        "KIND = attrs.evolve(_FIRST, machines=(attrs.evolve(ERRAND, version=2), ERRAND))",
        "del ERRAND, _FIRST",
    )  # fmt: skip
    (tmp_path / "two_versions.py").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    ran = nutstate("machines", "list", "--from", "two_versions", "--json")
    listed: list[dict[str, Any]] = json.loads(ran.stdout)["machines"]
    assert [(machine["name"], machine["version"]) for machine in listed] == [("errand", 2)]
