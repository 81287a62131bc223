"""Changes as lines for a terminal, as Markdown for a pull request, and as a JSON document."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from .compare import Change, Changes, How, content_hash
from .stored import Stored

SIGNS: Final[dict[How, str]] = {"added": "+", "removed": "-", "changed": "~"}


def as_lines(found: Changes) -> tuple[tuple[How | None, str], ...]:
    """A heading (None), one line a change with its kind, and the questions for a reviewer (None)."""
    lines: list[tuple[How | None, str]] = [(None, heading(found))]
    lines += [(change.how, f"  {SIGNS[change.how]} {sentence(change)}") for change in found.changes]
    lines += [(None, f"  ! {note}") for note in notes(found)]
    return tuple(lines)


def as_markdown(found: Iterable[Changes], old: str, new: str) -> str:
    """A section for a pull request: a table for each machine that changed. ``old`` and ``new`` say what
    was compared."""
    changed = [changes for changes in found if changes.changes]
    parts = [f"## Machines: `{old}` → `{new}`"]
    if not changed:
        return f"{parts[0]}\n\nNo machine changed.\n"
    for changes in changed:
        parts.append(f"### {_plain(heading(changes))}")
        rows = ["| | what | | before | after |", "|---|---|---|---|---|"]
        rows += [_row(change) for change in changes.changes]
        parts.append("\n".join(rows))
        parts += [f"> **{_plain(note)}**" for note in notes(changes)]
    return "\n\n".join(parts) + "\n"


def as_document(found: Changes) -> dict[str, Any]:
    """JSON-ready."""
    return {
        "machine": found.machine,
        "old": _side(found.old),
        "new": _side(found.new),
        "behaviour": sum(change.is_behaviour for change in found.changes),
        "notes": list(notes(found)),
        "changes": [
            {
                "how": change.how,
                "of": change.of,
                "name": change.name,
                "what": change.what,
                "behaviour": change.is_behaviour,
                "old": change.old,
                "new": change.new,
                "sentence": sentence(change),
            }
            for change in found.changes
        ],
    }


def heading(found: Changes) -> str:
    """The machine, both versions and hashes, and how much changed."""
    behaviour = sum(change.is_behaviour for change in found.changes)
    words = len(found.changes) - behaviour
    counts = [f"{behaviour} of behaviour"] if behaviour else []
    counts += [f"{words} of words"] if words else []
    return (
        f"{found.machine} {_version(found.old)} → {_version(found.new)}: {', '.join(counts) or 'no change'}"
    )


def notes(found: Changes) -> tuple[str, ...]:
    """The questions that a reviewer should ask."""
    if found.is_renamed_without_version and found.new is not None:
        return (f"the content changed, the version did not: fine only if {found.machine}@"
                f"{found.new['version']} was never released",)  # fmt: skip
    return ()


def sentence(change: Change) -> str:
    """A change in words."""
    if not change.what:
        return f"{change.of} {change.name}{_about(change)}"
    if change.what in ("absorbs", "refuses", "requires", "forbids", "effects"):
        parts = [f"+ {_value(item)}" for item in change.new]
        parts = [f"- {_value(item)}" for item in change.old] + parts
        return f"{change.of} {change.name}: {change.what} {', '.join(parts)}"
    if change.what == "other parts":
        return f"{change.of} {change.name}: other parts of the data"
    return f"{change.of} {change.name}: {change.what} {_value(change.old)} → {_value(change.new)}"


def _about(change: Change) -> str:
    """An added or removed thing in a few words."""
    item = change.new if change.how == "added" else change.old
    if change.of == "edge":
        guards = [*item["requires"], *(f"not {name}" for name in item["forbids"])]
        told = f" if {', '.join(guards)}" if guards else ""
        effects = f", writes {', '.join(item['effects'])}" if item["effects"] else ""
        return f": {item['source']} → {item['dest']} at {item['event']}{told}{effects}"
    if change.of in ("state", "event"):
        return f": {item['meaning']}"
    if change.of == "guard":
        return f": {item['sentence']} ({item['code']})"
    return f": {item['sentence']}" if change.of in ("action", "effect") else ""


def _row(change: Change) -> str:
    thing = f"{change.of} `{change.name}`"
    if change.what in ("absorbs", "refuses", "requires", "forbids", "effects"):
        old = ", ".join(f"`{_value(item)}`" for item in change.old)
        new = ", ".join(f"`{_value(item)}`" for item in change.new)
        cells = (thing, f"{change.what} (taken out, put in)", old, new)
    elif change.what:
        cells = (thing, change.what, _cell(change.old), _cell(change.new))
    else:
        about = _plain(_about(change).removeprefix(": "))
        cells = (thing, change.how, about if change.how == "removed" else "",
                 about if change.how == "added" else "")  # fmt: skip
    escaped = [cell.replace("|", "\\|") for cell in cells]
    return f"| {_EMOJI[change.how]} | {' | '.join(escaped)} |"


_EMOJI: Final[dict[How, str]] = {"added": "🟢", "removed": "🔴", "changed": "🟠"}


def _cell(value: object) -> str:
    return f"`{_value(value)}`" if value not in (None, "", []) else "–"


def _plain(text: str) -> str:
    return text.replace("_", "\\_").replace("<", "&lt;")


def _value(value: object) -> str:
    if value is None or value == "":
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_value(item) for item in value)
    return str(value)


def _version(stored: Stored | None) -> str:
    return "(absent)" if stored is None else f"version {stored['version']} ({content_hash(stored)[:12]})"


def _side(stored: Stored | None) -> dict[str, Any] | None:
    if stored is None:
        return None
    return {"version": stored["version"], "content_hash": content_hash(stored)}
