"""R535: files of tests are named by their subjects."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
FILES = sorted(TESTS.rglob("test_*.py"))
_TOLD = re.compile(r"_(attacks?|again|first|second|third|fourth|fifth|review|more|misc|house|new|old)(_|\.)")
_SUBJECT = {"test_asked_again.py"}  # the mint is asked again: that is what it is about


def test_no_file_is_named_by_its_history() -> None:
    """R535: a newcomer finds the tests of a subject by the names of the files."""
    assert len(FILES) > 150
    assert [path.name for path in FILES if _TOLD.search(path.name) and path.name not in _SUBJECT] == []
