"""Rules about released tables: a changed table is a new version."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from ...machines.spec import Machine
from .rules import Finding, finding

Record = Mapping[str, Any]
"""One released table: ``name``, ``version`` and ``content_hash``."""


def changed_releases(specs: Collection[Machine[Any]], golden: Iterable[Record]) -> Iterator[Finding]:
    """L50 and L51. ValueError for a record that is none."""
    recorded = {_key(record): str(record["content_hash"]) for record in golden}
    for spec in specs:
        where = f"{spec.name}@{spec.version}"
        known = recorded.get((spec.name, spec.version))
        if known is None:
            yield finding("L51", spec.name, where, "the golden record does not hold it", "record it")
        elif known != spec.content_hash:
            words = f"recorded as {known[:12]}…, it is now {spec.content_hash[:12]}…"
            fix = f"make the change version {spec.version + 1}, beside the released one"
            yield finding("L50", spec.name, where, words, fix)


def _key(record: Record) -> tuple[str, int]:
    if not isinstance(record, Mapping) or not {"name", "version", "content_hash"} <= record.keys():
        raise ValueError("a golden record is a list of objects with name, version and content_hash")
    return str(record["name"]), int(record["version"])
