"""How the program ends: exit codes, and the errors that need no store. It loads in no time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import IntEnum
from typing import Any


class Exit(IntEnum):
    """The exit codes of the program."""

    DONE = 0
    REFUSED = 1  # refused or failed, with a clear reason
    USAGE = 2  # the command line itself is wrong
    OPEN = 3  # the outcome is not known yet; the operation stays open
    INTERRUPTED = 130


_BEARER = re.compile(r"(?i)(?:cashu[ab]|ln(?:bc|tb)|nsec1)[^\s'\")]*|[0-9a-z_+=-]{50,}|(?<=://)[^\s'\"/@]+@")


def redact(text: str) -> str:
    """The text without anything that could be money, a key or a password."""
    return _BEARER.sub("…", text)


def error_content(
    family: str, code: str, message: str, details: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """An error as the document that ``--json`` shows."""
    from ..storage.catalogue import ERRORS  # the help does not need the catalogue

    return {
        "family": family,
        "code": code,
        "message": message,
        "severity": ERRORS[code].severity,
        "retryable": ERRORS[code].retryable,
        "details": dict(details or {}),
    }


def ended_content(code: str, message: str) -> dict[str, Any]:
    """The end of a command that knows no store, ``INTERRUPTED`` or ``UNEXPECTED``, as such a document."""
    return {"error": error_content(code.capitalize(), code, message), "hint": None}


def usage_content(message: str) -> dict[str, Any]:
    """A wrong command line as the same document as every other error."""
    return {"error": error_content("Usage", "USAGE", redact(message)), "hint": "Add --help to see how."}
