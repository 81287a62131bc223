"""The report at the end of the demo: the payment in numbers, the audit trail, and the place of each file."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

from attrs import frozen

from ...engine.api.handle import Handle
from ...engine.audit.verify import chain_holds
from ..operators.render import (
    as_document,
    conservation,
    conservation_line,
    entity_words,
    headline,
    numbers,
    record_document,
)
from ..output import Part
from ..session import Session


@frozen
class Story:
    """The facts of one demo payment that the report tells."""

    session: Session
    handle: Handle
    outcome: str
    npub: str
    mint_url: str
    mint_state: Path | None
    mongo: Path | None  # the data of a replica set that ends with the demo
    before: int
    after: int
    transitions: list[dict[str, Any]]


def _diagram() -> Path | None:
    """The drawn melt machine, if it came with this installation."""
    folder = Path(str(files("nutstate.diagrams"))).resolve() / "out"
    found = [path for end in ("html", "svg", "md", "mmd") for path in sorted(folder.rglob(f"*melt*.{end}"))]
    return found[0] if found else None


def _next(story: Story) -> list[str]:
    """The commands to look around in the demo wallet."""
    name, place = _program(), {"NUTSTATE_STORE": story.session.store_shown}
    if story.session.store_shown != story.session.store_url:
        place = {}  # the caller knows the password, we do not repeat it
    place |= {"NUTSTATE_NPUB": story.npub, "NUTSTATE_MINT": story.mint_url}
    lines = [f"export {variable}={shlex.quote(value)}" for variable, value in place.items()]
    if story.mongo is not None:
        lines.insert(0, f"{name} mongod --dir {shlex.quote(str(story.mongo))} &")
    return [*lines, f"{name} show {story.handle.id} --verbose", f"{name} balance", f"{name} history"]


def _program() -> str:
    """The word to type: the program's name if it is on PATH, else its path."""
    typed = Path(sys.argv[0])
    if shutil.which("nutstate") or typed.name != "nutstate":
        return "nutstate"
    return os.path.relpath(typed)


def document(story: Story) -> dict[str, Any]:
    """The demo as JSON."""
    handle, records, diagram = story.handle, story.handle.audit(), _diagram()
    return {
        "operation": as_document(handle),
        "outcome": story.outcome,
        "npub": story.npub,
        "balance_before": story.before,
        "balance_after": story.after,
        "conservation": conservation(handle, records),
        "chain_verified": chain_holds(handle.record, records),
        "transitions": story.transitions,
        "audit": [record_document(record) for record in records],
        "store": story.session.store_shown,
        "mint_state": str(story.mint_state) if story.mint_state else None,
        "diagram": str(diagram) if diagram else None,
        "next": _next(story),
    }


def report(story: Story) -> None:
    """The demo's end for people."""
    out, handle = story.session.out, story.handle
    out.line()
    headline(out, handle)
    rows = [row for row in numbers(handle) if row[0] not in ("operation", "mint", "preimage")]
    out.pairs([*rows, ("balance", f"{story.before} sat before, {story.after} sat after")])
    terms = conservation(handle, handle.audit())
    if terms is not None:
        out.line("Conservation: ", *conservation_line(terms), wrap=True)
    _audit_trail(story)
    diagram = _diagram()
    places = [("store", story.session.store_shown)]
    if story.mongo is not None:
        places.append(("its data", f"{story.mongo} (the replica set stops with the demo)"))
    if story.mint_state is not None:
        places.append(("mint state", str(story.mint_state)))
    places.append(("diagram", str(diagram) if diagram else "diagrams/out in the repository"))
    out.line()
    out.line(("Where it is", "bold"))
    out.pairs(places)
    out.line()
    out.line(("Try next", "bold"))
    for line in _next(story):
        out.line(f"  {line}")


def _audit_trail(story: Story) -> None:
    out, records = story.session.out, story.handle.audit()
    whole = chain_holds(story.handle.record, records)
    verdict: Part = ("hash chain verified", "green") if whole else ("CHAIN BROKEN", "bold red")
    out.line()
    out.line((f"Audit trail of {story.handle.id}", "bold"))
    out.line(f"{len(records)} records, ", verdict)
    rows: list[list[Part]] = [
        [str(r.seq), entity_words(r), f"{r.from_state} → {r.to_state}", r.event, (r.hash[:8], "dim")]
        for r in records
    ]
    out.table(("seq", "entity", "transition", "event", "hash"), rows, right=(0,))
