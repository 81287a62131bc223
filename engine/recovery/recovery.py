"""Recovery: there is no second code path. An open operation is loaded, told ``recover``, and driven."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable

from attrs import define

from ...storage.errors import NutstateError, StorageError
from ...storage.port import DropLease, Store, TakeLease
from ...storage.records import Operation
from ..loop.drive import Happened, Run
from ..loop.driver import Driver
from ..loop.failures import failed
from ..ports import Clock, rest
from ..settings import Settings

LEASES_AHEAD_MAX = 10  # lengths of a lease; one that ends later was taken under a wrong wall clock
_LOOK_AGAIN_S = 0.05


@define(eq=False)
class Recovery:
    """Goes on with operations another call, process or machine left open."""

    store: Store
    driver: Driver
    settings: Settings
    clock: Clock
    open_run: Callable[[Operation, str], Run]

    def look_after(
        self, op: Operation, wait_s: float, due_in_s: float, stopping: threading.Event
    ) -> tuple[Operation, bool, bool]:
        """Go on with one operation of a sweep: the operation, whether that worked, and whether it is in
        another worker's hands. Its trouble must not keep the others from being looked after."""
        try:
            self.driver.kinds.machine_of(op)
            if due_in_s > 0:  # the mint was asked a moment ago: it is not asked again before its time
                rest(self.clock, due_in_s, stopping)
                wait_s = max(0, wait_s - due_in_s)
            now = self.store.operation(op.id, op.npub)  # the page is older than the work before it
            if now is None or stopping.is_set() or self._is_looked_after(op, now):
                return now or op, True, now is not None
            kinds = self.driver.kinds
            holding = kinds.waits_for_caller(now) and self.clock.now() < (kinds.waits_until(now) or 0)
            found, ours = self.resume(now, 0 if holding else wait_s, poll_parked=True, stopping=stopping)
            return found, True, not ours
        except Exception as error:  # noqa: BLE001 - one broken adapter must not orphan the rest
            code = error.code if isinstance(error, NutstateError) else type(error).__name__
            self.driver.log.note("recover_failed", operation_id=op.id, code=code)
            return op, False, False

    def _is_looked_after(self, read: Operation, now: Operation) -> bool:
        """Whether another worker has ended the operation since it was read, or has it looked at later."""
        return now.kind_of_state == "final" or (_moved(read, now) and self.due_in(now) > 0)

    def due_in(self, op: Operation) -> float:
        """Seconds until the next look at the operation; 0 when it is due, its driver is dead, or the look
        asks no mint."""
        if op.lease is not None and self.driver.worker.certainly_dead(op.lease.worker):
            return 0
        if self.driver.kinds.state_of(op).kind == "parked" and self.asks_no_mint(op):
            return 0
        now = self.clock.now()
        written = op.updated_at if op.lease is None else max(op.updated_at, op.lease.until)
        if written > self._plausible(now):
            return 0  # under a clock that was ahead: its schedule means nothing
        if op.next_check_at is None:
            return math.inf
        return max(0, op.next_check_at - now) / 1000

    def word_for(self, op: Operation) -> str:
        """``ended``, ``waiting`` (for its caller), ``parked`` or ``open``, as the operation is now."""
        if op.kind_of_state == "final":
            return "ended"
        if self.driver.kinds.waits_for_caller(op):
            until = self.driver.kinds.waits_until(op)
            if until is None or self.clock.now() < until:
                return "waiting"
        return "parked" if op.kind_of_state == "parked" else "open"

    def _plausible(self, now: int) -> int:
        """How far ahead (epoch ms) a lease may reach; one that lasts longer counts as run out (R213)."""
        return now + int(LEASES_AHEAD_MAX * self.settings.lease_s * 1000)

    def follow(self, op: Operation, wait_s: float, *, confirmed: bool = False) -> Operation:
        """Wait for an operation: its own driver's work while that lives, ours if it does not.
        ``confirmed`` is the caller's word that a prepared melt may be paid."""
        deadline = self.clock.monotonic() + wait_s
        while not self._is_done(op, confirmed):
            left = max(0.0, deadline - self.clock.monotonic())
            op, ours = self.resume(op, left, confirmed=confirmed and self._needs_confirmation(op))
            if ours or left <= 0:
                break
            self.clock.sleep(min(_LOOK_AGAIN_S, left))
            op = self.store.operation(op.id, op.npub) or op
        return op

    def resume(
        self,
        op: Operation,
        wait_s: float,
        *,
        confirmed: bool = False,
        poll_parked: bool = False,
        stopping: threading.Event | None = None,
    ) -> tuple[Operation, bool]:
        """Take the lease and drive. Returns (operation, True), or (operation as stored, False) if another
        worker holds the lease. Code UNKNOWN_MACHINE before the lease is taken: a program that has the machine
        must not find it taken. Once ``stopping`` is set, the drive ends where it would wait."""
        self.driver.kinds.machine_of(op)
        worker = self.driver.worker
        lease, breaking = op.lease, None
        if lease is not None and worker.certainly_dead(lease.worker):
            breaking = (lease.worker, lease.term)
        now = self.clock.now()
        until = now + int(self.settings.lease_s * 1000)
        name = worker.for_one_drive()
        taken = self.store.note(TakeLease(op.id, name, until, now, breaking, self._plausible(now), op.npub))
        if taken is None:
            return self.store.operation(op.id, op.npub) or op, False
        if stopping is not None and self._is_looked_after(op, taken):
            assert taken.lease is not None
            self.store.note(DropLease(op.id, name, taken.lease.term, op.npub))
            return taken, False
        try:
            run = self.open_run(taken, f"worker:{name}")
        except Exception as error:
            with contextlib.suppress(StorageError):
                failed(self.driver, taken, name, error)
            raise
        confirmed = confirmed and self._needs_confirmation(taken)
        run.worker, run.confirmed, run.stopping = name, confirmed, stopping
        if taken.sent_by is not None and worker.certainly_dead(taken.sent_by):
            run.gone_sender = taken.sent_by
        if not confirmed:
            self.driver.take(run, Happened("recover"))
            run.idle_polls = 0
        return self.driver.drive(run, wait_s, poll_parked), True

    def _is_done(self, op: Operation, confirmed: bool) -> bool:
        waits_for_caller = self.driver.kinds.waits_for_caller(op) and not (
            confirmed and self._needs_confirmation(op)
        )
        state = self.driver.kinds.state_of(op)
        return state.kind != "live" or state.settles or waits_for_caller

    def _needs_confirmation(self, op: Operation) -> bool:
        return self.driver.kinds.state_of(op).waits_for == "confirmation"

    def asks_no_mint(self, op: Operation) -> bool:
        """Whether a look at the operation asks no mint."""
        kinds = self.driver.kinds
        action = kinds.machine_of(op).action_in(op.state) if kinds.knows(op) else None
        return action is not None and action.asks_no_mint


def _moved(read: Operation, now: Operation) -> bool:
    """Whether another worker has led the operation on, or looked at it, since it was read."""
    return (read.version, read.next_check_at) != (now.version, now.next_check_at)
