"""Recovery: there is no second code path. An open operation is loaded, told ``recover``, and driven."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from attrs import define

from ..storage.errors import NutstateError
from ..storage.port import Store, TakeLease
from ..storage.records import Operation
from .driver import Driver
from .known import machine_of
from .ports import Clock
from .run import Happened, Run
from .settings import Settings

SWEEP_MAX = 10_000
FAR_FUTURE = 2**62
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

    def sweep(
        self, wait_s: float, force: bool, progress: Callable[[int, int], None] | None
    ) -> tuple[Operation, ...]:
        """Drive every open operation that is orphaned or due, and every one that becomes due before the
        wait is over unless its caller must act (``force``: every one, at once)."""
        found = [
            op
            for op in self.open_operations()
            if force or self._due_in(op) <= (0 if self._waits_for_caller(op) else wait_s)
        ]
        ended = []
        for done, op in enumerate(found, 1):
            ended.append(self._one(op, wait_s, 0 if force else self._due_in(op)))
            if progress is not None:
                progress(done, len(found))
        return tuple(ended)

    def open_operations(self) -> Sequence[Operation]:
        """Every operation that recovery looks after, the longest overdue first."""
        return self.store.live_operations(FAR_FUTURE, SWEEP_MAX)

    def _one(self, op: Operation, wait_s: float, due_in_s: float) -> Operation:
        """One operation of a sweep; its trouble must not keep the others from being looked after."""
        holding = op.hold_until is not None and op.state == "held" and self.clock.now() < op.hold_until
        try:
            if due_in_s > 0:  # the mint was asked a moment ago: it is not asked again before its time
                self.clock.sleep(due_in_s)
                wait_s, op = max(0, wait_s - due_in_s), self.store.operation(op.id) or op
            return self.resume(op, 0 if holding else wait_s, poll_parked=True)[0]
        except Exception as error:  # noqa: BLE001 - one broken adapter must not orphan the rest
            code = error.code if isinstance(error, NutstateError) else type(error).__name__
            self.driver.log.note("recover_failed", operation_id=op.id, code=code)
            return op

    def _due_in(self, op: Operation) -> float:
        """Seconds until the next look at the operation; 0 when it is due, its driver is dead, or the look
        asks no mint."""
        if op.lease is not None and self.driver.worker.certainly_dead(op.lease.worker):
            return 0
        if op.state == "contested":
            return 0
        now = self.clock.now()
        written = op.updated_at if op.lease is None else max(op.updated_at, op.lease.until)
        if written > self._plausible(now):
            return 0  # under a clock that was ahead: its schedule means nothing
        if op.next_check_at is None:
            return math.inf
        return max(0, op.next_check_at - now) / 1000

    def _plausible(self, now: int) -> int:
        """How far ahead (epoch ms) a lease may reach; one that lasts longer counts as run out (R213)."""
        return now + int(LEASES_AHEAD_MAX * self.settings.lease_s * 1000)

    def follow(self, op: Operation, wait_s: float, *, confirmed: bool = False) -> Operation:
        """Wait for an operation: its own driver's work while that lives, ours if it does not.
        ``confirmed`` is the caller's word that a prepared melt may be paid."""
        deadline = self.clock.monotonic() + wait_s
        while not self._is_done(op, confirmed):
            left = max(0.0, deadline - self.clock.monotonic())
            op, ours = self.resume(op, left, confirmed=confirmed and op.state == "prepared")
            if ours or left <= 0:
                break
            self.clock.sleep(min(_LOOK_AGAIN_S, left))
            op = self.store.operation(op.id) or op
        return op

    def resume(
        self, op: Operation, wait_s: float, *, confirmed: bool = False, poll_parked: bool = False
    ) -> tuple[Operation, bool]:
        """Become the driver if nobody else is, and go on. Otherwise (False) it is as it is stored."""
        worker = self.driver.worker
        lease, breaking = op.lease, None
        if lease is not None and worker.certainly_dead(lease.worker):
            breaking = (lease.worker, lease.fence)
        now = self.clock.now()
        until = now + int(self.settings.lease_s * 1000)
        name = worker.for_one_drive()
        taken = self.store.note(TakeLease(op.id, name, until, now, breaking, self._plausible(now)))
        if taken is None:
            return self.store.operation(op.id) or op, False
        run = self.open_run(taken, f"worker:{name}")
        confirmed = confirmed and taken.state == "prepared"
        run.worker, run.confirmed = name, confirmed
        if taken.sent_by is not None and worker.certainly_dead(taken.sent_by):
            run.gone_sender = taken.sent_by
        if not confirmed:
            self.driver.take(run, Happened("recover"))
            run.idle_polls = 0
        return self.driver.drive(run, wait_s, poll_parked), True

    @staticmethod
    def _is_done(op: Operation, confirmed: bool) -> bool:
        waits_for_caller = Recovery._waits_for_caller(op) and not (confirmed and op.state == "prepared")
        return machine_of(op).state(op.state).kind != "live" or waits_for_caller

    @staticmethod
    def _waits_for_caller(op: Operation) -> bool:
        return op.state == "held" or (op.state == "prepared" and op.policy.two_step)
