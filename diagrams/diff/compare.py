"""Comparing two versions of a machine. Pure: data in, changes out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from attrs import field, frozen

from .stored import Stored, machine_of, whole

How = Literal["added", "removed", "changed"]
Of = Literal["machine", "state", "event", "guard", "edge", "cell", "action", "effect"]

WORDS: Final = frozenset({"meaning", "sentence", "says_no", "reason", "group", "order in the table"})
"""Changes that a person reads and nothing else does."""


@frozen
class Change:
    """One thing that is not as before. ``what`` names the part of ``name`` that changed (empty: all of it);
    of a list, ``old`` and ``new`` are what was taken out and what was put in, or both orders."""

    how: How
    of: Of
    name: str
    what: str = ""
    old: Any = None
    new: Any = None

    @property
    def is_behaviour(self) -> bool:
        """Whether the machine may answer or act otherwise; else only words changed."""
        return self.what not in WORDS


@frozen
class Changes:
    """Everything that changed in one machine, in the order of its table. ``old`` or ``new`` is None for a
    machine that was not there."""

    machine: str
    old: Stored | None = field(repr=False)
    new: Stored | None = field(repr=False)
    changes: tuple[Change, ...]

    @property
    def is_renamed_without_version(self) -> bool:
        """Same version, other content: to be refused when the version was released."""
        return (
            bool(self.changes) and self.old is not None and self.new is not None
            and self.old["version"] == self.new["version"]
        )  # fmt: skip


def compare(old: object, new: object) -> Changes:
    """The changes from ``old`` to ``new``; both are data as ``Machine.as_data`` gives it. Empty exactly when
    they are equal. Raises NotAMachine."""
    before, after = whole(old), whole(new)
    found = [
        *_fields("machine", after["name"], before, after, ("name", "version", "good_path")),
        *_states(before, after),
        *_named("event", before["events"], after["events"], ("meaning", "origin")),
        *_named("guard", before["guards"], after["guards"], ("sentence", "code", "says_no")),
        *_edges(before, after),
        *_named("action", before["action_words"], after["action_words"],
                ("sentence", "reads_only", "asks_no_mint", "reads_back")),
        *_named("effect", before["effect_words"], after["effect_words"], ("sentence", "level")),
    ]  # fmt: skip
    if not found and before != after:
        found.append(Change("changed", "machine", after["name"], "other parts", None, None))
    return Changes(after["name"], before, after, tuple(found))


def compare_all(old: Iterable[object], new: Iterable[object]) -> tuple[Changes, ...]:
    """All machines of two versions, by name; those without a change too. Raises NotAMachine."""
    before = {data["name"]: data for data in map(whole, old)}
    after = {data["name"]: data for data in map(whole, new)}
    found: list[Changes] = []
    for name in sorted(before.keys() | after.keys()):
        if name not in before:
            found.append(Changes(name, None, after[name], (Change("added", "machine", name),)))
        elif name not in after:
            found.append(Changes(name, before[name], None, (Change("removed", "machine", name),)))
        else:
            found.append(compare(before[name], after[name]))
    return tuple(found)


def content_hash(stored: Stored) -> str:
    """The content hash of stored data."""
    return machine_of(stored).content_hash


def _fields(of: Of, name: str, old: Stored, new: Stored, keys: Sequence[str]) -> Iterator[Change]:
    for key in keys:
        if old[key] != new[key]:
            yield Change("changed", of, name, key.replace("_", " "), old[key], new[key])


def _lists(of: Of, name: str, old: Stored, new: Stored, keys: Sequence[str]) -> Iterator[Change]:
    """Lists of names: the removed and the added ones, or another order."""
    for key in keys:
        before, after = list(old[key]), list(new[key])
        if before == after:
            continue
        gone = [item for item in before if item not in after]
        come = [item for item in after if item not in before]
        if gone or come:
            yield Change("changed", of, name, key, gone, come)
        else:
            yield Change("changed", of, name, f"order of {key}", before, after)


def _named(of: Of, old: Sequence[Stored], new: Sequence[Stored], keys: Sequence[str]) -> Iterator[Change]:
    before, after = {item["name"]: item for item in old}, {item["name"]: item for item in new}
    for name in _both(before, after):
        if name not in before:
            yield Change("added", of, name, new=after[name])
        elif name not in after:
            yield Change("removed", of, name, old=before[name])
        else:
            yield from _fields(of, name, before[name], after[name], keys)
    yield from _order(of, list(before), list(after))


def _both(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """The names of both, each removed one where it was."""
    found = list(after)
    place = -1
    for name in before:
        if name in after:
            place = found.index(name)
        else:
            place += 1
            found.insert(place, name)
    return found


def _order(of: Of, before: Sequence[str], after: Sequence[str]) -> Iterator[Change]:
    old, new = [name for name in before if name in after], [name for name in after if name in before]
    if old != new:
        moved = [name for name, other in zip(new, old, strict=True) if name != other]
        yield Change("changed", of, ", ".join(moved), "order in the table", old, new)


def _states(old: Stored, new: Stored) -> Iterator[Change]:
    plain = ("meaning", "kind", "action", "write_ahead", "group", "patience", "settles",
             "ends", "waits_for", "frees")  # fmt: skip
    yield from _named("state", old["states"], new["states"], plain)
    before = {state["name"]: state for state in old["states"]}
    for state in new["states"]:
        if state["name"] in before:
            yield from _lists("state", state["name"], before[state["name"]], state, ("absorbs",))
            yield from _lists("state", state["name"], before[state["name"]], state, ("refuses",))


def _edges(old: Stored, new: Stored) -> Iterator[Change]:
    before = {edge["id"]: edge for edge in old["transitions"]}
    after = {edge["id"]: edge for edge in new["transitions"]}
    renamed = _renumbered(before, after)
    same = {**{name: name for name in after if name in before}, **renamed}
    gone = set(same.values())
    for name in _both(before, after):
        if name in same:
            was, now = before[same[name]], after[name]
            yield from _fields("edge", name, was, now, ("id", "event", "source", "dest"))
            yield from _lists("edge", name, was, now, ("requires", "forbids", "effects"))
            yield from _fields("edge", name, was, now, ("reason",))
        elif name in after:
            yield Change("added", "edge", name, new=after[name])
        elif name not in gone:
            yield Change("removed", "edge", name, old=before[name])
    cells = list(_precedence(old, new, same))
    yield from cells
    if not cells:
        old_names = [name for was in before for name, is_ in same.items() if is_ == was]
        yield from _order("edge", old_names, [name for name in after if name in same])


def _renumbered(before: Mapping[str, Stored], after: Mapping[str, Stored]) -> dict[str, str]:
    """Edges that are the same but for their row: new id to old id."""
    left = {name: _meaning(edge) for name, edge in before.items() if name not in after}
    found: dict[str, str] = {}
    for name, edge in after.items():
        if name not in before:
            was = next((old for old, meaning in left.items() if meaning == _meaning(edge)), None)
            if was is not None:
                del left[was]
                found[name] = was
    return found


def _meaning(edge: Stored) -> tuple[object, ...]:
    return (edge["event"], edge["source"], edge["dest"], tuple(edge["requires"]), tuple(edge["forbids"]),
            tuple(edge["effects"]))  # fmt: skip


def _precedence(old: Stored, new: Stored, same: Mapping[str, str]) -> Iterator[Change]:
    """Cells in which the edges that were there before are tried in another order, or after a new one."""
    back = {before: after for after, before in same.items()}
    was = _cells(old, lambda name: back.get(name))
    now = _cells(new, lambda name: name)
    for cell, order in now.items():
        before = [name for name in was.get(cell, ()) if name in order]
        if before and before != order[: len(before)]:
            gone = set(order) - set(before)
            kept = [name for name in order if name not in gone]
            what = "order of precedence" if kept != before else "a new edge is tried before"
            yield Change("changed", "cell", f"{cell[0]} × {cell[1]}", what, before, order)


def _cells(of: Stored, named: Callable[[str], str | None]) -> dict[tuple[str, str], list[str]]:
    """The edges of each cell, in order, by their new names; those that have none are left out."""
    found: dict[tuple[str, str], list[str]] = {}
    for edge in of["transitions"]:
        name = named(edge["id"])
        if name is not None:
            found.setdefault((edge["source"], edge["event"]), []).append(name)
    return found
