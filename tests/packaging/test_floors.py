"""The import contracts bite: each is broken on purpose, in a copy, and lint-imports must say so.

This also proves that import-linter follows the links under ``src/nutstate``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.snapshot import snapshot

pytestmark = pytest.mark.slow

_FLOORS = "floors: each imports only what lies below it"
_LIBRARY = "transitions is used by machines/step.py only"
_PORT = "the engine never imports a storage adapter"
_WIRE = "HTTP never leaves engine/cashu/wire/http.py and engine/cashu/wire/network.py"
_SQLITE = "sqlite3 is used by storage/sqlite and the simulated mint's file only"

PLANTS = [
    ("machines/money.py", "from ..storage import records", _FLOORS),
    ("storage/records.py", "from ..engine.tokens import ids", _FLOORS),
    ("engine/tokens/ids.py", "from ...diagrams import table", _FLOORS),
    ("engine/tokens/ids.py", "from ...cli import output", _FLOORS),
    ("engine/loop/look.py", "from ..operations import built_in", "rooms of the engine"),
    ("engine/tokens/ids.py", "from ..loop import draft", "rooms of the engine"),
    ("engine/cashu/wire/bodies.py", "from ...audit import records", "rooms of the engine"),
    ("machines/melt/guards.py", "import time", "machines are pure"),
    ("machines/melt/table.py", "from ..token.table import TOKEN", "the machines do not know one another"),
    ("machines/melt/guards.py", "from ..mint import guards", "the machines do not know one another"),
    ("machines/melt/table.py", "import transitions", _LIBRARY),
    ("engine/loop/driver.py", "import transitions", _LIBRARY),
    ("engine/loop/driver.py", "from ...storage.sqlite.store import SqliteStore", _PORT),
    ("engine/loop/drive.py", "from ...storage import mongo", _PORT),
    ("storage/sqlite/store.py", "import httpx", _WIRE),
    ("engine/simulated/mint.py", "import httpx", _WIRE),
    ("engine/simulated/mint.py", "import starlette", "the HTTP server never leaves mint_server"),
    ("engine/simulated/mint.py", "from ...mint_server import shown", _FLOORS),
    ("engine/loop/look.py", "import pymongo", "MongoDB never leaves storage"),
    ("engine/loop/look.py", "import sqlite3", _SQLITE),
    ("engine/loop/log.py", "import rich", "only the command line talks to a person"),
    ("storage/sqlite/store.py", "import structlog", "storage knows no mint, no cryptography and no logging"),
]  # fmt: skip


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return snapshot(tmp_path_factory.mktemp("floors") / "tree")


def lint(tree: Path) -> tuple[int, str]:
    program = Path(sys.executable).parent / "lint-imports"
    environment = os.environ | {"PYTHONPATH": str(tree / "src"), "COLUMNS": "200"}
    ran = subprocess.run(
        [program, "--no-cache"],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return ran.returncode, ran.stdout + ran.stderr


def test_the_tree_keeps_them(tree: Path) -> None:
    code, said = lint(tree)
    assert code == 0, said


@pytest.mark.parametrize(
    ("path", "line", "contract"), PLANTS, ids=lambda part: str(part).replace(" ", "_")[:40]
)
def test_a_broken_one_is_found(tree: Path, path: str, line: str, contract: str) -> None:
    planted = tree / path
    before = planted.read_text(encoding="utf-8")
    planted.write_text(f"{before}\n{line}\n", encoding="utf-8")
    try:
        code, said = lint(tree)
    finally:
        planted.write_text(before, encoding="utf-8")
    assert code == 1, said
    broken = [row for row in said.splitlines() if row.split(" (")[0].endswith("BROKEN")]
    assert any(contract in row for row in broken), said
