"""A released table never changes: a changed table is a new version."""

from __future__ import annotations

import json

import nutstate
from nutstate.diagrams.build import GOLDEN
from nutstate.machines.registry import RELEASED
from tests.sources.tree import ROOT

RECORD = "python -m nutstate.diagrams.build --golden"


def test_versions_are_distinct() -> None:
    known = [(machine.name, machine.version) for machine in RELEASED]
    assert len(set(known)) == len(known)


def test_released_tables_are_as_they_were_released() -> None:
    recorded = {(m["name"], m["version"]): m["content_hash"] for m in json.loads((ROOT / GOLDEN).read_text())}
    ours = {(machine.name, machine.version): machine.content_hash for machine in RELEASED}
    both = recorded.keys() & ours.keys()
    changed = sorted(f"{name}@{version}" for name, version in both
                     if ours[name, version] != recorded[name, version])  # fmt: skip
    gone = sorted(f"{name}@{version}" for name, version in recorded.keys() - ours.keys())
    new = sorted(f"{name}@{version}" for name, version in ours.keys() - recorded.keys())
    assert not changed, (
        f"{', '.join(changed)}: a changed table needs a new version: stored operations name the old one. "
        f"Before the release of 0.1.0 (this is {nutstate.__version__}) it may be recorded anew: `{RECORD}`"
    )
    assert not gone, f"{', '.join(gone)}: a released version stays in the registry for ever"
    assert not new, f"{', '.join(new)}: record the new version with `{RECORD}`"
