"""What starting the program loads: nothing that the call does not need."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from typing import Any

import attrs
import pytest

import nutstate
from nutstate.machines.shown import shown

LINES_MAX = 7200  # that attrs writes at the import of the engine; 8000 when each class had a repr of its own
SLOW = ("rich", "httpx", "httpcore", "structlog", "pymongo", "asyncio", "mongomock")


def loaded(code: str) -> set[str]:
    """Names of the modules that a fresh program has loaded after this code."""
    shown = f"{code}\nimport sys\nprint('loaded', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("loaded ")[2].split())


@pytest.mark.parametrize(
    "code",
    [
        "from nutstate import Engine",
        "from nutstate.cli.app import app",
        "from nutstate.machines.melt.table import MELT",
    ],
)
def test_an_import_loads_no_library_that_it_does_not_use(code: str) -> None:
    """R571: the engine's import loads no HTTP client, no logging library, no database driver."""
    assert loaded(code).isdisjoint(SLOW)


def test_help_and_version_load_no_engine() -> None:
    """R571: the help, the version and a wrong command are told without the engine and the machines."""
    for args in (["--help"], ["--version"], ["no-such-command"]):
        code = (
            "import contextlib\nfrom nutstate.cli import main\n"
            f"with contextlib.suppress(SystemExit):\n    main({args!r})"
        )
        found = loaded(code)
        assert "nutstate.cli.app" in found
        assert found.isdisjoint({*SLOW, "nutstate.engine", "nutstate.machines", "nutstate.storage"}), args


def test_a_command_loads_its_own_parts() -> None:
    """R571: the check of what is loaded sees what a command loads."""
    found = loaded("from nutstate.cli.commands import load\nload('balance')")
    assert {"nutstate.engine", "rich"} <= found


def test_the_import_of_the_engine_stays_small() -> None:
    """R634: attrs writes and compiles few lines at the start, of few modules. Large classes with a ``repr``
    of their own, or a package that every program loads, are seen here."""
    code = (
        "import linecache, sys\nfrom nutstate import Engine\n"
        "made = [entry for name, entry in linecache.cache.items() if name.startswith('<attrs generated')]\n"
        "ours = [name for name in sys.modules if name.startswith('nutstate')]\n"
        "print(sum(len(entry[2]) for entry in made), len(made), len(ours))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines, classes, modules = map(int, done.stdout.split())
    assert 100 < classes <= 220 and 1000 < lines <= LINES_MAX and 100 < modules <= 280


def test_a_shared_repr_is_that_of_attrs() -> None:
    """R633: the class and each field that may be shown, in order; never one that is hidden."""
    for module in pkgutil.walk_packages(nutstate.__path__, "nutstate."):
        if module.name.startswith(("nutstate.engine.", "nutstate.machines.", "nutstate.storage.")):
            importlib.import_module(module.name)
    kinds = {kind for kind in every_class() if "__repr__" in vars(kind) and vars(kind)["__repr__"] is shown}
    assert len(kinds) > 60
    hidden = 0
    for kind in kinds:
        declared: Any = kind
        fields = attrs.fields(declared)
        record: Any = object.__new__(kind)
        for field in fields:
            object.__setattr__(record, field.name, f"value of {field.name}")
        told = ", ".join(f"{field.name}='value of {field.name}'" for field in fields if field.repr)
        assert repr(record) == f"{kind.__qualname__}({told})"
        assert all(field.repr in (True, False) for field in fields)
        hidden += sum(not field.repr for field in fields)
    assert hidden > 15


def every_class() -> set[type]:
    """The classes that modules of the package define."""
    return {
        found
        for name, module in tuple(sys.modules.items())
        if name.startswith("nutstate.")
        for found in vars(module).values()
        if isinstance(found, type) and found.__module__ == name
    }
