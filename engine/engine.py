"""The public engine: what a wallet service calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..machines.registry import names
from ..storage.port import OperationQuery
from . import arguments
from .audited import Audits
from .checked import Checks
from .errors import InvalidArgument
from .evidence import Evidence
from .handle import Balance, Handle
from .payments import Payments
from .recording import Recordings
from .reports import Reports


class Engine(Payments, Recordings, Checks, Audits, Reports):
    """Decides, stores and finishes operations of Cashu wallets. Safe to share between threads.

    ``store`` is an open :class:`~nutstate.Store`, ``mint`` a mint port (HTTP by default). The engine
    closes neither; ``audit_key`` is needed to purge audit records. Every method raises
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
        """Stored operations, newest first."""
        if kind is not None:
            arguments.choice(kind, "kind", names())
        if type(limit) is not int or not 1 <= limit <= 10_000:
            raise InvalidArgument("limit must be a whole number from 1 to 10000", code="INVALID_LIMIT")
        query = OperationQuery(
            npub=None if npub is None else arguments.npub(npub),
            kind=kind,
            mint_url=None if mint_url is None else arguments.mint_url(mint_url),
            states=arguments.words(states, "states"),
            limit=limit,
        )
        return tuple(Handle(self, op) for op in self.store.operations(query))

    def balance(self, npub: str, mint_url: str | None = None) -> Balance:
        """Value by state, per mint and unit, read at one moment."""
        owner = arguments.npub(npub)
        url = None if mint_url is None else arguments.mint_url(mint_url)
        wallets: dict[tuple[str, str], dict[str, int]] = {}
        for held in self.store.balance(owner, url):
            states = wallets.setdefault((held.mint_url, held.unit), {})
            states[held.state] = states.get(held.state, 0) + held.amount
        return Balance(wallets)

    # -- going on --------------------------------------------------------------------------------

    def recover(
        self, *, wait_s: float = 0, force: bool = False, progress: Callable[[int, int], None] | None = None
    ) -> tuple[Handle, ...]:
        """Go on with every open operation whose time has come or whose driver died; with ``force``
        with every open one. ``progress(done, total)`` is called after each. Running it twice, or in
        two processes, is harmless."""
        ended = self._recovery.sweep(arguments.seconds(wait_s, "wait_s"), force, progress)
        return tuple(Handle(self, op) for op in ended)

    def cancel(self, operation_id: str) -> Handle:
        """Stop an operation nothing was sent for. Cancelling again is harmless.
        Codes: NOT_FOUND, ALREADY_SENT, CHILD_RUNNING, ALREADY_FINAL."""
        return Handle(self, self._outside.apply(operation_id, "cancel", Evidence()))

    def resume(self, operation_id: str, reason: str, wait_s: float | None = None) -> Handle:
        """A parked operation goes back to work, and a funding that is waited for is looked at now.

        A funding that ended ``expired`` is asked about once more, by whoever holds its id: when the mint says
        PAID, a follow-up operation (``record.parent_id`` names the first one) issues what was paid, and its
        handle is returned; asked again, the same one is. Codes: NOT_FOUND, OPERATOR_REASON_MISSING,
        UNDEFINED_TRANSITION, NOT_PROVEN_PAID and MINT_* (expired: nothing is written)."""
        said, wait = arguments.reason(reason), self._wait(wait_s)
        op = self._stored(operation_id)
        if op.kind == "mint" and op.state == "expired":
            return self._handle(self._follow_ups.look_again(op, said, wait))
        return self._follow(self._outside.apply(operation_id, "resume", Evidence(operator_reason=said)), wait)

    def write_off(self, operation_id: str, reason: str, *, force: bool = False) -> Handle:
        """An operator gives the rest of a parked operation up as lost; the loss is recorded. A watch whose
        window is over, and in which nobody says what became of a fence, ends too.

        The mint is asked a last time, and what turns up is kept: a fence or issued proofs end the
        operation well, change that opens is stored, inputs that a dead request left are freed. A mint
        that does not answer is MINT_UNREACHABLE (retryable) unless ``force``: then everything is given up
        unasked. Codes: NOT_FOUND, OPERATOR_REASON_MISSING, PAYMENT_IN_FLIGHT, UNDEFINED_TRANSITION."""
        op = self._outside.write_off(operation_id, arguments.reason(reason), force)
        return self._follow(op, 0)

    def release(self, operation_id: str, reason: str) -> Handle:
        """An operator frees the inputs of a parked melt, because the mint says now that the quote is
        UNPAID and every input UNSPENT. Trusting it is the operator's risk: no fence stands behind it, and
        the quote is watched for watch_window_h. Codes: NOT_FOUND, OPERATOR_REASON_MISSING,
        NOT_PROVEN_UNPAID, MINT_UNREACHABLE, UNDEFINED_TRANSITION."""
        return self._follow(self._outside.release(operation_id, arguments.reason(reason)), 0)

    def resolve(self, operation_id: str, reason: str) -> Handle:
        """An operator declares a discrepancy settled."""
        said = Evidence(operator_reason=arguments.reason(reason))
        return Handle(self, self._outside.apply(operation_id, "resolve", said))
