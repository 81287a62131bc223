"""The results of verifying and purging the audit log: records that were changed, are missing, or were
added."""

from __future__ import annotations

from typing import Any, Literal

import attrs
from attrs import define, field, frozen

from ...machines.shown import shown
from ...storage.errors import CorruptRecord

Kind = Literal["changed", "missing", "added"]


@frozen
class Fault:
    """One thing that is wrong, and where: an operation, a place in its chain, an entity."""

    kind: Kind
    operation_id: str | None
    text: str
    seq: int | None = None
    entity: str | None = None

    __repr__ = shown


@frozen
class VerifyReport:
    """The result of verifying. ``unchecked``: number of tombstones that cannot be proven without the audit
    key."""

    changed: tuple[Fault, ...]
    missing: tuple[Fault, ...]
    added: tuple[Fault, ...]
    operations: int
    records: int
    tombstoned: int
    unchecked: int = 0

    __repr__ = shown

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.changed or self.missing or self.added)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """All faults."""
        return (*self.changed, *self.missing, *self.added)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {"holds": self.holds, **attrs.asdict(self)}


@frozen
class PurgeReport:
    """The purged operations; with ``dry_run`` those that would be purged. ``broken`` operations are kept:
    their trail does not verify, and a purge would hide this."""

    dry_run: bool
    operations: tuple[str, ...]
    records: int
    broken: tuple[str, ...]

    __repr__ = shown

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return attrs.asdict(self)


@define(eq=False)
class Findings:
    """Collects faults, each once."""

    operations: int = 0
    records: int = 0
    tombstoned: int = 0
    unchecked: int = 0
    _faults: dict[Fault, None] = field(factory=dict)

    __repr__ = shown

    def add(
        self,
        kind: Kind,
        operation_id: str | None,
        text: str,
        seq: int | None = None,
        entity: str | None = None,
    ) -> None:
        self._faults[Fault(kind, operation_id, text, seq or None, entity)] = None

    def corrupt(self, error: CorruptRecord, operation_id: str | None = None) -> None:
        """Note a document that does not decode: another program changed it."""
        self.add("changed", operation_id, error.message)

    def report(self) -> VerifyReport:
        def of(kind: Kind) -> tuple[Fault, ...]:
            return tuple(fault for fault in self._faults if fault.kind == kind)

        return VerifyReport(
            of("changed"), of("missing"), of("added"),
            self.operations, self.records, self.tombstoned, self.unchecked,
        )  # fmt: skip
