"""Writing and checking the committed drawings and tables: ``diagrams/out``, and the README's diagram.

``python -m nutstate.diagrams.build --golden`` also writes ``tests/fixtures/machines.json``, the record
of every released table; a table that was released changes its version, not its record.
"""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from ..machines.melt.table import DETOURS, MELT
from ..machines.registry import RELEASED, latest, names
from ..machines.spec import Machine
from . import mermaid, svg, table

OUT: Final = "diagrams/out"
README: Final = "README.md"
GOLDEN: Final = "tests/fixtures/machines.json"
HOW_TO_FIX: Final = "run `nutstate diagrams build` (or `make diagrams`) and commit what it writes"

FLOWCHART_EDGES_MIN: Final = 20
"""From so many edges on, a flowchart is easier to read than a stateDiagram-v2."""

GOOD_PATH_WITHOUT: Final[Mapping[Machine[Any], tuple[str, ...]]] = {MELT: DETOURS}
"""Machines that get a small drawing of their good path, and the detours left out of it."""

STATES_MAX: Final = 14
"""A machine with more states than these gets an overview and a drawing of each group besides the whole."""

_SUFFIXES: Final = (".md", ".mmd", ".svg")
_BEGIN: Final = "<!-- diagram:melt -->"
_END: Final = "<!-- /diagram -->"


class NotACheckout(RuntimeError):
    """There is no source checkout to compare with; the message says what to do instead."""


@frozen
class Difference:
    """One file that is not as the machines say: ``missing``, ``extra``, ``stale`` or ``unmarked``."""

    path: str
    problem: str
    diff: str = ""


def newest() -> tuple[Machine[Any], ...]:
    """The machines of this release, each in its newest version, by name."""
    return tuple(latest(name) for name in names())


def render(machines: Sequence[Machine[Any]] | None = None, theme: svg.Theme = "auto") -> dict[str, str]:
    """Every drawing and table of the machines (by default those of this release, as ``diagrams/out`` holds
    them) by file name. The same machines give the same bytes."""
    files: dict[str, str] = {}
    for machine in newest() if machines is None else machines:
        name = svg.slug(machine.name)
        states = mermaid.state_diagram(machine)
        drawing = states
        if len(machine.transitions) >= FLOWCHART_EDGES_MIN:
            drawing = mermaid.flowchart(machine)
            files[f"{name}-states.mmd"] = states
        files[f"{name}.mmd"] = drawing
        pictures = _pictures(machine, theme)
        files.update((file, text) for file, (_, text) in pictures.items())
        told = tuple((file, title) for file, (title, _) in pictures.items())
        files[f"{name}.md"] = table.page(machine, drawing, told)
        if machine in GOOD_PATH_WITHOUT:
            files[f"{name}-good-path.mmd"] = mermaid.good_path(machine, GOOD_PATH_WITHOUT[machine])
    return dict(sorted(files.items()))


def _pictures(machine: Machine[Any], theme: svg.Theme) -> dict[str, tuple[str, str]]:
    """The SVG files of a machine: title and text by name, first the one to show first."""
    name = svg.slug(machine.name)
    found: dict[str, tuple[str, str]] = {}
    large = len(machine.states) > STATES_MAX
    if large:
        found[f"{name}-overview.svg"] = ("every state and every event", svg.overview(machine, theme))
    if machine in GOOD_PATH_WITHOUT:
        drawn = svg.good_path(machine, GOOD_PATH_WITHOUT[machine], theme)
        found[f"{name}-good-path.svg"] = ("the good path", drawn)
    if large:
        for group in dict.fromkeys(s.group for s in machine.states if s.kind in ("live", "parked")):
            if group:
                file = f"{name}-{svg.slug(group)}.svg"
                found[file] = (f"{group}, with guards and effects", svg.part(machine, group, theme))
    found[f"{name}.svg"] = ("everything, with guards and effects", svg.svg(machine, theme))
    return found


def build(
    out: Path, theme: svg.Theme = "auto", machines: Sequence[Machine[Any]] | None = None
) -> tuple[str, ...]:
    """Write the drawings and tables of :func:`render` into ``out``; returns the names written. Other ``.md``,
    ``.mmd`` and ``.svg`` files there are removed: the folder holds nothing but generated files."""
    files = render(machines, theme)
    out.mkdir(parents=True, exist_ok=True)
    for extra in generated(out) - files.keys():
        (out / extra).unlink()
    for name, text in files.items():
        (out / name).write_text(text, encoding="utf-8", newline="\n")
    return tuple(files)


def build_readme(root: Path) -> bool:
    """Put the melt diagram between the README's markers. False without a README or markers."""
    readme = root / README
    if not readme.is_file():
        return False
    text = readme.read_text(encoding="utf-8")
    wanted = with_diagram(text)
    if wanted is None:
        return False
    if wanted != text:
        readme.write_text(wanted, encoding="utf-8", newline="\n")
    return True


def with_diagram(readme: str) -> str | None:
    """The README's text with the melt's good path as a picture and as Mermaid text, None if it has no (or
    half a) pair of markers."""
    before, begin, rest = readme.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        return None
    drawing = mermaid.good_path(latest(MELT.name), DETOURS)
    shown = f"[![How a melt runs]({OUT}/melt-good-path.svg)]({OUT}/melt-overview.svg)"
    text = f"<details><summary>The same as Mermaid text</summary>\n\n```mermaid\n{drawing}```\n\n</details>"
    return f"{before}{_BEGIN}\n{shown}\n\n{text}\n{_END}{after}"


def check_folder(
    out: Path, shown: str, machines: Sequence[Machine[Any]] | None = None
) -> tuple[Difference, ...]:
    """The files of a folder that differ from those of :func:`render`, in order of path. ``shown`` is the name
    of the folder in the paths."""
    files = render(machines)
    found: list[Difference] = []
    for name in sorted(files.keys() | generated(out)):
        path = f"{shown}/{name}"
        if name not in files:
            found.append(Difference(path, "extra"))
        elif not (out / name).is_file():
            found.append(Difference(path, "missing"))
        else:
            found.extend(_compared(path, (out / name).read_text(encoding="utf-8"), files[name]))
    return tuple(found)


def check(root: Path) -> tuple[Difference, ...]:
    """The files of the checkout at ``root`` that differ, in order of path; empty when all is as built."""
    found = list(check_folder(root / OUT, OUT))
    readme = root / README
    if readme.is_file():
        text = readme.read_text(encoding="utf-8")
        wanted = with_diagram(text)
        if wanted is None:
            found.append(Difference(README, "unmarked"))
        else:
            found.extend(_compared(README, text, wanted))
    return tuple(found)


def checkout() -> Path:
    """The source checkout this package runs from, else the one around the working directory.
    Raises NotACheckout."""
    here = Path(__file__).resolve()
    for folder in (*here.parents, Path.cwd(), *Path.cwd().parents):
        if (folder / "machines" / "spec.py").is_file() and (folder / "pyproject.toml").is_file():
            return folder
    raise NotACheckout(
        "nutstate runs from an installed package and the working directory is not in a source checkout: "
        f"there is no {OUT} to compare with; use `nutstate diagrams build --out DIR`"
    )


def golden() -> str:
    """The record of released tables, as ``tests/fixtures/machines.json`` holds it."""
    known = [{"name": m.name, "version": m.version, "content_hash": m.content_hash} for m in RELEASED]
    return json.dumps(sorted(known, key=lambda item: (item["name"], item["version"])), indent=2) + "\n"


def main(arguments: Sequence[str]) -> int:
    """``python -m nutstate.diagrams.build [--golden]``: build everything in this checkout."""
    if any(argument != "--golden" for argument in arguments):
        sys.stderr.write("usage: python -m nutstate.diagrams.build [--golden]\n")
        return 2
    root = checkout()
    written = [f"{OUT}/{name}" for name in build(root / OUT)]
    if build_readme(root):
        written.append(README)
    if "--golden" in arguments:
        (root / GOLDEN).write_text(golden(), encoding="utf-8", newline="\n")
        written.append(GOLDEN)
    sys.stdout.write("".join(f"{name}\n" for name in written))
    return 0


def generated(out: Path) -> set[str]:
    """The files in a folder that are of a kind drawings are of."""
    return {path.name for path in out.glob("*") if path.suffix in _SUFFIXES} if out.is_dir() else set()


def _compared(path: str, committed: str, wanted: str) -> list[Difference]:
    if committed == wanted:
        return []
    diff = difflib.unified_diff(
        committed.splitlines(keepends=True),
        wanted.splitlines(keepends=True),
        f"{path} (committed)",
        f"{path} (from the machines)",
    )
    return [Difference(path, "stale", "".join(diff))]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
