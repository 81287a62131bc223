"""The machines in the notations of other tools. Each format is one module with one function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from ...machines.spec import Machine
from ..svg import drawing
from . import declaration, dot, markdown, mermaid, plantuml, promela, scxml, xstate
from .names import identifiers
from .rules import NotExportable, ensure_complete

__all__ = ["FORMATS", "Export", "NotExportable", "export", "file_name"]

Export = Callable[[Machine[Any]], str]

FORMATS: Final[Mapping[str, tuple[str, Export]]] = {
    "dot": ("dot", dot.export),
    "json": ("json", declaration.export),
    "markdown": ("md", markdown.export),
    "mermaid": ("mmd", mermaid.export),
    "plantuml": ("puml", plantuml.export),
    "promela": ("pml", promela.export),
    "scxml": ("scxml", scxml.export),
    "svg": ("svg", drawing),
    "xstate": ("xstate.json", xstate.export),
}
"""Format to the extension of its files and the function that writes one machine."""


def export(machine: Machine[Any], format: str) -> str:
    """The machine in one of ``FORMATS``. The same machine gives the same text, which ends with a line
    feed. KeyError for another format, NotExportable for a declaration that contradicts itself."""
    _, written = FORMATS[format]
    ensure_complete(machine)
    return written(machine)


def file_name(machine: Machine[Any], format: str) -> str:
    """A name for the file: the machine's, as far as every file system takes it, and the extension."""
    return f"{identifiers([machine.name])[machine.name]}.{FORMATS[format][0]}"
