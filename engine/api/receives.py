"""The call that receives a token from outside."""

from __future__ import annotations

from collections.abc import Iterable

from ...machines.receive.table import RECEIVE
from ...storage.secret import Secret
from .. import arguments
from ..admission import new_operation
from ..cashu.allowed import check_allowed
from ..loop.drive import Happened, Run
from ..operations.receive.begin import Wish, begin_receive
from ..operations.shared.handed_in import parse_token
from .core import Core
from .handle import Handle


class Receives(Core):
    """Taking in a token that another wallet made."""

    def receive(
        self,
        npub: str,
        token: str | Secret,
        *,
        mint_url: str | None = None,
        private_keys: Iterable[str | Secret] = (),
        preimage: str | Secret | None = None,
        require_dleq: bool = False,
        wallet_id: str | None = None,
        transaction_id: str | None = None,
        idempotency_key: str | None = None,
        wait_s: float | None = None,
    ) -> Handle:
        """Exchange a token (``cashuA``, ``cashuB``, also as ``cashu:`` or in an address) for coins of the
        wallet.

        The maker of the token can spend it until the mint has signed new coins for it, so nothing is credited
        before that. ``handle.amount`` is the credited value: that of the token less ``handle.input_fee``
        (NUT-02), in the token's unit; ``handle.tokens`` names the new token. ``private_keys`` (hex) unlock
        proofs that are locked to keys (NUT-11), ``preimage`` (hex) those that are locked to a hash (NUT-14).
        They are used in this call alone, and neither stored nor logged; the request that is stored holds the
        signatures. ``require_dleq`` takes only proofs whose DLEQ with r (NUT-12) shows, without asking the
        mint about them, that it signed them.

        A mint that only the token names, and not ``mint_url``, is asked when it is allowed, as for
        :meth:`deposit`. Returns after ``wait_s`` (60 s) at the latest; then it is still live and
        :meth:`recover` goes on with it. The same token for the same wallet again returns the first operation,
        until that ended unpaid. It ends ``unpaid`` when the giver or another receiver was faster (reason
        TOKEN_SPENT), or when the mint refuses the token; nothing of the wallet was at stake.

        Codes: INVALID_TOKEN, INVALID_*, DUPLICATE_SECRET, MINT_NOT_ALLOWED, MINT_OR_UNIT_MISMATCH,
        ALREADY_RECEIVED, DUPLICATE_PROOF (a token of the store holds a proof of it), PROOFS_LOCKED,
        LOCK_NOT_SUPPORTED, PROOFS_NOT_VERIFIED, PROOFS_NOT_UNSPENT, KEYSET_EXPIRED, INSUFFICIENT_BALANCE (not
        worth its fee), TOO_MANY_PROOFS, RESTORE_NOT_SUPPORTED, NO_USABLE_KEYSET, IDEMPOTENCY_KEY_REUSED,
        DUPLICATE_TRANSACTION_ID, MINT_* (nothing written).
        """
        owner = arguments.npub(npub)
        opener = arguments.opener(private_keys, preimage)
        dleq = arguments.flag(require_dleq, "require_dleq")
        text = token.reveal() if isinstance(token, Secret) else token
        handed = parse_token(text, None, mint_url, "sat", locked=True)
        op = new_operation.new_operation(
            self.kinds.named(RECEIVE.name).latest,
            now=self.clock.now(),
            npub=owner,
            mint_url=handed.mint_url,
            unit=handed.unit,
            amount=handed.amount,  # until the fee is known
            wallet_id=wallet_id,
            transaction_id=transaction_id,
            idempotency_key=idempotency_key,
            bound={"proofs": handed.fingerprint},
        )

        def begin(run: Run) -> Happened:
            if mint_url is None:
                check_allowed(
                    self.store, self.mint, self._mints_allowed, self._mint_allowed, owner, handed.mint_url
                )
            return begin_receive(run, Wish(handed, opener, dleq))

        wait = self._wait(wait_s)
        return self._handle(self._admission.once(op, begin, wait, claim=handed.claim))
