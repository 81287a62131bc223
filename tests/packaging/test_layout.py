"""The links, the build table and the checkers' lists name the same folders."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from tests.packaging.snapshot import FOLDERS, ROOT

FACE = ROOT / "src" / "nutstate"


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_links_are_relative_and_are_the_four_folders() -> None:
    links = {path.name: path for path in FACE.iterdir() if path.is_symlink()}
    assert sorted(links) == sorted(FOLDERS)
    for name, link in links.items():
        assert str(link.readlink()) == f"../../{name}"
        assert link.resolve() == ROOT / name


def test_the_wheel_is_made_of_the_four_folders(project: dict[str, Any]) -> None:
    build = project["tool"]["hatch"]["build"]
    wheel = build["targets"]["wheel"]
    assert sorted(wheel["only-include"]) == sorted(("src/nutstate", *FOLDERS))
    assert wheel["sources"] == {"src/nutstate": "nutstate"} | {name: f"nutstate/{name}" for name in FOLDERS}
    links = {f"/src/nutstate/{name}" for name in FOLDERS}
    assert set(build["exclude"]) == {*links, "/diagrams/out"}
    for target in build["targets"].values():
        assert links <= set(target.get("exclude", links)), "a target's list replaces the general one"
    assert build["skip-excluded-dirs"] is True


def test_the_checkers_see_every_file_once(project: dict[str, Any]) -> None:
    tool = project["tool"]
    assert tool["mypy"]["files"] == ["src", "tests"]
    assert tool["mypy"]["strict"] is True
    own = {path.name for path in FACE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert sorted(tool["basedpyright"]["include"]) == sorted(
        [*(f"src/nutstate/{name}" for name in own), "tests"]
    )
    links = {f"src/nutstate/{name}" for name in FOLDERS}
    assert links <= set(tool["ruff"]["extend-exclude"]), "ruff sees the real folders already"


def test_the_engine_contract_names_every_adapter(project: dict[str, Any]) -> None:
    """A storage module is either part of the port, or the engine may not import it."""
    port = {"__init__", "ahead", "batch", "catalogue", "data", "errors", "evolve", "port", "records", "rules"}
    port |= {"read_back", "schema_1", "secret"}
    rules = {"__init__", "audit_hash", "codec", "machines", "plain", "quick"}
    contracts = {contract["id"]: contract for contract in project["tool"]["importlinter"]["contracts"]}
    forbidden = {name.removeprefix("nutstate.storage.") for name in contracts["port"]["forbidden_modules"]}
    of_rules = {name.partition(".")[2] for name in forbidden if "." in name}
    assert of_rules | rules == {path.stem for path in (ROOT / "storage" / "rules").glob("*.py")}
    own = {name for name in forbidden if "." not in name}
    found = {path.stem for path in (ROOT / "storage").iterdir() if path.name != "__pycache__"}
    assert own | port == found
    assert not own & port


def test_the_machine_contracts_name_every_machine(project: dict[str, Any]) -> None:
    """Each room of ``machines`` is apart from the others."""
    contracts = {contract["id"]: contract for contract in project["tool"]["importlinter"]["contracts"]}
    rooms = {path.parent.name for path in (ROOT / "machines").glob("*/table.py")}
    assert {name.rpartition(".")[2] for name in contracts["apart"]["modules"]} == rooms
