"""One more look at a funding that ended unpaid. Nothing leaves a final state, so what was paid after all goes
on as a new operation with the same quote."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from attrs import define

from ....machines.mint.table import MINT
from ....storage.errors import Duplicate
from ....storage.port import OperationQuery, Reader, Store
from ....storage.records import Operation
from ...admission import new_operation
from ...admission.rejected import quote_not_ours
from ...cashu.answers import reason_of
from ...cashu.port import Failure, MintPort, MintQuote
from ...errors import MintError, Refused
from ...loop.drive import Happened, Run
from ...loop.driver import Driver
from ...loop.evidence import Evidence
from ...ports import Clock
from ...recovery.recovery import Recovery


def follow_ups(store: Reader, op: Operation) -> tuple[Operation, ...]:
    """The operations that went on from a funding that ended unpaid, newest first."""
    if op.kind != "mint":
        return ()
    return tuple(store.operations(OperationQuery(parent_id=_root(op), kind="mint", limit=100)))


def can_look_again(op: Operation) -> bool:
    """Whether it is a funding whose watch ended unpaid: a payment since then goes on as a new operation."""
    return op.kind == "mint" and op.state == "expired"


def _root(op: Operation) -> str:
    """All follow-ups of one funding name the first operation, so that each of them finds the others."""
    return op.parent_id or op.id


@define(eq=False)
class FollowUps:
    """Looks at an expired funding once more. The unique key on quotes decides every race."""

    store: Store
    driver: Driver
    recovery: Recovery
    clock: Clock
    mint: MintPort
    new_run: Callable[[Operation, str], Run]

    def look_again(self, expired: Operation, said: Evidence, wait: float) -> Operation:
        """The operation that goes on with a paid quote, driven for ``wait`` seconds: a new one, or that of an
        earlier look. ``said`` is who wants it and why.

        Codes: NOT_PROVEN_PAID (the mint says something else than PAID; nothing is written), MINT_* (it did
        not answer; nothing is written), QUOTE_NOT_OURS (an unrelated operation has the quote)."""
        going_on = self._going_on(expired)
        if going_on is not None:
            return self.recovery.follow(going_on, wait)
        answer = self._asked(expired)
        run = self.new_run(self._new(expired), "operator")
        event = Happened("look_again", attrs.evolve(said, mint_quote=answer))
        decision = run.decide(event.event, event.evidence)
        if not decision.accepted:
            raise Refused(
                f"the mint says {answer.state} of this invoice, so there is nothing to issue; nothing was "
                "written. Ask again when it has been paid.",
                code=decision.refusals[0].code,
                operation_id=expired.id,
                quote_state=answer.state,
            )
        try:
            self.driver.take(run, event)
            return self.driver.drive(run, wait)
        except Duplicate as duplicate:
            if duplicate.key != "quote":
                raise
            going_on = self._going_on(expired)
            if going_on is None:
                raise quote_not_ours() from None
            return self.recovery.follow(going_on, wait)

    def _going_on(self, expired: Operation) -> Operation | None:
        for op in follow_ups(self.store, expired):
            if op.ends != "unpaid":
                return op
        return None

    def _asked(self, expired: Operation) -> MintQuote:
        assert expired.quote is not None
        answer = self.mint.mint_quote_state(expired.mint_url, expired.quote.id)
        if not isinstance(answer, Failure):
            return answer
        reason = reason_of(answer, "the mint was asked about the invoice")
        error = MintError(reason.message, code=reason.code, operation_id=expired.id)
        error.retryable = reason.retryable
        raise error

    def _new(self, expired: Operation) -> Operation:
        op = new_operation.new_operation(
            self.driver.kinds.named(MINT.name).latest,
            now=self.clock.now(),
            npub=expired.npub,
            mint_url=expired.mint_url,
            unit=expired.unit,
            amount=expired.amount,
            wallet_id=expired.wallet_id,
        )
        return attrs.evolve(op, quote=expired.quote, parent_id=_root(expired))
