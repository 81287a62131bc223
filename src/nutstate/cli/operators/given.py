"""A text or JSON that a command is given, on the command line or on standard input."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

CHARS_MAX = 1_000_000
STANDARD_INPUT = "-"


def text_or_json(option: str, text: str) -> Any:
    """The value: JSON if it begins with {, [ or ", else the text; - reads standard input. UsageError for
    broken JSON. Errors never repeat the value: it may be money."""
    if text == STANDARD_INPUT:
        try:
            text = sys.stdin.read(CHARS_MAX + 1).strip()
        except UnicodeDecodeError:
            raise click.UsageError(f"{option}: standard input is not text") from None
    if len(text) > CHARS_MAX:
        raise click.UsageError(f"{option}: longer than {CHARS_MAX} characters")
    if not text.lstrip().startswith(("{", "[", '"')):
        return text
    try:
        return load(text)
    except (ValueError, RecursionError):
        raise click.UsageError(
            f"{option}: begins like JSON, but is not valid JSON, or names a field twice; "
            'write a text that begins with {, [ or " as JSON text'
        ) from None


def load(text: str) -> Any:
    """The JSON value. ValueError for text that is not JSON, and for an object that names a field twice: which
    of the two values is meant?"""
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field twice")
    return found
