"""Every requirement has a test that carries its number, and no test carries an unknown one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
REQUIREMENTS = HERE.parents[1] / "docs" / "requirements.md"
LAST = 157
"""Metrics, flags and migration (R158 to R184) come with the code they are about."""


def stated() -> set[int]:
    return {int(number) for number in re.findall(r"\*\*R(\d+)\*\*", REQUIREMENTS.read_text(encoding="utf-8"))}


def numbers_of(name: str) -> set[int]:
    """The numbers a test's name begins with: ``test_r046_r047_…``."""
    found = re.match(r"test((?:_r\d+)+)(?:_|$)", name)
    return {int(number) for number in re.findall(r"\d+", found[1])} if found else set()


def names() -> dict[str, set[int]]:
    """Every test of this folder, and the numbers its name carries."""
    return {
        f"{path.name}::{node.name}": numbers_of(node.name)
        for path in sorted(HERE.glob("test_*.py"))
        if path != Path(__file__)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_every_requirement_has_a_test() -> None:
    covered = set().union(*names().values())
    assert sorted(set(range(1, LAST + 1)) - covered) == []


def test_no_test_carries_an_unknown_number() -> None:
    assert {name: numbers - stated() for name, numbers in names().items() if numbers - stated()} == {}


def test_the_numbers_are_read_as_they_are_written() -> None:
    assert stated() >= set(range(1, LAST + 1))
    assert numbers_of("test_r046_r047_one_wins") == {46, 47}
    assert numbers_of("test_r1") == {1} and numbers_of("test_a_r001") == numbers_of("test_r1x") == set()
