"""The sources of this repository, parsed once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("machines", "storage", "engine", "diagrams")
"""The folders that the wheel installs under ``nutstate``."""


@frozen
class Module:
    """One Python file of ours. ``name`` is the module's, ``path`` relative to the repository."""

    name: str
    path: str
    text: str
    tree: ast.Module

    @property
    def package(self) -> str:
        """What its relative imports start from."""
        return self.name if self.path.endswith("__init__.py") else self.name.rpartition(".")[0]


@cache
def modules() -> tuple[Module, ...]:
    """Every module of the package, from the real folders (never through the links)."""
    found = [
        _module(path, path.relative_to(ROOT)) for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")
    ]
    face = ROOT / "src" / "nutstate"
    for path in face.rglob("*.py"):
        inner = path.relative_to(face)
        if inner.parts[0] not in FOLDERS:
            found.append(_module(path, inner))
    return tuple(sorted(found, key=lambda module: module.name))


def _module(path: Path, inner: Path) -> Module:
    text = path.read_text(encoding="utf-8")
    parts = [part for part in inner.with_suffix("").parts if part != "__init__"]
    return Module(".".join(("nutstate", *parts)), str(path.relative_to(ROOT)), text, ast.parse(text))


def imports(module: Module) -> Iterator[str]:
    """Every module name this one imports, absolute; ``from a import b`` gives ``a`` and ``a.b``."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                start = module.package.split(".")
                start = start[: len(start) - node.level + 1]
                base = ".".join([*start, base] if base else start)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(module: Module) -> Iterator[Function]:
    """Every function and method, nested ones too."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def text_files() -> Iterator[tuple[str, str]]:
    """Path and text of every file of the repository that people write: sources, tests, docs, settings."""
    folders = (*FOLDERS, "src", "tests", "docs", "examples", "benchmarks", ".ci")
    ends = {".py", ".md", ".toml", ".json", ".jsonl", ".mmd", ".txt", ".cfg"}
    plain = {"Makefile", "LICENSE", "run", ".gitignore"}
    tops = [path for path in ROOT.iterdir() if path.is_file()]
    nested = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    for path in sorted({path.resolve() for path in (*tops, *nested)}):
        wanted = path.suffix in ends or path.name in plain
        if wanted and "__pycache__" not in path.parts and path.stat().st_size < 1_000_000:
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8", errors="replace")
