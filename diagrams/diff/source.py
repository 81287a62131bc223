"""Where the two versions of the machines come from: a git revision, a checkout's files, or a JSON file.

Another version of the package is never imported here: a program of its own reads it and prints it as data.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Final

WORKING_TREE: Final = "."
"""The name of the files as they lie in the checkout, committed or not."""

_PLACES: Final = ("machines", "src/nutstate/machines")
_TIMEOUT_S: Final = 120

_PROGRAM: Final = """
import json, sys, types
package = types.ModuleType("nutstate")
package.__path__ = [sys.argv[1]]
sys.modules["nutstate"] = package
from nutstate.machines.registry import RELEASED
newest = {}
for machine in RELEASED:
    if machine.name not in newest or machine.version > newest[machine.name].version:
        newest[machine.name] = machine
print(json.dumps([machine.as_data() for machine in newest.values()]))
"""
"""Reads the machines of the folder it is given, and nothing else of that version."""


class NoMachines(RuntimeError):
    """There are no machines to be had from there; the message says why."""


def machines_at(where: str, checkout: Path) -> list[Any]:
    """The data of all machines (their newest versions) at ``where``: ``"."`` (the working tree), an existing
    JSON file, or a git revision of the checkout. Raises NoMachines."""
    if where == WORKING_TREE:
        return _read(_home(checkout, "the working tree"), "the working tree")
    path = Path(where)
    if path.is_file():
        return _from_file(path)
    if path.suffix == ".json":
        raise NoMachines(f"{where}: there is no such file")
    return _at_revision(where, checkout)


def _from_file(path: Path) -> list[Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NoMachines(f"{path}: not a JSON document: {error}") from None
    if isinstance(found, dict) and "states" in found:
        return [found]
    if isinstance(found, dict):
        found = found.get("machines", list(found.values()))
    if not isinstance(found, list) or not found:
        raise NoMachines(f"{path}: neither the data of a machine nor a list of such data")
    return found


def _at_revision(revision: str, checkout: Path) -> list[Any]:
    commit = _git(checkout, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if commit is None:
        raise NoMachines(f"{revision!r} is neither a git revision of {checkout} nor a JSON file")
    commit = commit.strip()
    listed = _git(
        checkout, "ls-tree", "-r", "--name-only", commit, "--", *(f"{p}/registry.py" for p in _PLACES)
    )
    place = next((place for place in _PLACES if f"{place}/registry.py" in (listed or "").splitlines()), None)
    if place is None:
        raise NoMachines(f"revision {revision!r} has no machines/registry.py")
    with tempfile.TemporaryDirectory(prefix="nutstate-diff-") as folder:
        packed = Path(folder) / "machines.zip"
        if _git(checkout, "archive", "--format=zip", f"--output={packed}", commit, "--", place) is None:
            raise NoMachines(f"revision {revision!r} cannot be exported")
        with zipfile.ZipFile(packed) as archive:
            archive.extractall(folder)
        return _read((Path(folder) / place).parent, f"revision {revision!r}")


def _home(checkout: Path, what: str) -> Path:
    for place in _PLACES:
        if (checkout / place / "registry.py").is_file():
            return (checkout / place).parent
    raise NoMachines(f"{what} has no machines/registry.py")


def _read(home: Path, what: str) -> list[Any]:
    """The output of the program about the machines in ``home/machines``."""
    try:
        ran = subprocess.run(
            [sys.executable, "-P", "-B", "-c", _PROGRAM, str(home)],
            capture_output=True, text=True, encoding="utf-8", timeout=_TIMEOUT_S, check=False,
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise NoMachines(f"{what}: reading its machines took longer than {_TIMEOUT_S} s") from None
    if ran.returncode != 0:
        last = ran.stderr.strip().splitlines()[-1:] or ["no reason was given"]
        raise NoMachines(f"{what}: its machines cannot be read: {last[0]}")
    found: list[Any] = json.loads(ran.stdout)
    return found


def _git(checkout: Path, *words: str) -> str | None:
    """The output of git, None when it refuses. Raises NoMachines without git."""
    try:
        ran = subprocess.run(
            ["git", "-C", str(checkout), *words],
            capture_output=True, text=True, encoding="utf-8", timeout=_TIMEOUT_S, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise NoMachines("git is not installed: name two JSON files instead") from None
    return ran.stdout if ran.returncode == 0 else None
