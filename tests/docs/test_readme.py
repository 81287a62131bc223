"""The README's promises are run, not believed."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from nutstate import Settings, SimulatedMint
from nutstate.cli import app
from nutstate.cli.commands import COMMANDS
from tests.support.wallet import NPUB

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


START = (ROOT / "docs" / "start.md").read_text(encoding="utf-8")
INDEX = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
SCREEN = README.partition("\n## ")[0]
"""What a reader sees first."""


def blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_first_screen() -> None:
    """R450: one sentence, the install line, four lines of code, a kill, where to go on, what is missing."""
    first = SCREEN.split("\n\n")[1]
    assert first.startswith("**nutstate** is ") and len(re.findall(r"\.(?:\s|$)", first)) == 1
    (console,) = blocks("console", SCREEN)
    assert "pip install" in console
    assert SCREEN.index("pip install") < SCREEN.index("**Kill it anywhere.**") < SCREEN.index("| you want |")
    assert SCREEN.index("| you want |") < SCREEN.index("**What is missing today**")
    assert SCREEN.count("\n") <= 60
    (code,) = blocks("python", SCREEN)
    statements = [line for line in ast.parse(code).body if not isinstance(line, ast.ImportFrom)]
    assert len(statements) == 4


def test_the_four_lines_run_as_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """R450: with a mint, an owner and an invoice; the stored wallet goes on after them."""
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("python", README)
    with SimulatedMint() as mint:
        scope: dict[str, Any] = {
            "mint": mint, "wallet": {"npub": NPUB, "mint_url": mint.url},
            "invoice": mint.lightning.invoice(100).reveal(),
        }  # fmt: skip
        exec(compile(code, "README.md", "exec"), scope)
    scope["engine"].store.close()
    assert capsys.readouterr().out.startswith("paid: 100 sat, cost ")


def test_the_example_runs_as_it_stands() -> None:
    (code,) = blocks("python", START)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("paid: 100 sat, cost ")
    assert len([line for line in code.splitlines() if line.strip()]) <= 22


def test_the_example_is_the_one_in_examples() -> None:
    (code,) = blocks("python", START)
    assert code.strip() in (ROOT / "examples" / "embed.py").read_text(encoding="utf-8")


def test_every_named_command_exists() -> None:
    listed = re.search(r"`nutstate (demo [^`]*)`", START)
    assert listed is not None
    names = listed[1].replace("\n", " ").split(" · ")
    assert sorted(names) == sorted(COMMANDS)
    for name in names:
        assert CliRunner().invoke(app, [*name.split(), "--help"]).exit_code == 0, name


def test_the_commands_for_reviewers_run_as_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but three: one needs an operation, one a branch, one takes some seconds."""
    monkeypatch.chdir(tmp_path)
    (block,) = blocks("console", INDEX)
    lines = [line.removeprefix("$ nutstate ").partition("#")[0].split() for line in block.splitlines()]
    assert len(lines) == 7
    for words in lines:
        if words[:2] in (["show", "ID"], ["diagrams", "diff"], ["machines", "explore"]):
            words = [*words[:2], "--help"]
        ran = CliRunner().invoke(app, words)
        assert ran.exit_code == 0 and ran.output, (words, ran.output)


@pytest.mark.parametrize(
    "target", re.findall(r"`(?:\$ )?make ([a-z]+)|^\$ make ([a-z]+)", README + START, re.MULTILINE)
)
def test_every_named_target_exists(target: tuple[str, str]) -> None:
    name = target[0] or target[1]
    assert re.search(rf"^{name}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE), name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
        if not link.startswith("http"):
            assert (document.parent / link).exists(), link


def test_the_documented_defaults_are_the_real_ones() -> None:
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8").split("## Defaults")[1]
    found = dict(re.findall(r"\b([a-z_]+_(?:s|h|max)|wait_s) (\d+)", text))
    assert len(found) >= 9
    for name, value in found.items():
        assert getattr(Settings(), name) == int(value), name
