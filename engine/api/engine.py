"""The public engine, for wallet services."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from ...storage.errors import page_of
from ...storage.port import OperationQuery
from .. import arguments
from ..loop.evidence import Evidence
from ..operations.mint.follow_up import can_look_again
from ..recovery.command import operator_says
from ..recovery.numbers import RecoveryNumbers
from ..recovery.sweep import FAR_FUTURE, Sweep
from ..tokens.coins import balance_of
from .audit import Audits
from .checks import Checks
from .handle import Balance, Handle, Recovered
from .own import OwnKinds
from .receives import Receives
from .recording import Recordings
from .reports import Reports
from .stranded import Stranded
from .swaps import Swaps

WORKERS_MAX = 64


class Engine(OwnKinds, Swaps, Receives, Recordings, Checks, Stranded, Audits, Reports):
    """Decides, stores and finishes operations of Cashu wallets. Safe to share between threads.

    ``store`` is an open :class:`~nutstate.Store`, ``mint`` a mint port (HTTP by default). The engine
    closes neither; ``audit_key`` is needed to purge audit records, ``mint_allowed`` says of the address in a
    token whether its mint may be asked. Every method raises
    :class:`Refused`, :class:`MintError` or :class:`StorageError`, each with a stable ``code``.
    """

    # -- reading ---------------------------------------------------------------------------------

    def operations(
        self,
        npub: str | None = None,
        *,
        kind: str | None = None,
        mint_url: str | None = None,
        states: Sequence[str] = (),
        limit: int = 100,
    ) -> tuple[Handle, ...]:
        """Stored operations, newest first. Codes INVALID_CHOICE, INVALID_LIMIT, INVALID_NPUB,
        INVALID_MINT_URL."""
        if kind is not None:
            arguments.choice(kind, "kind", self.kinds.names)
        arguments.limit(limit)
        query = OperationQuery(
            npub=None if npub is None else arguments.npub(npub),
            kind=kind,
            mint_url=None if mint_url is None else arguments.mint_url(mint_url),
            states=tuple(
                arguments.choice(state, "state", self.kinds.states)
                for state in arguments.words(states, "states")
            ),
            limit=limit,
        )
        page = self.kinds.readable(page_of(lambda: self.store.operations(query), lambda op: op.id))
        for error in page.unreadable:
            self._driver.log.unreadable(error)
        return tuple(Handle(self, op) for op in page.records)

    def open_operations(self, *, limit: int = 10_000) -> tuple[Handle, ...]:
        """The operations that :meth:`recover` looks after, the longest overdue first. A discrepancy that
        waits for ``resolve`` is left out. Code INVALID_LIMIT."""
        arguments.limit(limit)
        read = page_of(lambda: self.store.live_operations(FAR_FUTURE, limit), lambda op: op.id)
        page = self.kinds.readable(read)
        for error in page.unreadable:
            self._driver.log.unreadable(error)
        return tuple(Handle(self, op) for op in page.records)

    def balance(
        self, npub: str, mint_url: str | None = None, *, ask_mints: bool = False, spent: bool = True
    ) -> Balance:
        """Returns the value by state, per mint and unit, read at one moment.

        Unspent coins of keysets that their mint no longer honours (not listed any more, final expiry over)
        count as ``stranded``. By default no mint is asked: this engine's memory of the mints' lists
        counts. With ``ask_mints`` the mints are asked; one that does not answer changes nothing.
        ``spent=False`` leaves out what is spent or failed: it costs the same however long the past of the
        wallet is; :meth:`Balance.legacy` needs the past."""
        owner = arguments.npub(npub)
        url = None if mint_url is None else arguments.mint_url(mint_url)
        return Balance(balance_of(self.store, self._keysets, owner, url, ask_mints, spent))

    # -- going on --------------------------------------------------------------------------------

    def recover(
        self,
        *,
        wait_s: float = 0,
        force: bool = False,
        workers: int = 1,
        progress: Callable[[RecoveryNumbers], None] | None = None,
        stopping: threading.Event | None = None,
    ) -> Recovered:
        """Go on with every open operation whose driver died or whose next look is due, and with every one
        that becomes due within ``wait_s``. Returns the first of them as they are afterwards, and the numbers
        of all.

        ``force`` asks at once about the others too, whose next look is later. An operation that a living
        worker drives is left to it in both cases. Each operation is waited for up to ``wait_s``
        seconds. ``workers`` threads drive them, at most ``settings.mint_calls_at_once`` of one mint at a
        time; running it twice, or in two processes, is harmless and shares the work. ``progress`` gets the
        numbers so far, in the caller's thread. Once ``stopping`` is set, or at a KeyboardInterrupt,
        operations that were begun end their step and the others stay; then the event is set. Documents that
        do not decode are left out, logged and named in ``unreadable``. Codes INVALID_DURATION,
        INVALID_LIMIT. `nutstate recover` means the same (R306)."""
        sweep = Sweep(
            self._recovery,
            self._heard,
            arguments.seconds(wait_s, "wait_s"),
            force,
            arguments.limit(workers, "workers", WORKERS_MAX),
            progress,
            stopping or threading.Event(),
        )
        swept = sweep.run()
        found = Recovered(Handle(self, op) for op in swept.operations)
        found.numbers, found.first_due_at = swept.numbers, swept.first_due_at
        found.others = tuple(Handle(self, op) for op in swept.others)
        found.open_ids, found.parked_ids = tuple(swept.open_ids), tuple(swept.parked_ids)
        found.failed_ids, found.unreadable = tuple(swept.failed_ids), tuple(swept.unreadable)
        return found

    def cancel(
        self,
        operation_id: str,
        reason: str | None = None,
        *,
        operator: str | None = None,
        npub: str | None = None,
    ) -> Handle:
        """Stop an operation before its request is sent. Cancelling again is harmless. A ``reason`` makes it
        an operator's decision; the audit record keeps the reason and ``operator``, the name. Codes:
        NOT_FOUND, ALREADY_SENT, CHILD_RUNNING, ALREADY_FINAL, OPERATOR_REASON_MISSING, INVALID_OPERATOR."""
        by_operator = reason is not None or operator is not None
        said = operator_says(reason, operator) if by_operator else Evidence()
        return Handle(self, self._outside.apply(self._bound(operation_id, npub), "cancel", said))

    def resume(
        self,
        operation_id: str,
        reason: str,
        wait_s: float | None = None,
        *,
        operator: str | None = None,
        npub: str | None = None,
    ) -> Handle:
        """Send a parked operation back to work, or look at a waiting funding now. The audit record keeps the
        reason and ``operator``, the name.

        A funding that ended ``expired`` is asked about once more. When the mint says PAID, a follow-up
        operation (``record.parent_id`` names the first one) issues the proofs; its handle is returned, and
        the same one when asked again. Codes: NOT_FOUND, OPERATOR_REASON_MISSING, INVALID_OPERATOR,
        UNDEFINED_TRANSITION, NOT_PROVEN_PAID, QUOTE_NOT_OURS and MINT_* (expired: nothing is written)."""
        said, wait = operator_says(reason, operator), self._wait(wait_s)
        op = self._bound(operation_id, npub)
        stored = self._stored(op)
        if can_look_again(stored):
            return self._handle(self._follow_ups.look_again(stored, said, wait))
        return self._follow(self._outside.apply(op, "resume", said), wait)

    def write_off(
        self,
        operation_id: str,
        reason: str,
        *,
        force: bool = False,
        operator: str | None = None,
        npub: str | None = None,
    ) -> Handle:
        """Give the rest of a parked operation up as lost; the loss is recorded. This also ends a
        watch whose window is over and in which the mint does not tell the fate of a fence.

        The mint is asked a last time, and found value is kept: a fence or issued proofs end the
        operation well, change that opens is stored, inputs that a dead request left are freed. A mint
        that does not answer is MINT_UNREACHABLE (retryable) unless ``force``: then the inputs become
        ``stranded``, as do those of a payment in flight and those that the mint calls UNSPENT; only SPENT
        inputs are lost. The audit record keeps the reason, and ``operator`` if named, for every result.
        Codes: NOT_FOUND, OPERATOR_REASON_MISSING, INVALID_OPERATOR, PAYMENT_IN_FLIGHT, MINT_UNREACHABLE,
        UNDEFINED_TRANSITION."""
        return self._follow(
            self._outside.apply(
                self._bound(operation_id, npub), "write_off", operator_says(reason, operator), force=force
            ),
            0,
        )

    def release(
        self, operation_id: str, reason: str, *, operator: str | None = None, npub: str | None = None
    ) -> Handle:
        """Free the inputs of a parked melt, because the mint says now that the quote is UNPAID and every
        input UNSPENT. Trusting it is the operator's risk: no fence stands behind it, and the quote is watched
        for watch_window_h. The audit record keeps the reason and ``operator``, the name. Codes: NOT_FOUND,
        OPERATOR_REASON_MISSING, INVALID_OPERATOR, NOT_PROVEN_UNPAID, MINT_UNREACHABLE,
        UNDEFINED_TRANSITION."""
        return self._follow(
            self._outside.apply(self._bound(operation_id, npub), "release", operator_says(reason, operator)),
            0,
        )

    def resolve(
        self, operation_id: str, reason: str, *, operator: str | None = None, npub: str | None = None
    ) -> Handle:
        """Declare a discrepancy settled. The audit record keeps the reason and ``operator``, the name. Codes:
        NOT_FOUND, OPERATOR_REASON_MISSING, INVALID_OPERATOR, UNDEFINED_TRANSITION."""
        return Handle(
            self,
            self._outside.apply(self._bound(operation_id, npub), "resolve", operator_says(reason, operator)),
        )
