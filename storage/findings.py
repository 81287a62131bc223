"""Findings of a doctor: the results of its looks at a store, and the report that holds them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import attrs
from attrs import frozen

from .migration import Migration
from .rules.machines import Machines

Status = Literal["ok", "info", "warning", "error", "unknown"]


@frozen
class Finding:
    """The result of one look. ``check`` is the stable name of the look; ``text`` and ``hint`` are for
    people and never hold a value of the store or a password. ``fixable``: ``--fix`` can put it right."""

    check: str
    status: Status
    text: str
    hint: str | None = None
    fixable: bool = False


@frozen
class Report:
    """Everything found about one store, after putting right what ``fixed`` names. ``url`` has no
    credentials. ``migration`` is what a store of an older schema needs, or what was done."""

    url: str
    findings: tuple[Finding, ...]
    fixed: tuple[str, ...] = ()
    migration: Migration | None = None

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong. Warnings, and what could not be asked, do not count."""
        return not self.of("error")

    def of(self, status: Status) -> tuple[Finding, ...]:
        """The findings of one status."""
        return tuple(finding for finding in self.findings if finding.status == status)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON-ready data."""
        return {
            "url": self.url,
            "healthy": self.healthy,
            "findings": [attrs.asdict(finding) for finding in self.findings],
            "fixed": list(self.fixed),
            "migration": self.migration.as_dict() if self.migration else None,
        }


def of_machines(stored: Machines, own: Machines) -> Iterator[Finding]:
    """Whether a store holds the machines of this program as they are, and which others."""
    sound = True
    for label, version in own.by_label.items():
        there = stored.by_label.get(label)
        if there is None:
            sound = False
            yield Finding(
                "machines", "error", f"{label} is not stored: nothing can run under it", fixable=True
            )
        elif there != version:
            sound = False
            hint = "Run the release that made the store, or give the changed machine the next version."
            text = f"{label} is stored with another content than this program declares [MACHINE_CHANGED]"
            yield Finding("machines", "error", text, hint)
    others = sorted(stored.by_label.keys() - own.by_label.keys())
    if others:
        text = f"also holds {', '.join(others)}: this program can read operations under them, not drive them"
        yield Finding("machines", "info", text)
    if sound:
        yield Finding("machines", "ok", ", ".join(own.by_label))
