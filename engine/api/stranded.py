"""The calls of an operator for coins that their mint refuses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from attrs import evolve

from ...machines.token.states import STRANDED, UNSPENT
from ...storage.batch import proof_key
from ...storage.errors import Conflict, Duplicate, page_of
from ...storage.port import TokenQuery
from ...storage.records import Operation, Token
from ...storage.secret import Secret
from .. import arguments
from ..admission import new_operation
from ..cashu.port import Failure, ProofState
from ..cashu.port import Refused as NotShown
from ..checks.wallet_preflight import Wallet, new_check, silent, store_check
from ..errors import Refused
from ..loop.drive import Happened
from ..loop.evidence import Chosen, Evidence, Selection
from ..operations.melt.actions.change import change_at_last
from ..operations.melt.actions.find_fence import signed_fences
from ..operations.melt.data import melt_of
from ..operations.melt.given_up import ended_without, given_up_of, was_given_up
from ..operations.receive.data import receive_of
from ..operations.receive.given_up import given_up_receives, receive_may_be_signed
from ..operations.shared.data import Paying
from ..operations.shared.exchanging import signed_late
from ..operations.swap.data import swap_of
from ..operations.swap.given_up import given_up_swaps, swap_may_be_signed
from ..recovery.command import operator_says
from ..tokens.proofs import name_of
from .core import Core
from .handle import Handle

_GIVEN_UP_MAX = 1000
"""Payments of a wallet that were given up: so many of them are asked about in one call."""


def _may_come_late(op: Operation) -> bool:
    """Whether the mint may still carry out what was given up, or what ended without its stranded coins."""
    return was_given_up(op) or ended_without(op) or _may_be_signed_late(op)


def _may_be_signed_late(op: Operation) -> bool:
    """Whether the mint may still sign outputs of a swap or a receive that ended without them."""
    return swap_may_be_signed(op) or receive_may_be_signed(op)


def _paying(op: Operation) -> Paying:
    """The data of a payment, a swap or a receive that was given up."""
    if receive_may_be_signed(op):
        return receive_of(op)
    return swap_of(op) if swap_may_be_signed(op) else melt_of(op)


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
        mint still refuses is stranded again by the next payment that meets it. Of every payment of the
        wallet that was given up the quote is asked too, also when its coins were retried before: PAID marks
        those of its coins spent that the mint calls SPENT, and stores its change, once. Each operation
        of kind ``check`` that is returned holds up to ``page_size`` tokens; ``reason`` and ``operator``, who
        gives it, stand in its audit record. Codes: INVALID_*, TOKEN_NOT_FOUND, OWNER_MISMATCH,
        MINT_OR_UNIT_MISMATCH, OPERATOR_REASON_MISSING, NOTHING_STRANDED, PROOFS_NOT_UNSPENT,
        PAYMENT_IN_FLIGHT, MINT_*."""
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
        ids = arguments.source_ids(tokens, self.settings.proofs_per_operation_max, "tokens")
        ended: list[Handle] = []
        for _ in range(self.settings.commit_tries_max):
            try:
                while found := self._named(wallet, ids):
                    ended.append(Handle(self, self._one(event, wallet, found, said)))
                if event == "retry":
                    ended += [Handle(self, op) for op in self._paid_late(wallet, ids, said)]
                break
            except (Conflict, Duplicate):
                continue  # another operator was quicker with one of them, or with the change
        if not ended:
            raise Refused("no stranded token is named", code="NOTHING_STRANDED", tokens=list(ids))
        return tuple(ended)

    def _named(self, wallet: Wallet, ids: tuple[str, ...]) -> Sequence[Token]:
        if ids:
            owned = new_operation.owned_sources(self.store, new_check(wallet, 0, self.clock.now()), ids)
            return [token for token in owned.values() if token.state == STRANDED][: self.settings.page_size]
        return self.store.tokens(
            TokenQuery(
                npub=wallet.npub, wallet_id=wallet.wallet_id, mint_url=wallet.mint_url, unit=wallet.unit,
                states=(STRANDED,), limit=self.settings.page_size,
            )
        )  # fmt: skip

    def _one(self, event: str, wallet: Wallet, tokens: Sequence[Token], said: Evidence) -> Operation:
        """Decide about the tokens; about those of one payment that is paid after all before the others."""
        for giver in self._givers(tokens) if event == "retry" else ():
            paid = was_given_up(giver) and self._is_paid(giver)
            found = self._collected(wallet, giver, paid, said)
            if found is not None:
                return found
            if paid:
                raise Refused(
                    "the mint says PAID of the payment of these coins and does not call them SPENT: wait "
                    "until it does, or write them off",
                    code="PAYMENT_IN_FLIGHT",
                    operation=giver.id,
                )
        if event == "retry":
            self._all_unspent(wallet, tokens)
        selection = Selection(tuple(Chosen(token, token.proofs) for token in tokens), 0)
        op = new_check(wallet, selection.amount, self.clock.now())
        evidence = evolve(said, selection=selection)
        return store_check(self._driver, self._new_run, op, Happened(event, evidence), actor="operator")

    def _givers(self, tokens: Sequence[Token]) -> list[Operation]:
        """The payments these coins were given up with, or that ended without them."""
        names = dict.fromkeys(token.reserved_by for token in tokens)
        found = [self.store.operation(name) for name in names if name is not None]
        return [op for op in found if op is not None and _may_come_late(op)]

    def _is_paid(self, giver: Operation) -> bool:
        """Whether the mint says PAID of a payment that was given up. A payment that may still be in flight is
        PAYMENT_IN_FLIGHT. A quote that the mint refuses to show is not PAID: then its coins decide."""
        assert giver.quote is not None
        quote = self.mint.melt_quote_state(giver.mint_url, giver.quote.id)
        if isinstance(quote, NotShown):
            return False
        if isinstance(quote, Failure):
            raise silent(quote)
        if quote.state not in ("PAID", "UNPAID"):
            raise Refused(
                f"the mint says {quote.said or quote.state} of the payment of these coins: wait for its end",
                code="PAYMENT_IN_FLIGHT",
                operation=giver.id,
            )
        return quote.state == "PAID"

    def _paid_late(self, wallet: Wallet, ids: tuple[str, ...], said: Evidence) -> Iterator[Operation]:
        """Payments that were given up and ended after that, whose coins are not stranded any more: coins that
        the mint took are spent, and returned value is ours. One that the mint says nothing of is left
        alone."""
        for giver in self._given_up(wallet):
            coins = {part.token_id for part in (*_paying(giver).stranded, *giver.inputs)}
            same = (giver.wallet_id, giver.unit) == (wallet.wallet_id, wallet.unit)
            if not same or not _may_come_late(giver) or (ids and not coins & set(ids)):
                continue
            paid = False
            if giver.quote is not None:
                quote = self.mint.melt_quote_state(giver.mint_url, giver.quote.id)
                paid = not isinstance(quote, Failure) and quote.state == "PAID"
            found = self._collected(wallet, giver, paid, said)
            if found is not None:
                yield found

    def _given_up(self, wallet: Wallet) -> Iterator[Operation]:
        """The payments, swaps and receives of the owner at the mint that an operator gave up."""
        for queried in (given_up_of, given_up_swaps, given_up_receives):
            query = queried(wallet.npub, wallet.mint_url, _GIVEN_UP_MAX)
            page = page_of(partial(self.store.operations, query), lambda op: op.id)
            yield from self.kinds.readable(page).records

    def _collected(self, wallet: Wallet, giver: Operation, paid: bool, said: Evidence) -> Operation | None:
        """The check that marks spent what the mint took of a payment that was given up, and stores what came
        back: its change when it is paid, else what a fence of it was signed for. None when nothing did, or
        when all of it is done already. One commit, so that nothing is stored twice."""
        run = self._open(giver, "operator")
        if paid:
            found = change_at_last(run, force=False)
        else:
            found = signed_late(run) if _may_be_signed_late(giver) else signed_fences(run)
        proofs = found.proofs or ()
        if not paid and not proofs:
            return None
        stored = self.store.proof_owners(proof_key(proof.secret) for proof in proofs)
        fresh = tuple(proof for proof in proofs if proof_key(proof.secret) not in stored)
        sent = _paying(giver).sent_secrets()
        ids = tuple(sorted(set(self.store.proof_owners(map(proof_key, sent)).values())))
        tokens = self.store.tokens(TokenQuery(ids=ids, limit=len(ids))) if ids else ()
        tokens = [token for token in tokens if token.state in (UNSPENT, STRANDED) and wallet.holds(token)]
        spent = self._spent(wallet, tokens, sent)
        parts = [Chosen(token, tuple(p for p in token.proofs if name_of(p) in spent)) for token in tokens]
        selection = Selection(tuple(part for part in parts if part.proofs), 0)
        if not fresh and not selection.chosen:
            return None
        amount = selection.amount or sum(proof.amount for proof in fresh)
        op = new_check(wallet, amount, self.clock.now(), giver.id)
        evidence = evolve(
            found,
            proofs=fresh or None,
            selection=selection,
            preflight_spent=spent,
            operator_reason=said.operator_reason,
            operator=said.operator,
        )
        return store_check(
            self._driver, self._new_run, op, Happened("found_paid", evidence), actor="operator"
        )

    def _spent(self, wallet: Wallet, tokens: Sequence[Token], sent: frozenset[Secret]) -> frozenset[str]:
        """Names of those proofs in these tokens that were sent and that the mint calls SPENT."""
        names = [name_of(proof) for token in tokens for proof in token.proofs if proof.secret in sent]
        return frozenset(state.Y for state in self._states(wallet, names) if state.state == "SPENT")

    def _all_unspent(self, wallet: Wallet, tokens: Sequence[Token]) -> None:
        names = [name_of(proof) for token in tokens for proof in token.proofs]
        others = sum(state.state != "UNSPENT" for state in self._states(wallet, names))
        if others:
            raise Refused(
                f"the mint does not call {others} of these proofs UNSPENT; preflight --correct marks "
                "as spent what it calls SPENT",
                code="PROOFS_NOT_UNSPENT",
                tokens=[token.transaction_id for token in tokens],
            )

    def _states(self, wallet: Wallet, names: Sequence[str]) -> list[ProofState]:
        size, said = self.settings.page_size, list[ProofState]()
        for start in range(0, len(names), size):
            answer = self.mint.check_states(wallet.mint_url, names[start : start + size])
            if isinstance(answer, Failure):
                raise silent(answer)
            said += answer
        return said
