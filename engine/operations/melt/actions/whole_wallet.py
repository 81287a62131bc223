"""The last look of a choice of coins: the whole wallet, a page at a time, with the best coins in memory."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import attrs
from attrs import define, field

from .....storage.port import Reader, Store, TokenQuery
from .....storage.records import Operation, Proof, Token
from .....storage.secret import Secret
from ....loop.evidence import Selection
from .candidates import wallet_of
from .choice import Shortfall, choose, fits
from .held_money import HeldMoney, held_money

PAGE = 500


@define
class _Sums:
    """Value and fee of coins that bring something."""

    amount: int = 0
    ppk: int = 0

    def add(self, amount: int, ppk: int) -> None:
        self.amount, self.ppk = self.amount + amount, self.ppk + ppk

    def required(self, need: int) -> int:
        return need + (self.ppk + 999) // 1000

    def covers(self, need: int) -> bool:
        """Whether all of them together do. Each brings more than it costs, so fewer bring less."""
        return self.amount >= self.required(need)


@define
class _Wallet:
    """The free coins of a wallet: the tokens that hold the best ones, and the sums of all."""

    ppk_of: Mapping[str, int]
    keep: int
    bytes_max: int
    without: frozenset[Secret]
    free: _Sums = field(factory=_Sums)
    every: _Sums = field(factory=_Sums)
    pending: int = 0  # value that the mint calls PENDING
    _best: list[tuple[int, int, Token]] = field(factory=list)
    _number: int = 0

    def read(self, tokens: Iterable[Token]) -> None:
        for token in tokens:
            for proof in token.proofs:
                self._look_at(token, proof)

    def _look_at(self, token: Token, proof: Proof) -> None:
        if proof.secret in self.without:
            self.pending += proof.amount
        if not fits(proof, self.ppk_of, self.bytes_max):
            return
        ppk = self.ppk_of[proof.id]
        self.every.add(proof.amount, ppk)
        if proof.secret not in self.without:
            self.free.add(proof.amount, ppk)
        self._number += 1
        coin = (1000 * proof.amount - ppk, self._number, token)
        if len(self._best) < self.keep:
            heapq.heappush(self._best, coin)
        else:
            heapq.heappushpop(self._best, coin)

    @property
    def tokens(self) -> tuple[Token, ...]:
        return tuple({token.transaction_id: token for _, _, token in self._best}.values())


def choose_of_all(
    store: Store,
    op: Operation,
    need: int,
    fees: Callable[[Iterable[str]], Mapping[str, int]],
    limits: Mapping[str, Any],
) -> Selection | Shortfall:
    """A choice among all free coins of the wallet; it finds one whenever there is one. Where they do not
    cover it: would they with the coins that other operations of the wallet hold? All of it is read at one
    moment: between two reads a payment may end, and its change would be seen nowhere."""
    without = limits["without"]
    with store.snapshot() as moment:
        # Of the same moment: a coin whose keyset was asked about before it came would count as nothing.
        coins = moment.coins_by_keyset(op.npub, op.mint_url, op.wallet_id)
        ppk = fees({coin.keyset_id for coin in coins if coin.unit == op.unit})
        # Coins that may not be chosen take no place of others.
        free = _Wallet(ppk, limits["count_max"] + len(without), limits["bytes_max"], without)
        free.read(_pages(moment, attrs.evolve(wallet_of(op), limit=PAGE)))
        held = held_money(moment, op)
    found = choose(free.tokens, need, ppk, **limits)
    if isinstance(found, Selection):
        return found
    ppk = {**ppk, **fees({proof.id for token in held.tokens for proof in token.proofs})}
    return _with_held(free, held, need, ppk, limits)


def _with_held(
    free: _Wallet, held: HeldMoney, need: int, ppk: Mapping[str, int], limits: Mapping[str, Any]
) -> Shortfall:
    missing = Shortfall(free.free.required(need), free.free.amount, too_many=free.free.covers(need))
    everything = choose((*free.tokens, *held.tokens), need, ppk, **{**limits, "without": frozenset()})
    if isinstance(everything, Selection):
        reserved = sum(token.total_amount for token in held.tokens) + held.owed + free.pending
        return attrs.evolve(missing, reserved=reserved, covered=True, holders=held.holders)
    if missing.too_many:
        return missing
    every = _Sums(free.every.amount, free.every.ppk)
    for token in held.tokens:
        for proof in token.proofs:
            if fits(proof, ppk, limits["bytes_max"]):
                every.add(proof.amount, ppk[proof.id])
    owned = every.amount + held.owed
    return Shortfall(
        every.required(need),
        free.free.amount,
        reserved=owned - free.free.amount,
        covered=every.covers(need) or every.required(need) <= owned,
        holders=held.holders,
    )


def _pages(moment: Reader, query: TokenQuery) -> Iterator[Token]:
    while True:
        page = moment.tokens(query)
        yield from page
        if len(page) < query.limit:
            return
        query = attrs.evolve(query, after=page[-1].transaction_id)
