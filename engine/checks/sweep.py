"""Reconciliation of every stored operation, a page at a time."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import attrs
from attrs import define, field, frozen

from ...machines.shown import shown
from ...storage.errors import CorruptRecord, Duplicate, page_of
from ...storage.port import OperationQuery, Store, number_of_operations
from ...storage.records import Operation
from ..admission.discrepancy import settled_before, told_of
from ..cashu.keysets import Keysets
from ..loop.drive import Run
from ..loop.driver import Driver
from ..settings import Settings
from .documents import Documents
from .read_documents import read_documents, wallet_sums
from .reconcile import NOTHING_EXPECTED, ReconcileReport, found_as_event, happened, has_ended, report_on
from .reconcile_rules import KeyBook
from .wallet_preflight import Progress, Wallet, new_check, store_check

EVERYBODY = "*"
"""In the summary of a sweep, where no wallet or mint was named."""


@frozen
class SweepReport:
    """The numbers and findings of a sweep. ``failed`` are the operations with discrepancies,
    ``known`` those of them that an open check had told of before."""

    operations: int
    wallets: int
    checks_count: int
    failed: tuple[ReconcileReport, ...]
    known: tuple[str, ...]
    wallet_discrepancies: tuple[str, ...]
    reconciliation_duration_ms: float
    snapshot_ms: float
    summary_id: str | None = None

    __repr__ = shown

    @property
    def discrepancies_found(self) -> tuple[str, ...]:
        """One sentence per difference, each naming its operation or wallet."""
        found = [f"{r.operation_id}: {text}" for r in self.failed for text in r.discrepancies_found]
        return (*found, *self.wallet_discrepancies)

    @property
    def validation_passed(self) -> bool:
        """Whether nothing was found."""
        return not self.failed and not self.wallet_discrepancies

    @property
    def performance_metrics(self) -> dict[str, float]:
        """Its duration, and the number of compared items."""
        return {
            "reconciliation_duration_ms": round(self.reconciliation_duration_ms, 3),
            "snapshot_ms": round(self.snapshot_ms, 3),
            "checks_count": self.checks_count,
            "discrepancies_count": len(self.discrepancies_found),
        }

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready and free of secrets."""
        return {
            "operations": self.operations,
            "wallets": self.wallets,
            "checks_performed": self.checks_count,
            "discrepancies_found": list(self.discrepancies_found),
            "validation_passed": self.validation_passed,
            "performance_metrics": self.performance_metrics,
            "failed": [report.as_dict() for report in self.failed],
            "known": list(self.known),
            "wallet_discrepancies": list(self.wallet_discrepancies),
            "summary_id": self.summary_id,
        }


def _check_id(parent_id: str, settled_id: str) -> str:
    """The id of the check that a sweep stores about an operation. It follows from the last such check that
    was settled: findings of two sweeps at once are stored once, and a returning one is stored again."""
    return f"tx_check_{hashlib.sha256(f'{parent_id}|{settled_id}'.encode()).hexdigest()[:24]}"


@define(eq=False)
class Sweep:
    """One sweep. Each page is read at one moment and judged afterwards."""

    store: Store
    driver: Driver
    settings: Settings
    keysets: Keysets
    new_run: Callable[[Operation, str], Run]
    done: int = 0
    checks: int = 0
    snapshot_ms: float = 0.0
    failed: list[ReconcileReport] = field(factory=list)
    known: list[str] = field(factory=list)
    fresh: list[str] = field(factory=list)
    wallets: dict[tuple[str, str, str], None] = field(factory=dict)
    unreadable: list[str] = field(factory=list)

    __repr__ = shown

    def run(self, query: OperationQuery, progress: Progress | None) -> SweepReport:
        """Look at every operation of the query, newest first, and at their wallets; then store a summary."""
        started = time.perf_counter()
        total = 0 if progress is None else number_of_operations(self.store, query.npub)
        keys = KeyBook(self.keysets)
        for page in self._pages(attrs.evolve(query, limit=self.settings.page_size)):
            for docs in page:
                op = docs.operation
                self._judged(op, report_on(docs, keys.of(op.mint_url), NOTHING_EXPECTED))
                self.done += 1
                if progress is not None:
                    progress(self.done, max(total, self.done))
        wrong = (*self._wallets(), *self.unreadable)
        if progress is not None:
            progress(self.done, self.done)
        summary = self._summary(query, wrong)
        took = (time.perf_counter() - started) * 1000
        return SweepReport(
            self.done, len(self.wallets), self.checks + len(self.wallets), tuple(self.failed),
            tuple(self.known), wrong, took, self.snapshot_ms, summary.id,
        )  # fmt: skip

    def _pages(self, query: OperationQuery) -> Iterator[Sequence[Documents]]:
        while True:
            with self.store.snapshot() as reader:
                read = page_of(partial(reader.operations, query), lambda op: (op.created_at, op.id))
                page = self.driver.kinds.readable(read)
                documents = [
                    read_documents(reader, op, self.driver.kinds, with_wallet=False) for op in page.records
                ]
            for error in page.unreadable:  # R214: told, and no reason to leave out the others
                self.driver.log.unreadable(error)
                self.unreadable.append(f"transaction_completeness: {error.message}")
            yield documents
            if page.size < query.limit:
                return
            query = attrs.evolve(query, after=page.last)

    def _judged(self, op: Operation, report: ReconcileReport) -> None:
        self.checks += len(report.checks)
        self.snapshot_ms += report.snapshot_ms
        if op.npub != EVERYBODY:
            self.wallets[op.npub, op.mint_url, op.unit] = None
        if report.validation_passed:
            return
        with self.store.snapshot() as reader:
            told, settled = told_of(reader, op), settled_before(reader, op)
        known = None if told is None else told.id
        if known is None and has_ended(op):
            name = _check_id(op.id, settled)
            try:
                report = attrs.evolve(report, check_id=self.store_report(op, report, name).id)
            except Duplicate:
                known = name  # another sweep found the same at the same time (R217)
        if known is not None:
            self.known.append(op.id)
            report = attrs.evolve(report, check_id=known)
        else:
            self.fresh += [f"{op.id}: {text}" for text in report.discrepancies_found]
        self.failed.append(report)

    def store_report(self, op: Operation, report: ReconcileReport, check_id: str | None = None) -> Operation:
        """Keep what was found about an operation as a check of its own."""
        wallet = Wallet(op.npub, op.wallet_id, op.mint_url, op.unit)
        check = new_check(wallet, op.amount, self.driver.clock.now(), op.id)
        if check_id is not None:
            check = attrs.evolve(check, id=check_id)
        return store_check(self.driver, self.new_run, check, happened(report, "found_"))

    def _wallets(self) -> Iterator[str]:
        for npub, mint_url, unit in self.wallets:
            started = time.perf_counter()
            try:
                with self.store.snapshot() as reader:
                    sums = wallet_sums(reader, npub, mint_url, unit, self.settings.page_size)
            except CorruptRecord as error:
                yield f"balance_consistency: the {unit} of {npub} at {mint_url}: {error.message}"
                continue
            self.snapshot_ms += (time.perf_counter() - started) * 1000
            if sums.told != sums.counted:
                yield (
                    f"balance_consistency: the {unit} of {npub} at {mint_url}: "
                    f"expected {dict(sums.counted)}, found {dict(sums.told)}"
                )

    def _summary(self, query: OperationQuery, wallets_wrong: tuple[str, ...]) -> Operation:
        """One check for the sweep itself: it parks if it found what no earlier check had told of."""
        owner = query.npub or EVERYBODY
        wallet = Wallet(owner, owner, query.mint_url or EVERYBODY, "sat")
        check = new_check(wallet, self.done, self.driver.clock.now())
        found = (*self.fresh, *wallets_wrong)
        performed = self.checks + len(self.wallets) + 1  # that a sweep was made is a check too
        event = found_as_event(found, performed, "found_clean", "found_wrong")
        return store_check(self.driver, self.new_run, check, event)
