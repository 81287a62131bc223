"""R145: the program in docs/audit.md verifies an export, without nutstate."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from nutstate import open_store
from tests.support.wallet import NPUB, funded, invoice

PAGE = Path(__file__).parents[2] / "docs" / "audit.md"


def program() -> str:
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def lines() -> list[str]:
    found: list[str] = []
    with open_store("memory://") as store:
        engine, mint, clock = funded(store)
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(5, clock))
        engine.export_audit(found.append)
    return found


def run(folder: Path, lines: list[str]) -> tuple[int, str]:
    script, file = folder / "check.py", folder / "audit.jsonl"
    script.write_text(program(), encoding="utf-8")
    file.write_text("".join(lines), encoding="utf-8", newline="\n")
    done = subprocess.run(
        [sys.executable, "-I", str(script), str(file)], capture_output=True, text=True, timeout=30
    )
    return done.returncode, done.stdout


def test_the_program_is_short_and_accepts_an_export(tmp_path: Path, lines: list[str]) -> None:
    assert len([line for line in program().splitlines() if line.strip()]) <= 16
    assert "nutstate" not in program()
    assert run(tmp_path, lines) == (
        0,
        "2 operations, all whole; compare their ends with an earlier export\n",
    )


def test_the_program_sees_a_change_a_gap_and_an_addition(tmp_path: Path, lines: list[str]) -> None:
    changed = [*lines[:3], lines[3].replace('"actor":"', '"actor":"x'), *lines[4:]]
    assert run(tmp_path, changed) == (1, "line 4: changed\n")
    assert run(tmp_path, [*lines[:3], *lines[4:]])[0] == 1
    assert run(tmp_path, [*lines[:4], *lines[3:]])[0] == 1
