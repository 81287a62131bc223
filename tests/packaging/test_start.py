"""What starting the program loads: nothing that the call does not need."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
