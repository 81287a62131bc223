"""Idempotency: one request becomes one operation, for any number of callers, repetitions and threads."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from attrs import define

from ...storage.errors import Conflict, Duplicate
from ...storage.port import Reader, Store
from ...storage.records import DedupRecord, Operation, Reason
from ..errors import InvalidArgument, MintError, Refused
from ..loop.drive import Happened, NotYet, Run
from ..loop.driver import Driver
from ..loop.evidence import Evidence
from ..ports import Clock
from ..recovery.recovery import Recovery
from ..settings import Settings
from . import new_operation
from .melt_request import MeltRequest
from .rejected import not_yet, quote_not_ours_reason
from .waiting import Waiting

LOOK_AGAIN = ("idempotency_key", "dedup", "operation_id", "token_id")
"""Unique keys that only a look can explain: this very request, or another one under its transaction id."""


@define(eq=False)
class Admission:
    """Recognises a request that was made before and starts the others. Unique keys of the store
    decide every race; looking first only makes the common case cheaper."""

    store: Store
    driver: Driver
    recovery: Recovery
    settings: Settings
    clock: Clock
    new_run: Callable[[Operation, str], Run]
    rng: Callable[[int], bytes]

    def melt(self, request: MeltRequest) -> Operation:
        """The melt this request means: an earlier one, or a new one. Its ``wait_s`` is there for all of it:
        for money that others hold, for reads of the mint that fail, and for the payment."""
        op = request.op
        waiting = Waiting(self.clock, self.settings, self.rng, self.clock.monotonic() + request.wait_s)
        by_id = request.named
        while True:
            with self.store.snapshot(new_operation.looked_up(op, by_id=by_id)) as seen:
                first, previous = self._known(seen, request, by_id=by_id)
                holder = None if first is not None else new_operation.claim_holder(seen, op)
            by_id = True  # an attempt that failed may be stored all the same
            if first is not None:
                return self._follow(op, first, waiting)
            try:
                if holder is not None:
                    self._take_over(holder, op)
                    new_operation.check_claim(self.store, self.driver.kinds, op)
                if request.invoice_expires_at <= self.clock.now():
                    raise InvalidArgument("the invoice has expired", code="INVOICE_EXPIRED")
                new_operation.check_sources(self.store, op)
                return self.driver.kinds.raise_if_refused(self._begin(op, previous, waiting))
            except NotYet:
                continue
            except Conflict as conflict:
                refused = new_operation.lost_race(self.store, op, conflict.entity)
            except Duplicate as duplicate:
                taken = self._explain(duplicate, op)
                if duplicate.key == "quote" and not self._is_claimed(op):
                    rejected = self.store_refused(op, quote_not_ours_reason())
                    if rejected is not None:
                        return self.driver.kinds.raise_if_refused(rejected)
                    taken = None
                waiting.collisions += 1
                if waiting.collisions >= self.settings.selection_tries_max:
                    raise (taken or duplicate) from None
                if taken is None:
                    continue
                refused = taken
            except Refused as error:
                if "operation_id" in error.details:
                    raise
                refused = error
            # The first call may have been this very request.
            first, _previous = self._known(self.store, request)
            if first is not None:
                return self._follow(op, first, waiting)
            if not self._again(op, refused, waiting):
                raise refused

    def melt_child(self, request: MeltRequest) -> Operation:
        """The melt that an action of another operation starts. A refusal that waiting does not change is
        stored: a second driver of the parent, which decides later and otherwise, finds the id taken. Of any
        other refusal, and of a mint that is silent, nothing is stored: the same child may start later."""
        op = request.op
        try:
            return self.melt(request)
        except Refused as error:
            if error.retryable or self.store.operation(op.id, op.npub) is not None:
                raise
            refused = error
        stored = self.store_refused(op, Reason(refused.code, refused.message)) or self.store.operation(
            op.id, op.npub
        )
        if stored is None:
            raise refused
        return stored

    def _take_over(self, holder: Operation, op: Operation) -> None:
        """An attempt of the same owner that the mint refused lets go of the invoice."""
        if holder.npub != op.npub or not self.driver.kinds.was_refused(holder):
            return
        run = self.recovery.open_run(holder, "caller")
        run.strict = True
        with contextlib.suppress(Conflict):  # its driver goes on with it: the claim tells how
            if self.driver.take(run, Happened("new_attempt")):
                self.driver.commit(run)

    def _again(self, op: Operation, refused: Refused, waiting: Waiting) -> bool:
        """Whether what was refused may be decided otherwise now; if so, some time has passed."""
        if refused.code == "FUNDS_RESERVED":
            return waiting.pause()
        if refused.code == "PAYMENT_ALREADY_CLAIMED":
            new_operation.check_claim(self.store, self.driver.kinds, op)  # says by whom
            return waiting.lost_race()
        if refused.code == "CONCURRENT_OPERATION":
            new_operation.check_sources(self.store, op)  # if they were named: says who holds them
            return waiting.lost_race()
        return False

    def once(
        self, op: Operation, begin: Callable[[Run], Happened], wait: float, claim: str | None = None
    ) -> Operation:
        """A funding, deposit, swap or receive: by key, or by the ``claim`` on what is handed in, the earlier
        operation, else a new one begun by ``begin(run)``. Coins that another operation took between the
        choice and the commit are chosen anew. ``wait`` seconds are there for all of it: for money that others
        hold, for reads of the mint that fail, and for the operation."""
        waiting = Waiting(self.clock, self.settings, self.rng, self.clock.monotonic() + wait)
        while True:
            found = new_operation.by_key(self.store, op)
            if found is None and claim is not None:
                found = new_operation.by_claim(self.store, op, claim)
            if found is not None:
                return self.recovery.follow(found, waiting.left)
            new_operation.check_id_free(self.store, op)
            run = self.new_run(op, "caller")
            try:
                self.driver.take(run, begin(run))
                return self.driver.drive(run, waiting.left)
            except MintError as error:
                if run.draft.stored or not (error.retryable and waiting.read_failed()):
                    raise
                continue
            except Conflict as conflict:
                refused = new_operation.lost_race(self.store, op, conflict.entity)
            except Refused as error:
                if self._made_meanwhile(op, claim) or self._is_free_later(error, op, waiting):
                    continue  # the faster call was this very request; or some time has passed
                raise
            except Duplicate as duplicate:
                if duplicate.key == "claim" and claim is not None:
                    continue
                if duplicate.key == "proof":
                    raise Refused(
                        "the store already holds a proof of this token", code="DUPLICATE_PROOF"
                    ) from None
                taken = self._explain(duplicate, op)
                rejected = None if taken is None else self.store_refused(op, quote_not_ours_reason())
                if rejected is not None:
                    return rejected
                refused = new_operation.concurrent({})
            waiting.collisions += 1
            if waiting.collisions >= self.settings.selection_tries_max:
                raise refused

    def _is_free_later(self, refused: Refused, op: Operation, waiting: Waiting) -> bool:
        """Whether coins that others hold may be free by now: some time has passed."""
        if refused.code == "FUNDS_RESERVED":
            return waiting.pause()
        taken = refused.code == "CONCURRENT_OPERATION" and not op.policy.sources
        return taken and waiting.lost_race()

    def _made_meanwhile(self, op: Operation, claim: str | None) -> bool:
        """Whether another call has stored this very request, or claims what it hands in."""
        if new_operation.by_key(self.store, op) is not None:
            return True
        return claim is not None and self.store.operation_by_claim(claim) is not None

    def _follow(self, op: Operation, first: Operation, waiting: Waiting) -> Operation:
        if self.driver.kinds.waits_for_confirmation(first) and not op.policy.two_step:
            raise Refused(
                "this payment is prepared already and waits for confirm or cancel",
                code="WAITS_FOR_CALLER",
                prepared=first.id,
            )
        return self.recovery.follow(first, 0 if op.policy.two_step else waiting.left)

    def _known(
        self, seen: Reader, request: MeltRequest, *, by_id: bool = True
    ) -> tuple[Operation | None, DedupRecord | None]:
        """An earlier operation that this request means: by key, by its transaction id, or inside the
        duplicate window. An id that was drawn just now is not looked for: it is no earlier request's, and the
        store's own keys decide."""
        op, on_duplicate = request.op, request.on_duplicate
        found = new_operation.by_key(seen, op)
        if found is None and by_id:
            found = new_operation.by_id(seen, op)
            if found is not None and on_duplicate == "error":
                raise new_operation.taken_id(op)
        if found is not None:
            return found, None
        now = self.clock.now()
        first, previous = new_operation.duplicate_of(seen, self.driver.kinds, op, now)
        if first is None or op.idempotency is not None:
            return None, previous
        if on_duplicate == "error":
            raise Refused(
                "the same request was made before",
                code="DUPLICATE_OPERATION",
                first_operation=first.id,
                age_s=round((now - first.created_at) / 1000, 3),
            )
        return first, None

    def _explain(self, duplicate: Duplicate, op: Operation) -> Refused | None:
        """A unique key was taken between our look and our commit: who has it, or None to look again."""
        if duplicate.key in LOOK_AGAIN:
            return None
        if duplicate.key in ("claim", "quote"):
            return new_operation.claimed(self.store, self.driver.kinds, op)
        raise duplicate

    def _is_claimed(self, op: Operation) -> bool:
        """Whether an operation claims the invoice of this melt."""
        return op.payment_hash is not None and self.store.operation_by_claim(op.payment_hash) is not None

    def store_refused(self, op: Operation, reason: Reason) -> Operation | None:
        """The operation, stored as rejected for this reason: its id is taken for good, so no other worker
        starts it any more. None when a request with its key or id was stored meanwhile."""
        run = self.new_run(op, "caller")
        self.driver.take(run, Happened("request"))
        self.driver.take(run, Happened("quote_refused", Evidence(reason=reason)))
        try:
            self.driver.commit(run)
        except Duplicate:
            return None
        return run.operation

    def _begin(self, op: Operation, previous: DedupRecord | None, waiting: Waiting) -> Operation:
        run = self.new_run(op, "caller")
        run.quoted = waiting.quoted
        try:
            self.driver.take(run, Happened("request"))
            new_operation.take_dedup(run.draft, previous, self.settings, self.clock.now())
            return self.driver.drive(run, waiting.left)
        except NotYet as silent:
            if waiting.read_failed():
                raise
            if op.parent_id is not None:  # nothing is stored of a child that may still start
                raise not_yet(silent.happened.evidence.reason) from None
            # it is told and stored as rejected, but burns no key: nothing was at stake
            run.draft.set(idempotency=None)
            self.driver.take(run, silent.happened)
            return self.driver.drive(run, 0)
        finally:
            waiting.quoted = run.quoted
