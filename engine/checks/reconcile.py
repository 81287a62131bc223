"""Reconciliation: the documents of an operation are checked again, from one snapshot."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from ...machines.shown import shown
from ...storage.records import Operation, Reason
from ..errors import InvalidArgument
from ..loop.drive import Happened, Result, Run
from ..loop.evidence import Evidence
from .documents import Documents
from .read_documents import documents_of, read_documents
from .reconcile_rules import Expected, KeyBook, KeysOf, judge_documents
from .tally import CheckResult

NOTHING_EXPECTED = Expected()


@frozen
class ReconcileReport:
    """The checks of a reconciliation and their discrepancies."""

    operation_id: str
    kind: str
    state: str
    checks: tuple[CheckResult, ...]
    reconciliation_duration_ms: float
    snapshot_ms: float
    check_id: str | None = None  # the stored check; None for an operation that has not ended

    __repr__ = shown

    @property
    def checks_performed(self) -> tuple[str, ...]:
        """The names of the checks."""
        return tuple(check.name for check in self.checks)

    @property
    def discrepancies_found(self) -> tuple[str, ...]:
        """One sentence per difference."""
        return tuple(text for check in self.checks for text in check.texts())

    @property
    def validation_passed(self) -> bool:
        """Whether nothing was found."""
        return all(check.passed for check in self.checks)

    @property
    def performance_metrics(self) -> dict[str, float]:
        """Its duration, and the number of compared items."""
        return {
            "reconciliation_duration_ms": round(self.reconciliation_duration_ms, 3),
            "snapshot_ms": round(self.snapshot_ms, 3),
            "checks_count": len(self.checks),
            "discrepancies_count": len(self.discrepancies_found),
        }

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready and free of secrets."""
        return {
            "operation_id": self.operation_id,
            "kind": self.kind,
            "state": self.state,
            "check_id": self.check_id,
            "checks_performed": list(self.checks_performed),
            "discrepancies_found": list(self.discrepancies_found),
            "validation_passed": self.validation_passed,
            "performance_metrics": self.performance_metrics,
            "checks": [check.as_dict() for check in self.checks],
        }

    def __str__(self) -> str:
        lines = [f"{self.kind} {self.operation_id} ({self.state})"]
        for check in self.checks:
            verdict = "passed" if check.passed else "FAILED"
            lines.append(f"  {check.name}: {verdict}, {check.compared} compared, {check.duration_ms:.1f} ms")
            lines += [f"    {text.partition(': ')[2]}" for text in check.texts()]
            lines += [f"    not checked: {text}" for text in check.not_checked]
        return "\n".join(lines)


def reconcile(run: Run) -> Result:
    """The action of ``settled``: check from one snapshot and say what was found."""
    tokens = run.draft.all_tokens()
    with run.store.snapshot(documents_of(run.operation, tokens)) as reader:
        op = reader.operation(run.operation.id, run.operation.npub) or run.operation
        docs = read_documents(reader, op, run.kinds, with_wallet=False, driven=True)
    return happened(report_on(docs, KeyBook(run.keysets).of(op.mint_url), NOTHING_EXPECTED), "reconcile_")


def report_on(docs: Documents, keys: KeysOf, expected: Expected) -> ReconcileReport:
    """Judge documents that were read."""
    started = time.perf_counter()
    checks = judge_documents(docs, keys, expected)
    took = (time.perf_counter() - started) * 1000 + docs.snapshot_ms
    op = docs.operation
    return ReconcileReport(op.id, op.kind, op.state, checks, took, docs.snapshot_ms)


EVENTS: Mapping[str, tuple[str, str]] = {
    "reconcile_": ("reconcile_passed", "reconcile_failed"),
    "found_": ("found_clean", "found_wrong"),
}


def happened(report: ReconcileReport, events: str) -> Happened:
    """A report as the event it means, to the melt's machine or to the check's."""
    good, bad = EVENTS[events]
    return found_as_event(report.discrepancies_found, len(report.checks), good, bad)


def found_as_event(found: tuple[str, ...], performed: int, good: str, bad: str) -> Happened:
    """Sentences as an event; no sentence is good."""
    if not found:
        return Happened(good, Evidence(checks_performed=performed))
    reason = Reason("RECONCILIATION_FAILED", "; ".join(found)[:300], details={"count": len(found)})
    return Happened(bad, Evidence(checks_performed=performed, discrepancies=found, reason=reason))


# -- what a caller expects -----------------------------------------------------------------------------

_KEYS = frozenset({"source_token_ids", "keep_proofs_count", "melt_change_proofs_count", "balance_changes"})


def parse_expected(value: object) -> Expected:
    """The caller's expectation, validated. Unknown keys are refused: a misspelt key would pass as checked.
    Code INVALID_EXPECTED_STATE."""
    if value is None:
        return NOTHING_EXPECTED
    if not isinstance(value, Mapping) or not value.keys() <= _KEYS:
        raise _wrong(f"expected_state is a mapping with some of {', '.join(sorted(_KEYS))}")
    ids = value.get("source_token_ids")
    if ids is not None:
        if isinstance(ids, str | bytes) or not isinstance(ids, list | tuple | set | frozenset):
            raise _wrong("source_token_ids is a list of token ids")
        if not all(isinstance(token_id, str) for token_id in ids):
            raise _wrong("source_token_ids is a list of token ids")
    changes = value.get("balance_changes", {})
    if not isinstance(changes, Mapping) or not changes.keys() <= {"expected_unspent_balance"}:
        raise _wrong("balance_changes is a mapping with expected_unspent_balance")
    return Expected(
        source_token_ids=None if ids is None else tuple(ids),
        keep_proofs_count=_number(value, "keep_proofs_count"),
        melt_change_proofs_count=_number(value, "melt_change_proofs_count"),
        unspent_balance=_number(changes, "expected_unspent_balance"),
    )


def _number(value: Mapping[str, Any], name: str) -> int | None:
    number = value.get(name)
    if number is None:
        return None
    if type(number) is not int or number < 0:
        raise _wrong(f"{name} is a whole number, 0 or more")
    return number


def _wrong(message: str) -> InvalidArgument:
    return InvalidArgument(message, code="INVALID_EXPECTED_STATE")


def has_ended(op: Operation) -> bool:
    """Whether a look at it is stored: a live or parked operation may still change."""
    return op.finished_at is not None
