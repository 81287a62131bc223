"""Plain English (R453): a reader whose second language is English finds the subject of every sentence."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache

import pytest

from tests.sources.tree import ROOT, modules

WORDS = re.compile(
    r"\b(he|his|him|she|her|himself|no one|nobody|somebody|anybody|everyone|whoever|someone|anyone)\b",
    re.IGNORECASE,
)
"""Words that do not say who. Name the caller, the operator, the mint, another operation, another program."""

RIDDLES = re.compile(
    r"(?:^|[.!?]\s+|\n\n\s*|^\s*[-*|] (?:\*\*[^*]+\*\* )?)((?:What|That|Whatever)\s[^.!?]*[.!?]?)",
    re.MULTILINE,
)
"""Sentences whose subject is "what …" or "that …"; questions are none."""


@cache
def texts() -> dict[str, tuple[str, ...]]:
    """Path to its texts: of a page all but its code, of a module docstrings, comments and strings."""
    found = {module.path: tuple(_prose(module.text)) for module in modules()}
    for page in (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))):
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        found[str(page.relative_to(ROOT))] = (text,)
    for script in sorted((ROOT / "diagrams").rglob("*.js")):
        found[str(script.relative_to(ROOT))] = (script.read_text(encoding="utf-8"),)
    for example in sorted((ROOT / "examples").glob("*.py")):
        found[str(example.relative_to(ROOT))] = tuple(_prose(example.read_text(encoding="utf-8")))
    return found


def _prose(text: str) -> Iterator[str]:
    """Every string of a module as it will be read, and every run of comment lines as one text."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
    lines: list[str] = []
    last = 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            if token.start[0] != last + 1 and lines:
                yield " ".join(lines)
                lines = []
            lines.append(token.string.lstrip("# "))
            last = token.start[0]
    yield " ".join(lines)


def unclear(text: str) -> list[str]:
    """The words and sentences of a text that hide who acts."""
    words = [match[0] for match in WORDS.finditer(text)]
    riddles = [match[1] for match in RIDDLES.finditer(text) if not match[1].endswith("?")]
    return [*words, *(re.sub(r"\s+", " ", sentence)[:60] for sentence in riddles)]


@pytest.mark.parametrize("path", list(texts()))
def test_texts_name_their_subjects(path: str) -> None:
    """R453: docs, command line, error sentences, docstrings and comments name who acts."""
    found = [piece for text in texts()[path] for piece in unclear(text)]
    assert not found, found


def test_unclear_words_are_seen() -> None:
    """R453: in a word, at the beginning of a sentence, and not in a question or inside a word."""
    assert unclear("The mint pays him. What was freed is gone.") == ["him", "What was freed is gone."]
    assert unclear("- That is so.") == ["That is so."] == unclear("- **R1** That is so.")
    assert unclear("What is a fence? The herd, the theme, what was asked.") == []
