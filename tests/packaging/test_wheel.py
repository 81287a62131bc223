"""What is installed is what was tested: the wheel, in an environment of its own, outside the tree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from attrs import frozen

import nutstate
from tests.packaging.snapshot import FOLDERS, snapshot

pytestmark = pytest.mark.slow

NEED_THE_SERVER_EXTRA = {
    f"nutstate.mint_server.{name}" for name in ("admin", "delivery", "endpoints", "serve")
}
NEED_THE_TESTING_EXTRA = {
    "nutstate._machine_items",
    "nutstate.pytest_plugin",
    "nutstate.storage.memory",
    "nutstate.storage.testing.records",
}
"""Modules that only work with ``nutstate[testing]``."""

_IMPORT_EACH = """
import importlib, json, sys
missing = {}
for name in json.load(sys.stdin):
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing[name] = error.name
print(json.dumps(missing))
"""


@frozen
class Built:
    """The distributions, and a clean environment with the wheel in it."""

    wheel: Path
    wheel_of_sdist: Path
    python: Path
    outside: Path

    @property
    def names(self) -> list[str]:
        """Every file in the wheel."""
        with zipfile.ZipFile(self.wheel) as archive:
            return archive.namelist()

    @property
    def modules(self) -> list[str]:
        """Every module in the wheel."""
        found = [name.removesuffix(".py").replace("/", ".") for name in self.names if name.endswith(".py")]
        return sorted(name.removesuffix(".__init__") for name in found)


def run(*command: str | Path, cwd: Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run in a plain environment: nothing of this one is on the path."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "COV", "VIRTUAL_ENV", "NUTSTATE"))
    }
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        input="" if stdin is None else stdin,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def done(ran: subprocess.CompletedProcess[str]) -> str:
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    home = tmp_path_factory.mktemp("wheel")
    tree = snapshot(home / "tree")
    outside = home / "outside"
    outside.mkdir()
    done(run(sys.executable, "-m", "build", "--wheel", "--outdir", home / "direct", tree, cwd=home))
    done(run(sys.executable, "-m", "build", "--outdir", home / "via-sdist", tree, cwd=home))
    (wheel,) = (home / "direct").glob("*.whl")
    (again,) = (home / "via-sdist").glob("*.whl")
    venv.create(home / "clean", with_pip=True, symlinks=True)
    python = home / "clean" / "bin" / "python"
    done(run(python, "-m", "pip", "install", "-q", "--no-input", wheel, cwd=outside))
    return Built(wheel, again, python, outside)


def test_nothing_but_nutstate_is_at_the_top(built: Built) -> None:
    tops = {name.partition("/")[0] for name in built.names}
    assert tops == {"nutstate", f"nutstate-{nutstate.__version__}.dist-info"}
    assert not tops & set(FOLDERS)


def test_everything_is_in_it(built: Built) -> None:
    names = set(built.names)
    assert "nutstate/py.typed" in names
    for folder in FOLDERS:
        assert f"nutstate/{folder}/__init__.py" in names
    assert len(built.names) == len(names), "a file is in the wheel twice"
    assert not [name for name in names if "__pycache__" in name or "/tests/" in name]
    assert not [name for name in names if name.startswith("nutstate/diagrams/out/")]


def test_the_sdist_builds_the_same_wheel(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as one, zipfile.ZipFile(built.wheel_of_sdist) as other:
        assert one.namelist() == other.namelist()
        assert {name: one.read(name) for name in one.namelist()} == {
            name: other.read(name) for name in other.namelist()
        }


def test_every_module_can_be_imported(built: Built) -> None:
    said = done(run(built.python, "-c", _IMPORT_EACH, cwd=built.outside, stdin=json.dumps(built.modules)))
    missing = json.loads(said)
    server = {name for name, package in missing.items() if package in ("starlette", "uvicorn")}
    assert server == NEED_THE_SERVER_EXTRA, missing
    assert missing.keys() - server <= NEED_THE_TESTING_EXTRA, missing
    assert {missing[name] for name in missing.keys() - server} <= {"mongomock", "pytest", "hypothesis"}, (
        missing
    )


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_is_not_a_package_of_its_own(built: Built, name: str) -> None:
    ran = run(built.python, "-c", f"import {name}", cwd=built.outside)
    assert ran.returncode == 1
    assert "ModuleNotFoundError" in ran.stderr


def test_the_program_runs(built: Built) -> None:
    program = built.python.parent / "nutstate"
    said = f"nutstate {nutstate.__version__}\n"
    assert done(run(program, "--version", cwd=built.outside)) == said
    assert done(run(built.python, "-m", "nutstate", "--version", cwd=built.outside)) == said


def test_it_draws_without_a_checkout_and_says_that_there_is_nothing_to_check(built: Built) -> None:
    program = built.python.parent / "nutstate"
    done(run(program, "diagrams", "build", "--out", "drawn", cwd=built.outside))
    assert (built.outside / "drawn" / "melt.mmd").is_file()
    ran = run(program, "diagrams", "check", cwd=built.outside)
    assert ran.returncode == 2
    assert "not in a source checkout" in ran.stderr


def test_it_writes_the_review_page(built: Built) -> None:
    """Template, style sheet and script are in the wheel."""
    done(run(built.python.parent / "nutstate", "diagrams", "page", cwd=built.outside))
    assert "nutstateReview" in (built.outside / "nutstate-machines.html").read_text(encoding="utf-8")


def test_the_machines_of_a_service_need_nothing_more(built: Built) -> None:
    program, theirs = built.python.parent / "nutstate", ("--from", "shop")
    (built.outside / "shop.py").write_text(
        "from nutstate.machines.spec import *\n"
        "SHUT, OPEN = State('none', 'shut', kind='pseudo'), State('open', 'it is open', kind='final')\n"
        "SHOP = Machine('shop', 1, object, (SHUT, OPEN), (Event('unlock', 'somebody unlocks', 'caller'),),\n"
        "               edges('1', 'unlock', 'none', 'open'))\n"
    )
    done(run(program, "diagrams", "page", *theirs, "-o", "shop.html", cwd=built.outside))
    assert "somebody unlocks" in (built.outside / "shop.html").read_text(encoding="utf-8")
    every = ("--format", "all", "--out", "exports")
    done(run(program, "machines", "export", "shop", *theirs, *every, cwd=built.outside))
    assert (built.outside / "exports" / "shop.svg").is_file()
    done(run(program, "machines", "lint", *theirs, cwd=built.outside))
    done(run(program, "machines", "paths", "shop", *theirs, cwd=built.outside))
    done(run(program, "machines", "explore", "--setting", "pay", cwd=built.outside))


def test_its_types_are_seen(built: Built) -> None:
    """A program that uses the installed wheel type-checks strictly against it."""
    (built.outside / "user.py").write_text(
        "from nutstate import Engine, open_store\nreveal_type(Engine.melt)\n"
    )
    ran = run(
        sys.executable, "-m", "mypy", "--strict", "--python-executable", built.python, "--cache-dir",
        built.outside / "cache", "user.py", cwd=built.outside,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout
    assert "Handle" in ran.stdout
