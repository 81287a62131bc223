"""Every released machine is as its golden table says, and the golden tables are what was recorded."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from nutstate.machines.melt.table import MELT
from nutstate.machines.registry import RELEASED
from nutstate.machines.spec import Machine
from tests.fixtures import tables

HASHES = tables.FOLDER.parent / "machines.json"


def golden(spec: Machine[Any]) -> dict[str, Any]:
    path = tables.path_of(spec.name, spec.version)
    assert path.is_file(), f"no golden table {path.name}: record it with `python -m tests.fixtures.release`"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def told(spec: Machine[Any], today: Machine[Any]) -> str:
    """What a person reads when a released table is another now; empty when it is the same."""
    changed = list(tables.differences(golden(spec), today.as_data()))
    if not changed:
        return ""
    lines = "".join(f"\n  {line}" for line in changed)
    return f"{spec.name}@{spec.version} is not what was released:{lines}\n{tables.WHAT_TO_DO}"


@pytest.mark.parametrize("spec", RELEASED, ids=lambda spec: f"{spec.name}@{spec.version}")
def test_a_released_table_is_as_it_was(spec: Machine[Any]) -> None:
    difference = told(spec, spec)
    assert not difference, difference
    text = tables.path_of(spec.name, spec.version).read_text(encoding="utf-8")
    assert text == tables.text_of(spec), "the same table in another form: python -m tests.fixtures.release"
    assert tables.hash_of(text) == spec.content_hash


def test_every_recorded_hash_is_that_of_a_golden_table() -> None:
    """The files prove one another without any declaration of ours."""
    recorded = {(m["name"], m["version"]): m["content_hash"] for m in json.loads(HASHES.read_text())}
    files = {path.stem: path for path in sorted(tables.FOLDER.glob("*.json"))}
    assert set(files) == {f"{name}@{version}" for name, version in recorded}
    for (name, version), content_hash in recorded.items():
        assert tables.hash_of(files[f"{name}@{version}"].read_text(encoding="utf-8")) == content_hash


def redirected() -> Machine[Any]:
    """The melt machine with one edge led elsewhere, under the same version."""
    first, *rest = MELT.transitions
    assert first.id == "0.request.none"
    return attrs.evolve(MELT, transitions=(attrs.evolve(first, dest="quoted"), *rest))


def test_a_changed_table_says_what_changed_and_what_to_do() -> None:
    text = told(MELT, redirected())
    assert "melt@1 is not what was released:" in text
    assert "\n  transition 0.request.none: dest 'requested' -> 'quoted'\n" in text
    assert "machines/registry.py" in text and "python -m tests.fixtures.release" in text


def test_what_a_difference_can_be() -> None:
    first, second, *rest = MELT.transitions
    states = tuple(state for state in MELT.states if state.name != "watching")
    changed = attrs.evolve(
        MELT,
        states=states,
        transitions=(second, first, *rest[:-1], attrs.evolve(rest[-1], id="33.new.watching")),
        version=2,
    )
    assert list(tables.differences(golden(MELT), changed.as_data())) == [
        "state watching is gone",
        f"transition {rest[-1].id} is gone",
        "transition 33.new.watching is new",
        "transitions: the order is another, and edges of a cell are tried in order",
        "version: 1 -> 2",
    ]
