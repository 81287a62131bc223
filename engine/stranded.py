"""What an operator can do with coins that their mint will not take."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import evolve

from ..storage.errors import Conflict
from ..storage.port import TokenQuery
from ..storage.records import Operation, Token
from . import arguments, requests
from .actions.pay import change_at_last
from .core import Core
from .errors import Refused
from .evidence import Chosen, Evidence, Selection
from .handle import Handle
from .lookover import Wallet, new_check, silent, store_check
from .mint.port import Failure
from .outside import operator_says
from .proofs import name_of
from .run import Happened


class Stranded(Core):
    """Coins in state ``stranded``: owned, in no payment, and nothing happens to them by itself."""

    def retry_stranded(
        self,
        npub: str,
        mint_url: str,
        *,
        reason: str,
        tokens: Iterable[str] | None = None,
        wallet_id: str | None = None,
        unit: str = "sat",
        operator: str | None = None,
    ) -> tuple[Handle, ...]:
        """Make stranded coins spendable again: the named ``tokens``, or all of a wallet.

        The mint is asked first: a coin that it does not call UNSPENT is not made money
        (``PROOFS_NOT_UNSPENT``; ``preflight(correct=True)`` marks what it calls SPENT). A coin that the
        mint still refuses is stranded again by the next payment that meets it. Of a payment that was given up
        by force the quote is asked too: PAID marks its coins spent and stores its change. Each operation
        of kind ``check`` that is returned holds up to ``page_size`` tokens; ``reason`` and ``operator``, who
        gives it, stand in its audit record. Codes: INVALID_*, TOKEN_NOT_FOUND, OWNER_MISMATCH,
        MINT_OR_UNIT_MISMATCH, OPERATOR_REASON_MISSING, NOTHING_STRANDED, PAYMENT_IN_FLIGHT, MINT_*."""
        return self._stranded(
            "retry", npub, mint_url, operator_says(reason, operator), tokens, wallet_id, unit
        )

    def write_off_stranded(
        self,
        npub: str,
        mint_url: str,
        *,
        reason: str,
        tokens: Iterable[str] | None = None,
        wallet_id: str | None = None,
        unit: str = "sat",
        operator: str | None = None,
    ) -> tuple[Handle, ...]:
        """Give stranded coins up as lost: the named ``tokens``, or all of a wallet. The mint is not
        asked, for it may be gone. The loss stands in each operation that is returned, and ``reason`` and
        ``operator`` in its audit record. Codes: INVALID_*, TOKEN_NOT_FOUND, OWNER_MISMATCH,
        MINT_OR_UNIT_MISMATCH, OPERATOR_REASON_MISSING, NOTHING_STRANDED."""
        return self._stranded(
            "write_off", npub, mint_url, operator_says(reason, operator), tokens, wallet_id, unit
        )

    def _stranded(
        self,
        event: str,
        npub: str,
        mint_url: str,
        said: Evidence,
        tokens: Iterable[str] | None,
        wallet_id: str | None,
        unit: str,
    ) -> tuple[Handle, ...]:
        owner = arguments.npub(npub)
        wallet = Wallet(
            owner, arguments.wallet_id(wallet_id, owner), arguments.mint_url(mint_url), arguments.unit(unit)
        )
        ids = arguments.source_ids(tokens, self.settings.proofs_per_operation_max)
        ended: list[Handle] = []
        for _ in range(self.settings.commit_tries_max):
            try:
                while found := self._named(wallet, ids):
                    ended.append(Handle(self, self._one(event, wallet, found, said)))
                break
            except Conflict:
                continue  # another operator was quicker with one of them
        if not ended:
            raise Refused("no stranded token is named", code="NOTHING_STRANDED", tokens=list(ids))
        return tuple(ended)

    def _named(self, wallet: Wallet, ids: tuple[str, ...]) -> Sequence[Token]:
        if ids:
            owned = requests.owned_sources(self.store, new_check(wallet, 0, self.clock.now()), ids)
            return [token for token in owned.values() if token.state == "stranded"][: self.settings.page_size]
        return self.store.tokens(
            TokenQuery(
                npub=wallet.npub, wallet_id=wallet.wallet_id, mint_url=wallet.mint_url, unit=wallet.unit,
                states=("stranded",), limit=self.settings.page_size,
            )
        )  # fmt: skip

    def _one(self, event: str, wallet: Wallet, tokens: Sequence[Token], said: Evidence) -> Operation:
        """Decide about the tokens; about those of one payment that is paid after all before the others."""
        paid = self._paid_after_all(tokens) if event == "retry" else None
        if paid is not None:
            giver, found = paid
            tokens = [token for token in tokens if token.reserved_by == giver.id]
            event, said = "found_paid", evolve(said, quote=found.quote, proofs=found.proofs or None)
            said = evolve(said, preflight_spent=self._spent(wallet, tokens))
        elif event == "retry":
            self._all_unspent(wallet, tokens)
        selection = Selection(tuple(Chosen(token, token.proofs) for token in tokens), 0)
        op = new_check(wallet, selection.amount, self.clock.now(), paid[0].id if paid is not None else None)
        evidence = evolve(said, selection=selection)
        return store_check(self._driver, self._run, op, Happened(event, evidence), actor="operator")

    def _paid_after_all(self, tokens: Sequence[Token]) -> tuple[Operation, Evidence] | None:
        """The first of the payments these coins were given up with that the mint calls PAID now, with its
        change. One that may still be in flight is PAYMENT_IN_FLIGHT."""
        for name in dict.fromkeys(token.reserved_by for token in tokens):
            giver = None if name is None else self.store.operation(name)
            if giver is None or giver.kind != "melt" or giver.state != "written_off" or giver.quote is None:
                continue
            quote = self.mint.melt_quote_state(giver.mint_url, giver.quote.id)
            if isinstance(quote, Failure):
                raise silent(quote)
            if quote.state == "PAID":
                return giver, change_at_last(self._open(giver, "operator"), force=False)
            if quote.state != "UNPAID":
                raise Refused(
                    f"the mint says {quote.said or quote.state} of the payment of these coins: wait",
                    code="PAYMENT_IN_FLIGHT",
                    operation=giver.id,
                )
        return None

    def _spent(self, wallet: Wallet, tokens: Sequence[Token]) -> frozenset[str]:
        """Names of the proofs in these tokens that the mint calls SPENT."""
        names = [name_of(proof) for token in tokens for proof in token.proofs]
        answer = self.mint.check_states(wallet.mint_url, names)
        if isinstance(answer, Failure):
            raise silent(answer)
        return frozenset(state.Y for state in answer if state.state == "SPENT")

    def _all_unspent(self, wallet: Wallet, tokens: Sequence[Token]) -> None:
        names = [name_of(proof) for token in tokens for proof in token.proofs]
        size = self.settings.page_size
        for start in range(0, len(names), size):
            answer = self.mint.check_states(wallet.mint_url, names[start : start + size])
            if isinstance(answer, Failure):
                raise silent(answer)
            others = sum(state.state != "UNSPENT" for state in answer)
            if others:
                raise Refused(
                    f"the mint does not call {others} of these proofs UNSPENT; preflight --correct marks "
                    "as spent what it calls SPENT",
                    code="PROOFS_NOT_UNSPENT",
                    tokens=[token.transaction_id for token in tokens],
                )
