"""R518: only the room of a kind, and the calls of that kind, know the fields of its data."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import attrs

from nutstate.engine.loop.account import Account
from nutstate.engine.loop.kinds import Kind
from nutstate.engine.operations.built_in import BUILT_IN

ROOT = Path(__file__).parents[2]
CALLS = {"engine/api/recorded.py", "engine/api/recording.py", "engine/api/stranded.py"}
"""The calls of melts and recordings, which read the data of that very kind."""
EXPLORATION = "src/nutstate/review/explore/"
"""It forgets times of melts, fundings and holds by hand (docs/exploration.md)."""
STORED_FORM = "storage/schema_1.py"
"""It names the fields as the schema of before had them."""
_DATA_MODULE = re.compile(r"(^|\.)operations\.\w+\.data$|^shared\.data$")


def _sources() -> Iterator[tuple[str, ast.Module]]:
    for folder in ("engine", "storage", "diagrams", "src/nutstate"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            if not any(parent.is_symlink() for parent in path.parents if ROOT in parent.parents):
                yield name, ast.parse(path.read_text(encoding="utf-8"))


def _may_know(name: str) -> bool:
    return name.startswith(("engine/operations/", EXPLORATION)) or name in CALLS | {STORED_FORM}


def test_r518_no_other_code_imports_the_data_of_a_kind() -> None:
    """R518: neither their classes nor the functions that decode them."""
    found = [
        f"{name}: {node.module}"
        for name, tree in _sources()
        if not _may_know(name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and _DATA_MODULE.search(node.module or "")
    ]
    assert found == []
    assert any(_may_know(name) and name in CALLS for name, _ in _sources()), "the calls are there"


def test_r518_no_other_code_reads_a_field_of_a_kind() -> None:
    """R518: a name that only data of a built-in kind has is no attribute anywhere else."""
    fields = {field.name for kind in BUILT_IN for field in attrs.fields(kind.data)}
    known = {field.name for kind in (Account, Kind) for field in attrs.fields(kind)}
    elsewhere = {"blanks", "request_body", "watched_ms", "refusals"}  # of the evidence or a decision, too
    names = fields - known - elsewhere
    assert len(names) >= 15
    found = {
        f"{name}:{node.lineno} {node.attr}"
        for name, tree in _sources()
        if not _may_know(name)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in names
    }
    assert not found, sorted(found)
