"""Recovery: there is no second code path. An open operation is loaded, told ``recover``, and driven."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Callable, Sequence

from attrs import define

from ...storage.errors import CorruptRecord, NutstateError, Page, StorageError, page_of
from ...storage.port import Store, TakeLease
from ...storage.records import Operation
from ..loop.asking import Heard
from ..loop.drive import Happened, Run
from ..loop.driver import Driver
from ..loop.failures import failed
from ..ports import Clock
from ..settings import Settings

SWEEP_MAX = 10_000
FAR_FUTURE = 2**62
SILENT_MAX = 3
"""Operations of one mint in a row that a sweep waits for in vain; the others are left for the next sweep."""
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
    heard: Callable[[str], Heard]

    def sweep(
        self, wait_s: float, force: bool, progress: Callable[[int, int], None] | None
    ) -> tuple[tuple[Operation, ...], tuple[CorruptRecord, ...]]:
        """Drive every open operation that is orphaned or due, and every one that becomes due before the
        wait is over unless its caller must act (``force``: every one, at once). Also gives what could
        not be read."""
        page = self.open_page()
        found = [
            op
            for op in page.records
            if force or self._due_in(op) <= (0 if self.driver.kinds.waits_for_caller(op) else wait_s)
        ]
        ended = []
        silent: Counter[str] = Counter()
        for done, op in enumerate(found, 1):
            if silent[op.mint_url] >= SILENT_MAX and not self._asks_no_mint(op):
                ended.append(op)  # due as before: the next sweep begins with what waited longest
            else:
                before = self.heard(op.mint_url)
                ended.append(self._one(op, wait_s, 0 if force else self._due_in(op)))
                self._count_silence(silent, op.mint_url, before)
            if progress is not None:
                progress(done, len(found))
        return tuple(ended), page.unreadable

    def _count_silence(self, silent: Counter[str], mint_url: str, before: Heard) -> None:
        """A mint that answers nothing costs a sweep no more than SILENT_MAX waits."""
        now = self.heard(mint_url)
        if now.answered > before.answered:
            silent[mint_url] = 0
        elif now.asked > before.asked:
            silent[mint_url] += 1
            if silent[mint_url] == SILENT_MAX:
                self.driver.log.note("recover_left_silent_mint", mint_url=mint_url)

    def open_operations(self) -> Sequence[Operation]:
        """Every operation that recovery looks after and that can be read, the longest overdue first."""
        return self.open_page().records

    def open_page(self) -> Page[Operation]:
        """The same with what cannot be read, which is logged: it must not keep recovery from the others."""
        read = page_of(lambda: self.store.live_operations(FAR_FUTURE, SWEEP_MAX), lambda op: op.id)
        page = self.driver.kinds.readable(read)
        for error in page.unreadable:
            self.driver.log.unreadable(error)
        return page

    def _one(self, op: Operation, wait_s: float, due_in_s: float) -> Operation:
        """One operation of a sweep; its trouble must not keep the others from being looked after."""
        holding = self.driver.kinds.waits_for_caller(op) and self.clock.now() < (
            self.driver.kinds.waits_until(op) or 0
        )
        try:
            self.driver.kinds.machine_of(op)
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
        if self.driver.kinds.state_of(op).kind == "parked" and self._asks_no_mint(op):
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
            op, ours = self.resume(op, left, confirmed=confirmed and self._needs_confirmation(op))
            if ours or left <= 0:
                break
            self.clock.sleep(min(_LOOK_AGAIN_S, left))
            op = self.store.operation(op.id) or op
        return op

    def resume(
        self, op: Operation, wait_s: float, *, confirmed: bool = False, poll_parked: bool = False
    ) -> tuple[Operation, bool]:
        """Take the lease and drive. Returns (operation, True), or (operation as stored, False) if another
        worker holds the lease. Code UNKNOWN_MACHINE before the lease is taken: a program that has the machine
        must not find it taken."""
        self.driver.kinds.machine_of(op)
        worker = self.driver.worker
        lease, breaking = op.lease, None
        if lease is not None and worker.certainly_dead(lease.worker):
            breaking = (lease.worker, lease.term)
        now = self.clock.now()
        until = now + int(self.settings.lease_s * 1000)
        name = worker.for_one_drive()
        taken = self.store.note(TakeLease(op.id, name, until, now, breaking, self._plausible(now)))
        if taken is None:
            return self.store.operation(op.id) or op, False
        try:
            run = self.open_run(taken, f"worker:{name}")
        except Exception as error:
            with contextlib.suppress(StorageError):
                failed(self.driver, taken, name, error)
            raise
        confirmed = confirmed and self._needs_confirmation(taken)
        run.worker, run.confirmed = name, confirmed
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

    def _asks_no_mint(self, op: Operation) -> bool:
        """Whether a look at the operation asks no mint."""
        kinds = self.driver.kinds
        action = kinds.machine_of(op).action_in(op.state) if kinds.knows(op) else None
        return action is not None and action.asks_no_mint
