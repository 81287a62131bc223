"""The calls that move money: melt, in one step or two, and funding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ...machines.deposit.table import DEPOSIT
from ...machines.melt.table import MELT
from ...machines.mint.table import MINT
from ...storage.records import Proof
from .. import arguments
from ..admission import new_operation
from ..admission.melt_request import MeltRequest
from ..cashu.allowed import check_allowed
from ..errors import Refused
from ..loop.drive import Happened, Run
from ..loop.evidence import Evidence
from ..operations.deposit.proofs import check_deposit
from ..operations.shared.handed_in import parse_token
from .core import Core
from .handle import Handle


class Payments(Core):
    """Paying invoices and taking money in."""

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
        fee_max: int | None = None,
        wait_s: float | None = None,
    ) -> Handle:
        """Pay a BOLT-11 invoice with ecash and store the change.

        Returns the operation when it has ended, parked, or ``wait_s`` (60 s) is over; then it is still
        live and :meth:`recover` or the same call goes on with it. The same request inside the
        duplicate window, or with the same ``idempotency_key`` or ``transaction_id`` at any time, returns
        the first operation. ``handle.outcome`` tells the outcome, ``raise_unless_paid()`` raises for all but
        paid.

        ``fee_max`` is the highest cost beside the amount (fee reserve and input fee, in ``unit``); by default
        ``Settings.fee_max_percent`` of the amount, and at least ``fee_max_floor_sat``. Inside ``wait_s`` the
        engine waits for money that other operations of the wallet hold, and repeats failed reads of the mint;
        nothing is stored meanwhile.

        Codes: INVALID_*, INVOICE_EXPIRED, INVOICE_WITHOUT_AMOUNT, IDEMPOTENCY_KEY_REUSED,
        DUPLICATE_OPERATION, DUPLICATE_TRANSACTION_ID, PAYMENT_ALREADY_CLAIMED, TOKEN_NOT_FOUND,
        OWNER_MISMATCH, MINT_OR_UNIT_MISMATCH, CONCURRENT_OPERATION, FUNDS_RESERVED, FEE_TOO_HIGH (nothing
        written);
        INSUFFICIENT_BALANCE, PROOF_STATE_INCONSISTENCY, QUOTE_*, MINT_* (operation stored as rejected).
        """
        return self._pay(
            two_step=False, npub=npub, mint_url=mint_url, invoice=invoice, unit=unit, wallet_id=wallet_id,
            sources=sources, transaction_id=transaction_id, idempotency_key=idempotency_key,
            on_duplicate=on_duplicate, on_unpaid=on_unpaid, fee_max=fee_max, wait_s=wait_s,
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
        fee_max: int | None = None,
        wait_s: float | None = None,
    ) -> Handle:
        """Quote, choose and reserve, but send nothing: the first of two steps. ``fee_reserve`` and ``inputs``
        of the handle bound the cost; :meth:`confirm` pays, :meth:`cancel` frees. ``wait_s`` (60 s) is for
        money that others hold and for failed reads of the mint. Codes as for :meth:`melt`."""
        return self._pay(
            two_step=True, npub=npub, mint_url=mint_url, invoice=invoice, unit=unit, wallet_id=wallet_id,
            sources=sources, transaction_id=transaction_id, idempotency_key=idempotency_key,
            on_duplicate=on_duplicate, on_unpaid=on_unpaid, fee_max=fee_max, wait_s=wait_s,
        )  # fmt: skip

    def confirm(self, operation_id: str, wait_s: float | None = None, *, npub: str | None = None) -> Handle:
        """Pay a prepared melt. Confirming again returns the operation as it is.
        Codes: NOT_FOUND, QUOTE_EXPIRED (nothing was sent), ALREADY_FINAL."""
        op = self._stored(self._bound(operation_id, npub))
        if op.ends == "unpaid":
            raise Refused(
                f"the operation is {op.state}; only a prepared melt can be confirmed",
                code="ALREADY_FINAL",
                operation_id=op.id,
                state=op.state,
            )
        return self._handle(self._recovery.follow(op, self._wait(wait_s), confirmed=True))

    def _pay(self, **told: Any) -> Handle:
        return self._handle(self._admission.melt(self._melt_request(**told)))

    def _melt_request(self, **told: Any) -> MeltRequest:
        machine = self.kinds.named(MELT.name).latest
        return MeltRequest.checked(machine, self.settings, self.clock.now(), **told)

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
        """Ask the mint for an invoice and, once it is paid, store the issued proofs.

        Returns after ``wait_s`` at the latest. While the state is ``quoted``, ``handle.invoice`` must be
        paid. Codes: INVALID_*, IDEMPOTENCY_KEY_REUSED, DUPLICATE_TRANSACTION_ID, MINT_*.
        """
        op = new_operation.new_operation(
            self.kinds.named(MINT.name).latest,
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
        return self._handle(self._admission.once(op, lambda run: Happened("request"), wait))

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
        """Store proofs of one's own, given as a ``cashuA``/``cashuB`` token or as proofs of ``mint_url``. A
        token of another wallet is for :meth:`receive`, which makes new coins of it.

        Only proofs are taken whose DLEQ (NUT-12, with r) shows that the mint signed them, that are not
        locked (NUT-10), and that the mint calls UNSPENT. ``allow_unverified`` takes proofs without DLEQ
        too: one bad coin among them spoils every payment that uses it. The maker of the token can still
        spend it. A mint that only the token names, and not ``mint_url``, is asked when it is allowed: by
        ``Settings.mints_allowed``, by ``Engine(mint_allowed=…)``, or because it is known already.
        Codes: INVALID_TOKEN, INVALID_*, MINT_NOT_ALLOWED, PROOFS_NOT_VERIFIED, PROOFS_LOCKED,
        PROOFS_NOT_UNSPENT, KEYSET_EXPIRED, DUPLICATE_PROOF, TOO_MANY_PROOFS, MINT_* (nothing written).
        """
        owner = arguments.npub(npub)
        parsed = parse_token(token, proofs, mint_url, unit)
        op = new_operation.new_operation(
            self.kinds.named(DEPOSIT.name).latest,
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

        def begin(run: Run) -> Happened:
            if mint_url is None:
                check_allowed(
                    self.store, self.mint, self._mints_allowed, self._mint_allowed, owner, parsed.mint_url
                )
            found = check_deposit(
                self.store, self.mint, self._keysets, parsed, self.settings, allow_unverified
            )
            return Happened("deposit", Evidence(proofs=found.proofs))

        return self._handle(self._admission.once(op, begin, 0))
