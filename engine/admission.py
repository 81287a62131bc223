"""Admission: one request becomes one operation, whoever asks, however often, and at the same time."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define

from ..machines.registry import latest
from ..storage.errors import Conflict, Duplicate
from ..storage.port import Store, TokenQuery
from ..storage.records import DedupRecord, Operation
from . import requests
from .draft import Draft
from .driver import Driver
from .errors import InvalidArgument, Refused
from .evidence import Evidence
from .outcome import quote_not_ours_reason, raise_if_rejected
from .ports import Clock
from .recovery import Recovery
from .run import Happened, Run
from .settings import Settings
from .token_ids import derived_ids


@define(eq=False)
class Admission:
    """Recognises a request that was made before and starts the others. Unique keys of the store
    decide every race; what is found by looking first only makes the common case cheaper."""

    store: Store
    driver: Driver
    recovery: Recovery
    settings: Settings
    clock: Clock
    new_run: Callable[[Draft], Run]

    def melt(self, op: Operation, invoice_expires_at: int, on_duplicate: str, wait: float) -> Operation:
        """The melt this request means: an earlier one, or a new one driven for ``wait`` seconds."""
        taken: str | None = None
        for _ in range(self.settings.selection_tries_max):
            first, previous = self._known(op, on_duplicate)
            if first is not None:
                return self._follow(op, first, wait)
            try:
                requests.check_claim(self.store, op)
                if invoice_expires_at <= self.clock.now():
                    raise InvalidArgument("the invoice has expired", code="INVOICE_EXPIRED")
                requests.check_sources(self.store, op)
                return raise_if_rejected(self._begin(op, previous, wait))
            except Conflict as conflict:
                taken = conflict.entity
                stored = self.store.operation(op.id)
                if stored is not None and stored.operation_hash != op.operation_hash:
                    self._new_id(op)
                if stored is not None:
                    return self._follow(op, stored, wait)
                continue  # a chosen token was taken meanwhile: choose again
            except Duplicate as duplicate:
                refused = self._explain(duplicate, op)
                if duplicate.key == "quote" and refused is not None and refused.details["holder"] is None:
                    rejected = self._not_ours(op)
                    if rejected is not None:
                        return raise_if_rejected(rejected)
            except Refused as error:
                if "operation_id" in error.details:
                    raise
                refused = error
            # Whoever was first may have been this very request.
            first, _previous = self._known(op, on_duplicate)
            if first is not None:
                return self._follow(op, first, wait)
            if refused is None:
                continue
            if refused.code == "CONCURRENT_OPERATION" and op.policy.sources:
                requests.check_sources(self.store, op)  # names who holds them
                continue  # they are free again
            raise refused
        requests.check_sources(self.store, op)
        raise requests.lost_race(self.store, taken)

    def once(self, op: Operation, begin: Callable[[], Happened], wait: float) -> Operation:
        """A mint or deposit: by key the earlier operation, else a new one begun by ``begin()``."""
        for _ in range(self.settings.commit_tries_max):
            found = requests.by_key(self.store, op)
            if found is not None:
                return self.recovery.follow(found, wait)
            self._new_id(op)
            event = begin()
            run = self.new_run(Draft(latest(op.kind), op, stored=False, actor="caller"))
            try:
                self.driver.take(run, event)
                return self.driver.drive(run, wait)
            except Duplicate as duplicate:
                if duplicate.key == "proof":
                    raise Refused(
                        "the store already holds a proof of this token", code="DUPLICATE_PROOF"
                    ) from None
                rejected = None if self._explain(duplicate, op) is None else self._not_ours(op)
                if rejected is not None:
                    return rejected
        raise Refused("another request with this key is being stored", code="CONCURRENT_OPERATION")

    def _follow(self, op: Operation, first: Operation, wait: float) -> Operation:
        if first.state == "prepared" and first.policy.two_step and not op.policy.two_step:
            raise Refused(
                "this payment is prepared and waits to be confirmed",
                code="WAITS_FOR_CALLER",
                prepared=first.id,
            )
        return self.recovery.follow(first, wait)

    def _new_id(self, op: Operation) -> None:
        taken = self.store.operation(op.id) is not None or self.store.tokens(
            TokenQuery(ids=derived_ids(op.id), limit=len(derived_ids(op.id)))
        )
        if taken:
            raise InvalidArgument("the transaction id exists", code="DUPLICATE_TRANSACTION_ID", id=op.id)

    def _known(self, op: Operation, on_duplicate: str) -> tuple[Operation | None, DedupRecord | None]:
        """An earlier operation that this request means, by key or inside the duplicate window."""
        found = requests.by_key(self.store, op)
        if found is not None:
            return found, None
        self._new_id(op)
        now = self.clock.now()
        first, previous = requests.duplicate_of(self.store, op, now)
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
        if duplicate.key in ("idempotency_key", "dedup", "operation_id"):
            return None
        if duplicate.key in ("claim", "quote"):
            holder = self.store.operation_by_claim(op.payment_hash or "")
            return requests.claimed(holder.id if holder else None)
        raise duplicate

    def _not_ours(self, op: Operation) -> Operation | None:
        """The operation, stored as rejected: another one has the quote that the mint answered with. None
        when a request with its key or id was stored meanwhile."""
        run = self.new_run(Draft(latest(op.kind), op, stored=False, actor="caller"))
        self.driver.take(run, Happened("request"))
        self.driver.take(run, Happened("quote_refused", Evidence(reason=quote_not_ours_reason())))
        try:
            self.driver.commit(run)
        except Duplicate:
            return None
        return run.operation

    def _begin(self, op: Operation, previous: DedupRecord | None, wait: float) -> Operation:
        run = self.new_run(Draft(latest(op.kind), op, stored=False, actor="caller"))
        self.driver.take(run, Happened("request"))
        requests.take_dedup(run.draft, previous, self.settings, self.clock.now())
        return self.driver.drive(run, wait)
