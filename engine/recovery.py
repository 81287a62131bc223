"""Recovery: there is no second code path. An open operation is loaded, told ``recover``, and driven."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define

from ..machines.registry import released
from ..storage.port import Store, TakeLease
from ..storage.records import Operation
from .driver import Driver
from .ports import Clock
from .run import Happened, Run
from .settings import Settings

SWEEP_MAX = 10_000
FAR_FUTURE = 2**62
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
        """Drive every open operation that is due or orphaned (``force``: every one)."""
        found = [op for op in self.store.live_operations(FAR_FUTURE, SWEEP_MAX) if force or self._due(op)]
        ended = []
        for done, op in enumerate(found, 1):
            ended.append(self.resume(op, wait_s, poll_parked=True))
            if progress is not None:
                progress(done, len(found))
        return tuple(ended)

    def _due(self, op: Operation) -> bool:
        if op.lease is not None and self.driver.worker.certainly_dead(op.lease.worker):
            return True
        return op.next_check_at is not None and op.next_check_at <= self.clock.now()

    def follow(self, op: Operation, wait_s: float) -> Operation:
        """Wait for an operation: its own driver's work while that lives, ours if it does not."""
        deadline = self.clock.monotonic() + wait_s
        while True:
            left = max(0.0, deadline - self.clock.monotonic())
            if self._is_done(op):
                return op
            driven = self.resume(op, left)
            if driven.lease is None or driven.lease.worker == self.driver.worker.name or left <= 0:
                return driven
            self.clock.sleep(min(_LOOK_AGAIN_S, left))
            op = self.store.operation(op.id) or driven

    def resume(
        self, op: Operation, wait_s: float, *, confirmed: bool = False, poll_parked: bool = False
    ) -> Operation:
        """Become the driver if nobody else is, and go on. Otherwise the operation as it is stored."""
        lease, worker = op.lease, self.driver.worker
        breaking = None
        if lease is not None and worker.certainly_dead(lease.worker):
            breaking = (lease.worker, lease.fence)
        now = self.clock.now()
        until = now + int(self.settings.lease_s * 1000)
        taken = self.store.note(TakeLease(op.id, worker.name, until, now, breaking))
        if taken is None:
            return self.store.operation(op.id) or op
        run = self.open_run(taken, f"worker:{worker.name}")
        run.confirmed = confirmed
        if not confirmed:
            self.driver.take(run, Happened("recover"))
            run.idle_polls = 0
        return self.driver.drive(run, wait_s, poll_parked)

    @staticmethod
    def _is_done(op: Operation) -> bool:
        ref = op.machine
        state = released(ref.name, ref.version, ref.hash).state(op.state)
        waits_for_caller = op.state == "prepared" and op.policy.two_step
        return state.kind != "live" or waits_for_caller
