"""The page itself: template, style sheets, script, drawings and model in one text."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final

from ...machines.spec import Machine
from ..exports.rules import ensure_complete
from ..svg import drawing, overview
from ..svg.theme import style
from .counts import Counts
from .model import model
from .sheet import sheet
from .trail import Trail

SCRIPTS: Final = (
    "decide.js", "elements.js", "board.js", "marks.js", "details.js", "trial.js", "replay.js", "counts.js",
    "search.js", "start.js",
)  # fmt: skip
"""The parts of the script in the order in which they are joined."""

_SLOT: Final = re.compile(r"@@([a-z_]+)@@")


def page(
    machines: Sequence[Machine[Any]], *, trail: Trail | None = None, counts: Counts | None = None
) -> str:
    """The whole HTML document; the same machines, trail and counts give the same text. It loads nothing,
    sends nothing, and shows whatever it is given as text. ValueError without any machine, and NotExportable
    (one too) for a declaration that contradicts itself."""
    if not machines:
        raise ValueError("a page needs a machine")
    for machine in machines:
        ensure_complete(machine)
    script = _script()
    styles = {"style": _asset("style.css"), "light": style("light") + "\n", "dark": style("dark") + "\n"}
    carried = {
        "machines": [model(machine) for machine in machines],
        "trail": None if trail is None else trail.as_model(),
        "counts": None if counts is None else counts.as_model(),
    }
    names = ", ".join(machine.name for machine in machines)
    return _filled(
        _asset("page.html"),
        {
            "policy": html.escape(_policy(script, tuple(styles.values()))),
            "title": html.escape(f"nutstate: {names}".encode("utf-8", "replace").decode()),
            **styles,
            "sheets": "\n".join(_sheets(machines)),
            "model": embedded(carried),
            "script": script,
        },
    )


def embedded(value: Any) -> str:
    """JSON that no HTML parser can leave: without ``<``, ``>``, ``&`` and anything beyond ASCII."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _sheets(machines: Sequence[Machine[Any]]) -> list[str]:
    found: list[str] = []
    for number, machine in enumerate(machines):
        for detail, svg in (("events", overview(machine)), ("full", drawing(machine))):
            hidden = "" if number == 0 and detail == "events" else " hidden"
            found.append(
                f'<div class="sheet" data-number="{number}" data-detail="{detail}"{hidden}>\n'
                f"{sheet(svg, f'{detail}-{number}-')}</div>"
            )
    return found


def _policy(script: str, styles: Sequence[str]) -> str:
    """Only this very script and these very styles; nothing is fetched from anywhere, nothing is sent."""
    return (
        f"default-src 'none'; script-src {_hashed(script)}; "
        f"style-src {' '.join(_hashed(text) for text in styles)}; base-uri 'none'; form-action 'none'"
    )


def _hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _filled(template: str, parts: Mapping[str, str]) -> str:
    """Every slot filled in one pass: an inserted text is never searched for slots."""
    return _SLOT.sub(lambda slot: parts[slot[1]], template)


@cache
def _script() -> str:
    joined = "\n".join(_asset(name) for name in SCRIPTS)
    return f'(() => {{\n"use strict";\n{joined}}})();\n'


@cache
def _asset(name: str) -> str:
    return (files(__package__) / "assets" / name).read_text(encoding="utf-8")
