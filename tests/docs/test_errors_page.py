"""docs/errors.md is the catalogue (R149 to R151)."""

from __future__ import annotations

from pathlib import Path

from nutstate.cli.codes.page import page
from nutstate.storage.catalogue import ERRORS

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"


def test_the_committed_page_is_the_catalogue() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: nutstate errors --markdown > docs/errors.md"


def test_every_code_stands_in_it_once() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for code in ERRORS:
        assert text.count(f"| `{code}` |") == 1, code
