"""A copy of the sources that a test may break, outside the tree."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("diagrams", "engine", "machines", "storage")
_FILES = ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "Makefile", ".gitignore")
_IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc")


def snapshot(target: Path) -> Path:
    """Copy what a distribution is made of into ``target``; links stay links."""
    target.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        if (ROOT / name).is_file():
            shutil.copy2(ROOT / name, target / name)
    for name in (*FOLDERS, "src"):
        shutil.copytree(ROOT / name, target / name, symlinks=True, ignore=_IGNORED)
    return target
