"""The call that swaps coins of a wallet for new ones."""

from __future__ import annotations

from collections.abc import Iterable

from ...machines.swap.table import SWAP
from ...storage.records import Policy
from .. import arguments
from ..admission import new_operation
from ..errors import InvalidArgument
from ..operations.swap.choice import PURPOSES, Wish, begin_swap
from .core import Core
from .handle import Handle

INTO_MAX = 100
"""New tokens of one swap, beside the rest."""


class Swaps(Core):
    """Exchanging coins of a wallet at their mint for new coins of the same wallet."""

    def swap(
        self,
        *,
        npub: str,
        mint_url: str,
        amount: int | None = None,
        into: Iterable[int] | None = None,
        purpose: str | None = None,
        tokens: Iterable[str] | None = None,
        unit: str = "sat",
        wallet_id: str | None = None,
        transaction_id: str | None = None,
        idempotency_key: str | None = None,
        wait_s: float | None = None,
    ) -> Handle:
        """Swap coins of the wallet for new ones (NUT-03), and store these as tokens of the wallet.

        ``amount`` makes one token of exactly this amount, ``into`` one token for each of up to 100 amounts.
        Coins are chosen as for a payment, or among ``tokens``; their value beyond the wanted amounts and the
        input fee comes back as ``handle.change`` in a token of its own, and untouched proofs stay in
        ``<id>_keep``. ``tokens`` alone swaps all coins of these tokens into one token. ``purpose`` takes the
        coins that it is for, as many as one request carries: ``rotate`` those of keysets that the mint has
        stopped signing with, ``consolidate`` the smallest ones, if half as many coins or fewer come out.
        ``handle.tokens`` names the new tokens, ``handle.cost`` is the input fee (NUT-02). Amounts in
        ``unit``.

        Inside ``wait_s`` the engine waits for money that other operations of the wallet hold, and repeats
        failed reads of the mint; nothing is stored meanwhile. Returns after ``wait_s`` (60 s) at the latest;
        then it is still live and :meth:`recover` goes on with it. The same ``idempotency_key`` with the same
        request at any time returns the first operation. A swap that the mint did not carry out ends
        ``unpaid``: its inputs are free again, and nothing was lost.

        Codes: INVALID_*, IDEMPOTENCY_KEY_REUSED, DUPLICATE_TRANSACTION_ID, TOKEN_NOT_FOUND, OWNER_MISMATCH,
        MINT_OR_UNIT_MISMATCH, CONCURRENT_OPERATION, MELT_BLOCKED_BY_RECONCILIATION, FUNDS_RESERVED,
        INSUFFICIENT_BALANCE, TOO_MANY_PROOFS, NOTHING_TO_SWAP, PROOFS_PENDING, RESTORE_NOT_SUPPORTED,
        NO_USABLE_KEYSET, MINT_* (nothing written); PROOF_STATE_INCONSISTENCY (proofs that the mint calls
        SPENT are corrected, the operation is stored as rejected).
        """
        most = self.settings.amount_max
        ids = arguments.source_ids(tokens, self.settings.proofs_per_operation_max, "tokens")
        wish = _wish(amount, into, purpose, bool(ids), most)
        op = new_operation.new_operation(
            self.kinds.named(SWAP.name).latest,
            now=self.clock.now(),
            npub=arguments.npub(npub),
            mint_url=arguments.mint_url(mint_url),
            unit=arguments.unit(unit),
            amount=sum(wish.amounts) or 1,  # until the coins are chosen
            wallet_id=wallet_id,
            transaction_id=transaction_id,
            idempotency_key=idempotency_key,
            policy=Policy(sources=ids),
            bound={"into": list(wish.amounts), "purpose": wish.purpose},
        )
        wait = self._wait(wait_s)
        return self._handle(self._admission.once(op, lambda run: begin_swap(run, wish), wait))


def _wish(amount: object, into: object, purpose: object, named: bool, most: int) -> Wish:
    """The wish of these arguments. Codes INVALID_CHOICE, INVALID_AMOUNT."""
    choices = {"amount": amount, "into": into, "purpose": purpose}
    said = [name for name, value in choices.items() if value is not None]
    if purpose is not None and named:
        said.append("tokens")
    if len(said) > 1:
        raise InvalidArgument(
            f"{' and '.join(said)} exclude each other: give one of them", code="INVALID_CHOICE"
        )
    if not said and not named:
        raise InvalidArgument("a swap needs amount, into, purpose or tokens", code="INVALID_CHOICE")
    if purpose is not None:
        return Wish(purpose=arguments.choice(purpose, "purpose", PURPOSES))
    if amount is not None:
        return Wish((arguments.amount(amount, most),))
    return Wish() if into is None else Wish(arguments.amounts(into, INTO_MAX, most))
