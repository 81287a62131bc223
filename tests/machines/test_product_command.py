"""``nutstate machines explore``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nutstate.cli import app


def run(*args: str) -> Result:
    result = CliRunner().invoke(app, ["machines", "explore", *args])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_what_holds_is_told_with_its_numbers() -> None:
    result = run("--setting", "trust", "--setting", "overpaid")
    assert result.exit_code == 0
    assert "holds" in result.stdout and "states and" in result.stdout and "BROKEN" not in result.stdout


def test_one_document(mutant: str) -> None:
    document = json.loads(run("--setting", "trust", "--setting", "slow-issue", "--json").stdout)
    first, second = document["settings"]
    assert first["complete"] and first["breaks"] is None and first["script"] is None
    assert first["ends"]["m1 reconciled"] > 0 and "21.release.unpaid" in first["transitions"]
    assert document["states"] == first["states"] + second["states"]
    (broken,) = json.loads(run("--setting", "pay", "--from", mutant, "--json").stdout)["settings"]
    assert broken["breaks"].startswith("I4") and "m1" in broken["script"]


def test_kinds_choose_configurations() -> None:
    names = [s["name"] for s in json.loads(run("mint", "--list", "--json").stdout)["settings"]]
    assert names == ["issue", "stuck-issue", "closed-issue", "follow-up", "slow-issue", "fund-and-pay"]
    names = [s["name"] for s in json.loads(run("record", "--list", "--json").stdout)["settings"]]
    assert names == ["hold", "hold-and-pay", "unheld"]
    names = [s["name"] for s in json.loads(run("swap", "--list", "--json").stdout)["settings"]]
    assert names == ["swap", "swap-late", "swap-refused", "swap-stolen", "swap-and-melt"]


@pytest.fixture
def mutant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "planted_melt.py").write_text(
        "import attrs\nfrom nutstate.machines import MELT as REAL\n"
        "MELT = attrs.evolve(REAL, transitions=tuple(\n"
        "    attrs.evolve(t, effects=tuple(e for e in t.effects if e != 'spend_inputs')) for t in REAL.transitions))\n"
        "del REAL\n"
    )
    monkeypatch.chdir(tmp_path)
    return "planted_melt"


def test_machines_declared_elsewhere(mutant: str) -> None:
    result = run("--setting", "pay", "--from", mutant, "--script", "way.txt")
    assert result.exit_code == 1
    assert "BROKEN I4" in result.stdout and "breaks: I4" in result.stdout
    assert "--replay" in result.stdout
    played = run("--replay", "way.txt", "--from", mutant)
    assert played.exit_code == 1 and "I4" in played.stdout
    document = json.loads(run("--replay", "way.txt", "--from", mutant, "--json").stdout)
    assert document["outcome"] == "broken" and document["steps"][0]["label"] == "request m1"
    assert run("--replay", "way.txt").exit_code == 0


def test_other_coins_and_crashes() -> None:
    document = json.loads(run("--setting", "pay", "--coins", "16,2", "--crashes", "1", "--json").stdout)
    assert document["settings"][0]["breaks"] is None and document["settings"][0]["states"] > 100


def test_a_script_of_other_coins_is_played_with_them(mutant: str) -> None:
    args = ("--coins", "16,2", "--from", mutant)
    assert run("--setting", "pay", "--script", "way.txt", *args).exit_code == 1
    assert run("--replay", "way.txt", *args).exit_code == 1
    assert run("--setting", "pay", "--script", "no/such/folder/way.txt", *args).exit_code == 2


@pytest.mark.parametrize(
    "args",
    [
        ("deposit",),
        ("--setting", "nowhere"),
        ("--setting", "pay", "--coins", "1"),
        ("--setting", "pay", "--coins", "4,-1"),
        ("--setting", "pay", "--coins", "4,\N{SUPERSCRIPT TWO}"),
        ("--crashes", "-1"),
        ("--states", "0"),
        ("--from", "nutstate.machines.melt.guards"),
        ("--replay", "/nowhere"),
    ],
)
def test_wrong_usage(args: tuple[str, ...]) -> None:
    assert run(*args).exit_code == 2


def test_a_file_that_is_no_script(tmp_path: Path) -> None:
    for content in (b"", b"request m1\n", b"\xff\xfe\x00"):
        (tmp_path / "odd.txt").write_bytes(content)
        assert run("--replay", str(tmp_path / "odd.txt")).exit_code == 2


def test_a_limit_is_not_called_complete() -> None:
    result = run("--setting", "pay", "--states", "20")
    assert result.exit_code == 0 and "holds so far" in result.stdout
