"""The tables, indexes and triggers of a SQLite file against those that this release declares."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, Literal

from ..findings import Finding
from .file import Link
from .schema import statements

_ABOUT: Final = re.compile(r"CREATE (?:UNIQUE )?(TABLE|INDEX|TRIGGER) (\w+)")

Kind = Literal["table", "index", "trigger"]


def declared() -> dict[str, tuple[Kind, str]]:
    """Name -> kind and statement, of everything a store has."""
    found: dict[str, tuple[Kind, str]] = {}
    for statement in statements():
        about = _ABOUT.match(statement)
        assert about is not None, "a statement that declares nothing"
        kinds: dict[str, Kind] = {"TABLE": "table", "INDEX": "index", "TRIGGER": "trigger"}
        found[about[2]] = kinds[about[1]], statement
    return found


def present_in(link: Link) -> dict[str, tuple[str, str]]:
    """Name -> kind and statement, of everything that the file has."""
    rows = link.connection.execute("SELECT name, type, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {name: (kind, sql) for name, kind, sql in rows if not name.startswith("sqlite_")}


def of_shapes(present: dict[str, tuple[str, str]]) -> Iterator[Finding]:
    """The tables, indexes and triggers that are missing, changed or not of nutstate."""
    wanted = declared()
    found = [finding for name in wanted if (finding := _shape(name, *wanted[name], present.get(name)))]
    yield from found
    for name, (kind, _) in present.items():
        if name not in wanted and kind == "trigger":
            text = f"the trigger {name} is not of nutstate and may change what is written"
            yield Finding("rules", "warning", text)
    if not found:
        kinds = [kind for kind, _ in wanted.values()]
        text = f"{_counted(kinds, 'table')}, {_counted(kinds, 'index')}, {_counted(kinds, 'trigger')}"
        yield Finding("rules", "ok", f"{text}, all as declared")


def _counted(kinds: Iterable[str], kind: str) -> str:
    number = list(kinds).count(kind)
    return f"{number} {'indexes' if kind == 'index' else kind + 's'}"


def _shape(name: str, kind: Kind, statement: str, there: tuple[str, str] | None) -> Finding | None:
    loss = {
        "table": "data are lost or their rules are off",
        "index": "what must be unique may come twice, or searches are slow",
        "trigger": "a rule about money is off",
    }[kind]
    if there is None:
        return Finding(
            "rules", "error", f"the {kind} {name} is missing: {loss}",
            "Restore the file from a backup." if kind == "table" else None, fixable=kind != "table",
        )  # fmt: skip
    if there[0] != kind or there[1].split() != statement.split():
        text = f"the {kind} {name} is not as this release declares it: {loss}"
        hint = "Another program changed the schema; restore it from a backup."
        return Finding("rules", "error", text, hint)
    return None
