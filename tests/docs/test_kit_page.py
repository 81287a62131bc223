"""The examples of docs/kit.md are run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from nutstate.cli import app

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "kit.md").read_text(encoding="utf-8")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    machine, by_hand = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    (settings,) = re.findall(r"```toml\n(.*?)```", PAGE, re.S)
    (tmp_path / "shop.py").write_text(machine, encoding="utf-8")
    (tmp_path / "by_hand.py").write_text(by_hand, encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(settings, encoding="utf-8")
    return tmp_path


def run(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(
        [sys.executable, *args], cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )


def test_by_hand(shop: Path) -> None:
    done = run(shop, "by_hand.py")
    assert done.returncode == 0, done.stderr
    shown = re.search(r"```\n\n((?:    .*\n|\n)+)\nPaths", PAGE)
    assert shown is not None
    lines = [line.removeprefix("    ") for line in shown[1].splitlines()]
    assert done.stdout.rstrip("\n").splitlines() == lines


def test_every_cell_as_a_test(shop: Path) -> None:
    done = run(shop, "-m", "pytest", "-p", "nutstate.pytest_plugin", "-v", "-k", "not lint")
    assert done.returncode == 0, done.stdout
    assert "nutstate::order::cell[open-tick] PASSED" in done.stdout
    assert "14 passed, 1 deselected" in done.stdout
    done = run(shop, "-m", "pytest", "-p", "nutstate.pytest_plugin", "-k", "order and open-tick")
    assert "1 passed, 14 deselected" in done.stdout


def test_every_command_works(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    section = PAGE.partition("## On the command line")[2]
    commands = [line.partition("#")[0].split() for line in re.findall(r"^    nutstate (.*)$", section, re.M)]
    assert len(commands) == 7
    monkeypatch.chdir(shop)
    monkeypatch.syspath_prepend(shop)
    monkeypatch.setitem(sys.modules, "shop", None)
    monkeypatch.delitem(sys.modules, "shop")
    for command in commands:
        args, _, file = " ".join(command).partition(" > ")
        shown = CliRunner().invoke(app, args.split())
        assert shown.exit_code == 0, shown.output
        if file:
            Path(file).write_text(shown.stdout, encoding="utf-8")
