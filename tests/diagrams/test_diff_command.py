"""``diagrams diff`` at the command line: revisions, the working tree, and stored files."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import attrs
import pytest
from click.testing import CliRunner, Result

from nutstate.cli.app import app
from nutstate.diagrams import build as drawings
from nutstate.diagrams.exports import export
from nutstate.machines import MELT, TOKEN
from nutstate.machines.registry import RELEASED

ROOT = Path(__file__).resolve().parents[2]
PLANTED = ('"found_clean", NONE, "clean"', '"found_clean", NONE, "corrected"')

Run = Callable[..., Result]
NAMES = sorted({machine.name for machine in RELEASED})


@pytest.fixture
def nutstate() -> Run:
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words], prog_name="nutstate")


def git(root: Path, *words: str) -> None:
    who = ("-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True, timeout=60)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of its own that holds the machines, in one commit tagged v1."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    root = tmp_path / "repository"
    shutil.copytree(ROOT / "machines", root / "machines", ignore=shutil.ignore_patterns("__pycache__"))
    git(root.parent, "init", "-q", str(root))
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "first")
    git(root, "tag", "v1")
    monkeypatch.setattr(drawings, "checkout", lambda: root)
    return root


def plant(root: Path) -> None:
    file = root / "machines" / "check" / "table.py"
    text = file.read_text()
    assert PLANTED[0] in text
    file.write_text(text.replace(*PLANTED))


def test_without_words_the_last_commit_is_compared_with_the_files(nutstate: Run, checkout: Path) -> None:
    ran = nutstate("diagrams", "diff")
    assert (ran.exit_code, ran.stdout) == (0, f"No change: {', '.join(NAMES)}.\n")
    plant(checkout)
    ran = nutstate("diagrams", "diff")
    assert ran.exit_code == 1
    assert "~ edge 1.found_clean.none: dest clean → corrected" in ran.stdout
    assert "the version did not" in ran.stdout
    assert "melt" not in ran.stdout


def test_two_revisions_are_compared_and_nothing_is_left_behind(nutstate: Run, checkout: Path) -> None:
    plant(checkout)
    git(checkout, "commit", "-q", "-a", "-m", "second")
    ran = nutstate("diagrams", "diff", "v1", "HEAD", "check", "--json")
    assert ran.exit_code == 1
    said = json.loads(ran.stdout)
    assert said["changed"]
    (only,) = said["machines"]
    assert [c["what"] for c in only["changes"]] == ["dest"]
    assert nutstate("diagrams", "diff", "v1", "HEAD", "melt").exit_code == 0
    status = subprocess.run(
        ["git", "status", "--porcelain", "--ignored"], cwd=checkout, capture_output=True, timeout=60
    )
    assert status.stdout == b""


def test_a_revision_whose_machines_lie_elsewhere_is_read_too(nutstate: Run, checkout: Path) -> None:
    (checkout / "src" / "nutstate").mkdir(parents=True)
    git(checkout, "mv", "machines", "src/nutstate/machines")
    git(checkout, "commit", "-q", "-m", "moved")
    assert nutstate("diagrams", "diff", "v1", "HEAD").exit_code == 0


def test_the_program_that_runs_is_never_asked_for_the_other_version(nutstate: Run, checkout: Path) -> None:
    registry = checkout / "machines" / "registry.py"
    text = registry.read_text()
    fewer = re.sub(r"\(TOKEN, MELT, [A-Z, ]+\)", "(TOKEN, MELT)", text)
    assert fewer != text
    registry.write_text(fewer)
    ran = nutstate("diagrams", "diff", "v1", "--json")
    gone = [m["machine"] for m in json.loads(ran.stdout)["machines"] if m["new"] is None]
    assert gone == [name for name in NAMES if name not in ("token", "melt")]


def test_a_pull_request_gets_tables(nutstate: Run, checkout: Path) -> None:
    plant(checkout)
    ran = nutstate("diagrams", "diff", "v1", ".", "--markdown")
    assert ran.exit_code == 1
    assert ran.stdout.startswith("## Machines: `v1` → `working tree`\n\n### check version 1")
    assert "| 🟠 | edge `1.found_clean.none` | dest | `clean` | `corrected` |" in ran.stdout
    assert "No machine changed." in nutstate("diagrams", "diff", "v1", "v1", "--markdown").stdout


def test_the_changed_machine_is_drawn(nutstate: Run, checkout: Path, tmp_path: Path) -> None:
    plant(checkout)
    ran = nutstate("diagrams", "diff", "--svg", tmp_path / "one.svg", "--theme", "dark")
    assert ran.exit_code == 1
    assert str(tmp_path / "one.svg") in ran.stdout
    ElementTree.parse(tmp_path / "one.svg")
    nutstate("diagrams", "diff", "--out", tmp_path / "all")
    assert [path.name for path in (tmp_path / "all").iterdir()] == ["check-changes.svg"]


def test_several_changed_machines_need_a_folder(nutstate: Run, tmp_path: Path) -> None:
    old, new = stored(tmp_path, "old", MELT.as_data()), stored(tmp_path, "new", TOKEN.as_data())
    ran = nutstate("diagrams", "diff", old, new, "--svg", tmp_path / "x.svg")
    assert ran.exit_code == 2
    assert "--out DIR" in ran.stderr
    assert not (tmp_path / "x.svg").exists()
    ran = nutstate("diagrams", "diff", old, new, "--out", tmp_path / "all")
    assert ran.exit_code == 1
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == [
        "melt-changes.svg",
        "token-changes.svg",
    ]


def stored(folder: Path, name: str, content: Any) -> Path:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    "wrap", [lambda d: d, lambda d: [d], lambda d: {"machines": [d]}, lambda d: {"melt": d}]
)
def test_stored_files_are_compared_without_any_checkout(
    nutstate: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrap: Callable[[Any], Any]
) -> None:
    monkeypatch.setattr(drawings, "__file__", str(tmp_path / "site-packages/nutstate/diagrams/build.py"))
    monkeypatch.chdir(tmp_path)
    changed = {**MELT.as_data(), "version": 2}
    old, new = stored(tmp_path, "old", wrap(MELT.as_data())), stored(tmp_path, "new", wrap(changed))
    ran = nutstate("diagrams", "diff", old, new)
    assert ran.exit_code == 1
    assert "~ machine melt: version 1 → 2" in ran.stdout
    assert nutstate("diagrams", "diff", old, old).exit_code == 0
    for words in ((), ("gone.json", "gone.json"), (old, "HEAD")):
        ran = nutstate("diagrams", "diff", *words)
        assert ran.exit_code == 2
        assert ("there is no such file" if "gone.json" in words else "name two JSON files") in ran.stderr


def test_exported_files_are_compared(nutstate: Run, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("old.json", "new.json")]
    for path, version in zip(files, (1, 2), strict=True):
        path.write_text(export(attrs.evolve(MELT, version=version), "json"), encoding="utf-8")
    ran = nutstate("diagrams", "diff", *files)
    assert "~ machine melt: version 1 → 2" in ran.stdout
    assert "content_hash" not in ran.stdout
    assert nutstate("diagrams", "diff", files[0], files[0]).exit_code == 0


def test_a_drawing_that_cannot_be_written_is_usage(nutstate: Run, tmp_path: Path) -> None:
    old, new = stored(tmp_path, "old", MELT.as_data()), stored(tmp_path, "new", TOKEN.as_data())
    for option in ("--svg", "--out"):
        ran = nutstate("diagrams", "diff", old, new, "melt", option, old / "x")
        assert ran.exit_code == 2
        assert f"{option}: Not a directory" in ran.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("no-such-thing",), "neither a git revision"),
        (("--", "--output=x"), "neither a git revision"),
        (("gone.json",), "no such file"),
        (("v1", ".", "nobody"), "no machine named 'nobody'"),
        (("v1", ".", "--json", "--markdown"), "exclude one another"),
    ],
)
def test_wrong_words_are_usage(nutstate: Run, checkout: Path, words: tuple[str, ...], told: str) -> None:
    ran = nutstate("diagrams", "diff", *words)
    assert ran.exit_code == 2
    assert told in ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("text", "told"),
    [("{", "not a JSON document"), ("[]", "neither the data"), ('{"name": "x", "states": []}', "missing")],
)
def test_a_file_that_holds_no_machine_is_usage(nutstate: Run, tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    ran = nutstate("diagrams", "diff", file, file)
    assert ran.exit_code == 2
    assert told in ran.stderr


def test_machines_that_cannot_be_read_are_told_with_the_reason(nutstate: Run, checkout: Path) -> None:
    (checkout / "machines" / "melt" / "table.py").write_text("this is no Python\n")
    ran = nutstate("diagrams", "diff")
    assert ran.exit_code == 2
    assert "the working tree: its machines cannot be read: SyntaxError" in ran.stderr
    shutil.rmtree(checkout / "machines")
    assert "has no machines/registry.py" in nutstate("diagrams", "diff").stderr
