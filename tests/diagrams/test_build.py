"""Building and checking the committed files."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nutstate.cli.app import app
from nutstate.diagrams import build as drawings
from nutstate.diagrams.build import build, build_readme, check, checkout, render, with_diagram

ROOT = Path(__file__).resolve().parents[2]
MARKED = "# title\n\n<!-- diagram:melt -->\nold\n<!-- /diagram -->\n\nthe rest\n"


def test_the_committed_files_are_those_of_the_machines() -> None:
    found = check(ROOT)
    assert not found, "\n".join(f"{d.path}: {d.problem}" for d in found) + f"\n{drawings.HOW_TO_FIX}"


def test_there_is_a_drawing_and_a_table_of_each_machine() -> None:
    names = set(render())
    for machine in ("token", "melt", "record", "mint", "deposit", "check"):
        assert {f"{machine}.mmd", f"{machine}.md"} <= names
        assert f"{machine}.svg" in names
    assert {"melt-states.mmd", "melt-good-path.mmd", "melt-good-path.svg", "melt-overview.svg"} <= names
    assert {"melt-before-payment.svg", "melt-in-flight.svg", "melt-after-payment.svg"} <= names


def test_every_picture_is_linked_from_the_page_of_its_machine() -> None:
    files = render()
    for name, text in files.items():
        if name.endswith(".md"):
            shown = set(re.findall(r"\]\(([^)]+\.svg)\)", text))
            assert shown == {file for file in files if file.endswith(".svg") and file.startswith(name[:-3])}
            assert text.index(".svg)") < text.index("## States")


def test_a_drawing_in_other_colours_is_drift(tree: Path) -> None:
    build(tree / drawings.OUT, "dark")
    assert {(d.path.rpartition(".")[2], d.problem) for d in check(tree)} == {("svg", "stale")}


def test_a_changed_or_extra_picture_is_found(tree: Path) -> None:
    out = tree / drawings.OUT
    (out / "token.svg").write_text((out / "token.svg").read_text().replace("reserved", "stolen"))
    (out / "old.svg").write_text("<svg/>")
    found = {d.path: d for d in check(tree)}
    assert {path: d.problem for path, d in found.items()} == {
        "diagrams/out/old.svg": "extra",
        "diagrams/out/token.svg": "stale",
    }
    assert "stolen" in found["diagrams/out/token.svg"].diff


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout with everything as built."""
    (tmp_path / "README.md").write_text(MARKED)
    build(tmp_path / drawings.OUT)
    assert build_readme(tmp_path)
    return tmp_path


def test_what_was_built_is_found_good(tree: Path) -> None:
    assert check(tree) == ()


def test_a_changed_file_is_found_with_a_diff(tree: Path) -> None:
    changed = tree / drawings.OUT / "token.mmd"
    changed.write_text(changed.read_text().replace("deposit_reserved", "deposit_stolen"))
    (found,) = check(tree)
    assert (found.path, found.problem) == ("diagrams/out/token.mmd", "stale")
    assert "-" in found.diff
    assert "deposit_stolen" in found.diff
    assert "(from the machines)" in found.diff


def test_a_missing_and_an_extra_file_are_found(tree: Path) -> None:
    out = tree / drawings.OUT
    (out / "mint.md").rename(out / "aaa.md")
    assert [(d.path, d.problem) for d in check(tree)] == [
        ("diagrams/out/aaa.md", "extra"),
        ("diagrams/out/mint.md", "missing"),
    ]
    build(out)
    assert check(tree) == ()


def test_a_checkout_without_any_drawing_misses_all(tree: Path) -> None:
    shutil.rmtree(tree / drawings.OUT)
    assert {d.problem for d in check(tree)} == {"missing"}
    assert len(check(tree)) == len(render())


def test_the_readme_is_checked_and_rebuilt(tree: Path) -> None:
    readme = tree / "README.md"
    text = readme.read_text()
    assert text.startswith(
        "# title\n\n<!-- diagram:melt -->\n[![How a melt runs](diagrams/out/melt-good-path.svg)]"
    )
    assert "\n```mermaid\n" in text
    assert text.endswith("```\n\n</details>\n<!-- /diagram -->\n\nthe rest\n")
    readme.write_text(readme.read_text().replace("mint_paid", "mint_lied"))
    assert [(d.path, d.problem) for d in check(tree)] == [("README.md", "stale")]
    assert build_readme(tree)
    assert check(tree) == ()


@pytest.mark.parametrize(
    "text", ["# none\n", "<!-- diagram:melt -->\n", "<!-- /diagram --> <!-- diagram:melt -->"]
)
def test_a_readme_without_both_markers_is_left_alone_and_reported(tree: Path, text: str) -> None:
    (tree / "README.md").write_text(text)
    assert with_diagram(text) is None
    assert not build_readme(tree)
    assert (tree / "README.md").read_text() == text
    assert [(d.path, d.problem) for d in check(tree)] == [("README.md", "unmarked")]


def test_a_readme_need_not_exist(tree: Path) -> None:
    (tree / "README.md").unlink()
    assert check(tree) == ()
    assert not build_readme(tree)


def test_building_twice_changes_nothing(tree: Path) -> None:
    before = {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    build(tree / drawings.OUT)
    build_readme(tree)
    assert {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()} == before


def test_the_checkout_is_found() -> None:
    assert checkout() == ROOT


# --- the command line -------------------------------------------------------------------------------


@pytest.fixture
def nutstate() -> Callable[..., Result]:
    return lambda *words: CliRunner().invoke(app, words, prog_name="nutstate")


@pytest.fixture
def in_tree(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(drawings, "checkout", lambda: tree)
    return tree


def test_check_is_content(nutstate: Callable[..., Result], in_tree: Path) -> None:
    ran = nutstate("diagrams", "check")
    assert ran.exit_code == 0
    assert "those of the machines" in ran.stdout
    assert json.loads(nutstate("diagrams", "check", "--json").stdout) == {
        "current": True,
        "differences": [],
        "fix": None,
    }


def test_check_shows_the_diff_and_how_to_fix_it(nutstate: Callable[..., Result], in_tree: Path) -> None:
    (in_tree / drawings.OUT / "melt.md").write_text("mine\n")
    (in_tree / drawings.OUT / "token.md").unlink()
    (in_tree / drawings.OUT / "old.mmd").write_text("")
    (in_tree / "README.md").write_text("")
    ran = nutstate("diagrams", "check")
    assert ran.exit_code == 1
    assert (
        "--- diagrams/out/melt.md (committed)\n+++ diagrams/out/melt.md (from the machines)\n" in ran.stdout
    )
    assert "-mine\n" in ran.stdout
    assert "diagrams/out/token.md: missing" in ran.stdout
    assert "diagrams/out/old.mmd: not generated from any machine" in ran.stdout
    assert "README.md: has no pair of" in ran.stdout
    assert "4 file(s) differ" in ran.stderr
    assert drawings.HOW_TO_FIX in ran.stderr


def test_check_says_the_same_in_json(nutstate: Callable[..., Result], in_tree: Path) -> None:
    (in_tree / drawings.OUT / "token.md").unlink()
    ran = nutstate("diagrams", "check", "--json")
    assert ran.exit_code == 1
    said = json.loads(ran.stdout)
    assert not said["current"]
    assert said["differences"] == [{"path": "diagrams/out/token.md", "problem": "missing", "diff": ""}]
    assert said["fix"] == drawings.HOW_TO_FIX


def test_build_makes_check_content(nutstate: Callable[..., Result], in_tree: Path) -> None:
    (in_tree / drawings.OUT / "melt.md").write_text("mine\n")
    (in_tree / "README.md").write_text(MARKED)
    ran = nutstate("diagrams", "build")
    assert ran.exit_code == 0
    assert str(in_tree / drawings.OUT / "melt.md") in ran.stdout
    assert str(in_tree / "README.md") in ran.stdout
    assert nutstate("diagrams", "check").exit_code == 0


def test_build_elsewhere_leaves_the_checkout_alone(
    nutstate: Callable[..., Result], in_tree: Path, tmp_path: Path
) -> None:
    (in_tree / "README.md").write_text(MARKED)
    ran = nutstate("diagrams", "build", "--out", str(tmp_path / "there"), "--json")
    assert ran.exit_code == 0
    said = json.loads(ran.stdout)
    assert said == {"folder": str(tmp_path / "there"), "written": sorted(render()), "readme": False}
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == sorted(render())
    assert (in_tree / "README.md").read_text() == MARKED


def test_colours_are_chosen_for_a_folder_of_ones_own(
    nutstate: Callable[..., Result], in_tree: Path, tmp_path: Path
) -> None:
    assert nutstate("diagrams", "build", "--theme", "dark").exit_code == 2
    assert check(in_tree) == ()
    ran = nutstate("diagrams", "build", "--theme", "dark", "--out", str(tmp_path / "there"))
    assert ran.exit_code == 0
    assert "@media" not in (tmp_path / "there" / "melt.svg").read_text()


def test_build_never_removes_what_is_not_its_own(nutstate: Callable[..., Result], tmp_path: Path) -> None:
    for name in ("notes.md", "photo.svg"):
        folder = tmp_path / name.partition(".")[0]
        folder.mkdir()
        (folder / name).write_text("mine")
        ran = nutstate("diagrams", "build", "--out", str(folder))
        assert ran.exit_code == 2
        assert "not drawings" in ran.stderr
        assert [path.name for path in folder.iterdir()] == [name]


@pytest.mark.parametrize("command", ["build", "check"])
def test_outside_a_checkout_it_says_so(
    nutstate: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    monkeypatch.setattr(drawings, "__file__", str(tmp_path / "site-packages/nutstate/diagrams/build.py"))
    monkeypatch.chdir(tmp_path)
    ran = nutstate("diagrams", command)
    assert ran.exit_code == 2
    assert "not in a source checkout" in ran.stderr
    assert "--out DIR" in ran.stderr


# --- python -m nutstate.diagrams.build ---------------------------------------------------------------


def test_the_record_of_released_tables_is_written_on_demand(
    in_tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert drawings.main([]) == 0
    assert not (in_tree / drawings.GOLDEN).exists()
    (in_tree / drawings.GOLDEN).parent.mkdir(parents=True)
    assert drawings.main(["--golden"]) == 0
    recorded = json.loads((in_tree / drawings.GOLDEN).read_text())
    assert [entry["name"] for entry in recorded] == [
        "check",
        "deposit",
        "melt",
        "mint",
        "receive",
        "record",
        "swap",
        "token",
    ]
    assert drawings.GOLDEN in capsys.readouterr().out


def test_a_wrong_argument_is_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert drawings.main(["--glden"]) == 2
    assert "usage" in capsys.readouterr().err
