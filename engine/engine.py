"""The public engine: what a wallet service calls."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any

from ..machines.melt import ENDED_UNPAID
from ..machines.registry import names
from ..storage.port import OperationQuery, Store
from ..storage.records import Operation, Policy, Proof
from . import arguments, requests
from .admission import Admission
from .deposits import check_deposit, parse_token
from .draft import Draft
from .driver import Driver, Observer
from .errors import InvalidArgument, NotFound, Refused
from .evidence import Evidence
from .handle import Balance, Handle
from .keysets import Keysets
from .log import Log
from .mint.http import HttpMint
from .mint.port import MintPort
from .outcome import raise_if_rejected
from .outside import Outside
from .ports import Clock, Faults, NoFaults, SystemClock, Worker
from .recovery import Recovery
from .reports import Reports
from .run import Happened, Run
from .settings import Settings

ON_DUPLICATE = ("return", "error")
ON_UNPAID = ("fence", "retry_then_fence", "trust")


class Engine(Reports):
    """Decides, stores and finishes operations of Cashu wallets. Safe to share between threads.

    ``store`` is an open :class:`~nutstate.Store`, ``mint`` a mint port (HTTP by default). The engine
    closes neither. Every method raises :class:`Refused`, :class:`MintError` or
    :class:`StorageError`, each with a stable ``code``.
    """

    def __init__(
        self,
        store: Store,
        mint: MintPort | None = None,
        *,
        settings: Settings | None = None,
        clock: Clock | None = None,
        observer: Observer | None = None,
        logger: Any = None,
        faults: Faults | None = None,
        rng: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.store = store
        self._own_mint: HttpMint | None = None
        if mint is None:
            mint = self._own_mint = HttpMint()
        self.mint: MintPort = mint
        self.settings = settings or Settings()
        self.clock = clock or SystemClock()
        self._rng = rng
        self._keysets = Keysets(self.mint, self.clock)
        self._driver = Driver(
            store, self.settings, self.clock, Worker(), faults or NoFaults(), Log(logger), observer
        )
        self._recovery = Recovery(store, self._driver, self.settings, self.clock, self._open)
        self._outside = Outside(self._driver, self.settings, self._stored, self._open)
        self._admission = Admission(store, self._driver, self._recovery, self.settings, self.clock, self._run)

    def close(self) -> None:
        """Close the HTTP client if the engine made it."""
        if self._own_mint is not None:
            self._own_mint.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- melt ------------------------------------------------------------------------------------

    def melt(
        self,
        *,
        npub: str,
        mint_url: str,
        invoice: str,
        unit: str = "sat",
        wallet_id: str | None = None,
        sources: Iterable[str] | None = None,
        transaction_id: str | None = None,
        idempotency_key: str | None = None,
        on_duplicate: str = "return",
        on_unpaid: str | None = None,
        wait_s: float | None = None,
    ) -> Handle:
        """Pay a BOLT-11 invoice with ecash and store the change.

        Returns the operation when it has ended, parked, or ``wait_s`` (60 s) is over; then it is still
        live and :meth:`recover` or the same call goes on with it. The same request inside the
        duplicate window, or the same ``idempotency_key`` at any time, returns the first operation.

        Codes: INVALID_*, INVOICE_EXPIRED, INVOICE_WITHOUT_AMOUNT, IDEMPOTENCY_KEY_REUSED,
        DUPLICATE_OPERATION, DUPLICATE_TRANSACTION_ID, PAYMENT_ALREADY_CLAIMED, TOKEN_NOT_FOUND,
        OWNER_MISMATCH, MINT_OR_UNIT_MISMATCH, CONCURRENT_OPERATION (nothing written);
        INSUFFICIENT_BALANCE, PROOF_STATE_INCONSISTENCY, QUOTE_*, MINT_* (operation stored as rejected).
        """
        return self._melt(
            False, npub, mint_url, invoice, unit, wallet_id, sources, transaction_id, idempotency_key,
            on_duplicate, on_unpaid, wait_s,
        )  # fmt: skip

    def prepare_melt(
        self,
        *,
        npub: str,
        mint_url: str,
        invoice: str,
        unit: str = "sat",
        wallet_id: str | None = None,
        sources: Iterable[str] | None = None,
        transaction_id: str | None = None,
        idempotency_key: str | None = None,
        on_duplicate: str = "return",
        on_unpaid: str | None = None,
    ) -> Handle:
        """The first of two steps: quote, choose and reserve, but send nothing. The plan's
        ``fee_reserve`` and ``inputs`` say what it may cost; :meth:`confirm` pays, :meth:`cancel` frees."""
        return self._melt(
            True, npub, mint_url, invoice, unit, wallet_id, sources, transaction_id, idempotency_key,
            on_duplicate, on_unpaid, 0.0,
        )  # fmt: skip

    def confirm(self, operation_id: str, wait_s: float | None = None) -> Handle:
        """Pay a prepared melt. Confirming again returns the operation as it is.
        Codes: NOT_FOUND, QUOTE_EXPIRED (nothing was sent), ALREADY_FINAL."""
        op = self._stored(operation_id)
        if op.state in ENDED_UNPAID:
            raise Refused(
                f"the operation is {op.state}", code="ALREADY_FINAL", operation_id=op.id, state=op.state
            )
        return self._handle(self._recovery.follow(op, self._wait(wait_s), confirmed=True))

    def _melt(
        self,
        two_step: bool,
        npub: str,
        mint_url: str,
        invoice: str,
        unit: str,
        wallet_id: str | None,
        sources: Iterable[str] | None,
        transaction_id: str | None,
        idempotency_key: str | None,
        on_duplicate: str,
        on_unpaid: str | None,
        wait_s: float | None,
    ) -> Handle:
        limit = self.settings.proofs_per_operation_max
        owner, url, unit = arguments.npub(npub), arguments.mint_url(mint_url), arguments.unit(unit)
        request, decoded, amount = arguments.invoice(invoice, unit)
        arguments.choice(on_duplicate, "on_duplicate", ON_DUPLICATE)
        chosen = self.settings.on_unpaid if on_unpaid is None else on_unpaid
        unpaid = arguments.choice(chosen, "on_unpaid", ON_UNPAID)
        wait = self._wait(wait_s)
        op = requests.new_operation(
            "melt",
            now=self.clock.now(),
            npub=owner,
            mint_url=url,
            unit=unit,
            amount=arguments.amount(amount, self.settings.amount_max),
            wallet_id=wallet_id,
            transaction_id=transaction_id,
            idempotency_key=idempotency_key,
            policy=Policy(two_step, unpaid, arguments.source_ids(sources, limit)),
            request=request,
            payment_hash=decoded.payment_hash,
        )
        return self._handle(self._admission.melt(op, decoded.expires_at, on_duplicate, wait))

    # -- funding ---------------------------------------------------------------------------------

    def mint_tokens(
        self,
        *,
        npub: str,
        mint_url: str,
        amount: int,
        unit: str = "sat",
        wallet_id: str | None = None,
        transaction_id: str | None = None,
        idempotency_key: str | None = None,
        wait_s: float | None = None,
    ) -> Handle:
        """Ask the mint for an invoice and, once somebody paid it, store the issued proofs.

        Returns after ``wait_s`` at the latest; while the state is ``quoted``, ``handle.invoice`` is
        what must be paid. Codes: INVALID_*, IDEMPOTENCY_KEY_REUSED, DUPLICATE_TRANSACTION_ID, MINT_*.
        """
        op = requests.new_operation(
            "mint",
            now=self.clock.now(),
            npub=arguments.npub(npub),
            mint_url=arguments.mint_url(mint_url),
            unit=arguments.unit(unit),
            amount=arguments.amount(amount, self.settings.amount_max),
            wallet_id=wallet_id,
            transaction_id=transaction_id,
            idempotency_key=idempotency_key,
        )
        wait = self._wait(wait_s)
        return self._handle(self._admission.once(op, lambda: Happened("request"), wait))

    def deposit(
        self,
        *,
        npub: str,
        token: str | None = None,
        proofs: Sequence[Proof] | None = None,
        mint_url: str | None = None,
        unit: str = "sat",
        wallet_id: str | None = None,
        transaction_id: str | None = None,
        idempotency_key: str | None = None,
        allow_unverified: bool = False,
    ) -> Handle:
        """Store existing proofs, given as a ``cashuA``/``cashuB`` token or as proofs of ``mint_url``.

        Only proofs are taken whose DLEQ (NUT-12, with r) shows that the mint signed them, that are not
        locked (NUT-10), and that the mint calls UNSPENT. ``allow_unverified`` takes proofs without DLEQ
        too: one bad coin among them spoils every payment it is used in. Whoever made the token can still
        spend it. The mint named in a token is asked, so pass only tokens of mints you are willing to ask.
        Codes: INVALID_TOKEN, INVALID_*, PROOFS_NOT_VERIFIED, PROOFS_LOCKED, PROOFS_NOT_UNSPENT,
        DUPLICATE_PROOF, TOO_MANY_PROOFS, MINT_* (nothing written).
        """
        owner = arguments.npub(npub)
        parsed = parse_token(token, proofs, mint_url, unit)
        op = requests.new_operation(
            "deposit",
            now=self.clock.now(),
            npub=owner,
            mint_url=parsed.mint_url,
            unit=parsed.unit,
            amount=parsed.amount,
            wallet_id=wallet_id,
            transaction_id=transaction_id,
            idempotency_key=idempotency_key,
            bound={"proofs": parsed.fingerprint},
        )

        def begin() -> Happened:
            found = check_deposit(
                self.store, self.mint, self._keysets, parsed, self.settings, allow_unverified
            )
            return Happened("deposit", Evidence(proofs=found.proofs))

        return self._handle(self._admission.once(op, begin, 0))

    # -- reading ---------------------------------------------------------------------------------

    def operation(self, operation_id: str) -> Handle:
        """The operation as stored. Code NOT_FOUND."""
        return Handle(self, self._stored(operation_id))

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
        """An operator sends a parked operation back to work. Codes: NOT_FOUND, OPERATOR_REASON_MISSING,
        UNDEFINED_TRANSITION."""
        evidence, wait = Evidence(operator_reason=arguments.reason(reason)), self._wait(wait_s)
        return self._follow(self._outside.apply(operation_id, "resume", evidence), wait)

    def write_off(self, operation_id: str, reason: str, *, force: bool = False) -> Handle:
        """An operator gives the rest of a parked operation up as lost; the loss is recorded.

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

    # -- inside ----------------------------------------------------------------------------------

    def _wait(self, wait_s: float | None) -> float:
        return self.settings.wait_s if wait_s is None else arguments.seconds(wait_s, "wait_s")

    def _stored(self, operation_id: object) -> Operation:
        if not isinstance(operation_id, str) or not 0 < len(operation_id) <= 100:
            raise InvalidArgument("an operation id is text of 1 to 100 characters", code="INVALID_FORMAT")
        op = self.store.operation(operation_id)
        if op is None:
            raise NotFound("no such operation", operation_id=operation_id)
        return op

    def _run(self, draft: Draft) -> Run:
        return Run(
            draft,
            self.store,
            self.mint,
            self._keysets,
            self.settings,
            self.clock,
            self._rng,
            worker=self._driver.worker.for_one_drive(),
        )

    def _open(self, op: Operation, actor: str) -> Run:
        return self._run(self._driver.open_draft(op, actor))

    def _follow(self, op: Operation, wait: float) -> Handle:
        return self._handle(self._recovery.follow(op, wait))

    def _handle(self, op: Operation) -> Handle:
        return Handle(self, raise_if_rejected(op))
