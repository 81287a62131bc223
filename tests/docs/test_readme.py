"""The README's promises are run, not believed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from nutstate import Settings
from nutstate.cli import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_example_runs_as_it_stands() -> None:
    (code,) = blocks("python")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("paid: 100 sat, cost ")
    assert len([line for line in code.splitlines() if line.strip()]) <= 22


def test_the_example_is_the_one_in_examples() -> None:
    (code,) = blocks("python")
    assert code.strip() in (ROOT / "examples" / "embed.py").read_text(encoding="utf-8")


def test_every_named_command_exists() -> None:
    listed = re.search(r"`nutstate (demo [^`]*)`", README)
    assert listed is not None
    for name in listed[1].replace("\n", " ").split(" · "):
        assert CliRunner().invoke(app, [*name.split(), "--help"]).exit_code == 0, name


def test_the_commands_for_reviewers_run_as_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but three: one needs an operation, one a branch, one takes some seconds."""
    monkeypatch.chdir(tmp_path)
    (block,) = [text for text in blocks("console") if "machines lint" in text]
    lines = [line.removeprefix("$ nutstate ").partition("#")[0].split() for line in block.splitlines()]
    assert len(lines) == 7
    for words in lines:
        if words[:2] in (["show", "ID"], ["diagrams", "diff"], ["machines", "explore"]):
            words = [*words[:2], "--help"]
        ran = CliRunner().invoke(app, words)
        assert ran.exit_code == 0 and ran.output, (words, ran.output)


@pytest.mark.parametrize(
    "target", re.findall(r"`(?:\$ )?make ([a-z]+)|^\$ make ([a-z]+)", README, re.MULTILINE)
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
