"""The changes between two versions of a machine: compared as data, told as text, JSON, Markdown and SVG."""

from __future__ import annotations

from .compare import Change, Changes, compare, compare_all
from .draw import drawing
from .report import as_document, as_lines, as_markdown
from .source import WORKING_TREE, NoMachines, machines_at
from .stored import NotAMachine

__all__ = [
    "WORKING_TREE",
    "Change",
    "Changes",
    "NoMachines",
    "NotAMachine",
    "as_document",
    "as_lines",
    "as_markdown",
    "compare",
    "compare_all",
    "drawing",
    "machines_at",
]
