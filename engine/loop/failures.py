"""Drives that end in an exception: counted, and parked when there are too many of them."""

from __future__ import annotations

from typing import Protocol

from ...machines import step
from ...storage.batch import Advance
from ...storage.catalogue import DB_FAILURE_AFTER_SUCCESS
from ...storage.errors import CommitUnknown, StorageError
from ...storage.port import CountFailure, Store
from ...storage.records import AuditRecord, Operation, Reason
from ..ports import Clock
from ..settings import Settings
from .draft import Draft
from .drive import Run
from .effect_context import EffectContext
from .evidence import Evidence
from .kinds import Kinds
from .log import Log
from .look import Elapsed, Look

_OUTAGE = ("STORE_UNAVAILABLE", "COMMIT_UNKNOWN", "CONFLICT")
"""Codes of errors that say nothing about the operation itself."""


class Parking(Protocol):
    """The parts of a driver that counting and parking need."""

    @property
    def store(self) -> Store: ...

    @property
    def kinds(self) -> Kinds: ...

    @property
    def settings(self) -> Settings: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def log(self) -> Log: ...

    def tell(self, operation: Operation, records: tuple[AuditRecord, ...], duration_ms: float) -> None:
        """Log what was committed, and tell the observer."""


def failed(driver: Parking, operation: Operation, worker: str, error: Exception) -> None:
    """Count a drive that ended in an exception. When that happens too often, park the operation by a commit
    that holds nothing from outside. An outage of the store is no fault of the operation. Raises StorageError;
    another failure is logged: it must not hide the first one."""
    try:
        _counted(driver, operation, worker, error)
    except StorageError:
        raise
    except Exception as second:  # noqa: BLE001 - the facts of the kind, perhaps
        name = type(second).__name__
        driver.log.note("drive_failed_uncounted", operation_id=operation.id, error=name)


def _counted(driver: Parking, operation: Operation, worker: str, error: Exception) -> None:
    lease = operation.lease
    if lease is None or lease.worker != worker or getattr(error, "code", "") in _OUTAGE:
        return
    counted = driver.store.note(CountFailure(operation.id, worker, lease.term, operation.npub))
    if counted is None:
        return
    name = type(error).__name__
    driver.log.note("drive_failed", operation_id=counted.id, failures=counted.failures, error=name)
    kind = driver.kinds.of(counted)
    draft = Draft(driver.kinds.machine_of(counted), counted, stored=True, actor=f"worker:{worker}")
    words = f"{counted.failures} drives of this operation failed, the last one with {name}"
    evidence = Evidence(reason=Reason("DRIVE_FAILED", words))
    now = driver.clock.now()
    facts = kind.facts(Look(kind, draft, evidence, driver.settings, now, Elapsed()))
    decision = step(draft.machine, counted.state, "drive_failed", facts)
    if not decision.accepted:
        return
    draft.advance(
        decision,
        now,
        {
            "kind": counted.kind,
            "amount": counted.amount,
            "unit": counted.unit,
            "npub": counted.npub,
            "reason": {"code": "DRIVE_FAILED", "message": words},
        },
    )
    kind.apply(EffectContext(kind, draft, decision, evidence, driver.settings, now))
    draft.set(lease=None, next_check_at=now + int(driver.settings.poll_max_s * 1000))
    batch = draft.batch()
    driver.store.commit(batch)
    driver.tell(draft.operation, batch.audit, 0.0)


def still_open(error: StorageError, run: Run) -> None:
    """The store failed in the middle: nothing is lost, but the caller must not pay elsewhere. Once the
    request may have been sent the code says so, and ``cause`` is what the store said."""
    op = run.operation
    sent = _may_be_sent(error, run)
    error.details = {**error.details, "operation_id": op.id, "state": op.state, "sent": sent}
    if sent:
        error.details = {**error.details, "cause": error.code}
        error.recode(DB_FAILURE_AFTER_SUCCESS)
    elif run.draft.machine.state(op.state).kind == "live":
        error.severity = "CRITICAL"
    else:
        return
    error.message += "; the operation stays open and recovery finishes it"
    error.args = (error.message,)


def _may_be_sent(error: StorageError, run: Run) -> bool:
    """Whether a request was written ahead of being sent, as far as the store may know."""
    if isinstance(error, CommitUnknown) and run.operation.sent_at is not None:
        return True
    written = run.draft.batch().operation
    return isinstance(written, Advance) and written.before.sent_at is not None
