"""Coin selection: the proofs that cover a payment while locking as little value as possible."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from attrs import define, field, frozen

from .....machines.money import input_fee
from .....storage.records import Proof, Token
from .....storage.secret import Secret
from ....loop.evidence import Chosen, Selection

SEARCH_NODES_MAX = 4000
BYTES_MAX = 1_000_000


@frozen
class Shortfall:
    """The candidates do not cover the payment (amounts in the unit, fee of all of them included)."""

    required: int
    available: int
    too_many: bool = False  # they would, but not with so few proofs
    reserved: int = 0  # what the wallet owns beside them but other operations hold
    covered: bool = False  # with that it would do
    holders: tuple[str, ...] = ()  # of what is reserved

    @property
    def missing(self) -> int:
        return max(1, self.required - self.available - self.reserved)


@frozen
class _Coin:
    token: Token
    proof: Proof
    ppk: int


@frozen
class _Group:
    """Coins that are alike to the search."""

    amount: int
    ppk: int
    coins: tuple[_Coin, ...]


@define
class _Search:
    """Depth-first over the groups, largest first; the first path is the greedy one."""

    groups: Sequence[_Group]
    need: int
    count_max: int
    nodes_left: int = SEARCH_NODES_MAX
    best: tuple[int, int] | None = None  # locked, coins
    picked: tuple[int, ...] = ()
    _rest: list[int] = field(factory=list)

    def run(self) -> tuple[int, ...] | None:
        total = 0
        for group in reversed(self.groups):
            total += group.amount * len(group.coins)
            self._rest.append(total)
        self._rest.reverse()
        self._rest.append(0)
        self._walk(0, 0, 0, 0, ())
        return self.picked if self.best is not None else None

    def _walk(self, at: int, locked: int, ppk: int, count: int, counts: tuple[int, ...]) -> None:
        if self.nodes_left <= 0 or count > self.count_max:
            return
        self.nodes_left -= 1
        if self.best is not None and (locked, count) >= self.best:
            return
        missing = self.need + (ppk + 999) // 1000 - locked
        if missing <= 0:
            self.best, self.picked = (locked, count), counts
            return
        if at == len(self.groups) or self._rest[at] < missing:
            return
        group = self.groups[at]
        fit = min(len(group.coins), missing // group.amount)
        net = 1000 * group.amount - group.ppk  # what one coin really brings, in thousandths
        enough = min(len(group.coins), (1000 * missing + 999) // net + 1)
        near = range(max(fit + 1, enough - 3), enough + 1)
        for n in (*range(fit, fit - 3, -1), *near):
            if n >= 0:
                self._walk(at + 1, locked + n * group.amount, ppk + n * group.ppk, count + n, (*counts, n))


def choose(
    tokens: Iterable[Token],
    need: int,
    ppk_of: Mapping[str, int],
    *,
    count_max: int,
    bytes_max: int = BYTES_MAX,
    without: frozenset[Secret] = frozenset(),
) -> Selection | Shortfall:
    """Choose proofs worth at least ``need`` plus their own input fee.

    Minimises the locked value, then the number of proofs, within a bounded search; proofs whose secret
    is in ``without`` are not touched. Coins that cost more than they are worth are left alone, and so is
    one that alone makes a request too long; where all of them do, fewer are chosen.
    """
    tokens = tuple(tokens)
    while True:
        found = _choose(tokens, need, ppk_of, count_max, bytes_max, without)
        size = request_bytes(found.proofs) if isinstance(found, Selection) else 0
        if not isinstance(found, Selection) or size <= bytes_max:
            return found
        count_max = min(len(found.proofs) - 1, len(found.proofs) * bytes_max // size)


def request_bytes(proofs: Iterable[Proof]) -> int:
    """Bytes that these proofs take at most as inputs of a request."""
    return sum(_bytes(proof) for proof in proofs)


def _bytes(proof: Proof) -> int:
    # names, marks, keyset id, amount and C, and the texts that the holder of the coin chose
    witness = proof.witness.reveal() if proof.witness else ""
    return 256 + _json_bytes(proof.secret.reveal()) + _json_bytes(witness)


def _json_bytes(text: str) -> int:
    plain = not text or (text.isascii() and text.isalnum())
    return len(text) + 2 if plain else len(json.dumps(text))


def fits(proof: Proof, ppk_of: Mapping[str, int], bytes_max: int) -> bool:
    """Whether the mint takes the coin, it brings more than it costs, and a request has room for it."""
    ppk = ppk_of.get(proof.id)
    return ppk is not None and proof.amount * 1000 > ppk and _bytes(proof) <= bytes_max


def _choose(
    tokens: Iterable[Token],
    need: int,
    ppk_of: Mapping[str, int],
    count_max: int,
    bytes_max: int,
    without: frozenset[Secret],
) -> Selection | Shortfall:
    coins = [
        _Coin(token, proof, ppk_of[proof.id])
        for token in tokens
        for proof in token.proofs
        if proof.secret not in without and fits(proof, ppk_of, bytes_max)
    ]
    alike: dict[tuple[int, int], list[_Coin]] = {}
    for coin in coins:
        alike.setdefault((coin.proof.amount, coin.ppk), []).append(coin)
    groups = [_Group(amount, ppk, _by_token(found)) for (amount, ppk), found in alike.items()]
    groups.sort(key=lambda group: (-group.amount, group.ppk))
    counts = _Search(groups, need, count_max).run()
    if counts is None:
        counts = _greedy(groups, need, count_max)
    if counts is None:
        everything = input_fee(coin.ppk for coin in coins)
        enough = _greedy(groups, need, len(coins)) is not None
        return Shortfall(need + everything, sum(coin.proof.amount for coin in coins), too_many=enough)
    return _selection([c for group, n in zip(groups, counts, strict=False) for c in group.coins[:n]])


def _greedy(groups: Sequence[_Group], need: int, count_max: int) -> tuple[int, ...] | None:
    """The coins that bring most after their fee, until it is enough: finds a cover if there is one
    within the count, also where the bounded search missed one."""
    order = sorted(range(len(groups)), key=lambda i: groups[i].ppk - 1000 * groups[i].amount)
    counts = [0] * len(groups)
    locked = ppk = taken = 0
    for i in order:
        for _ in groups[i].coins:
            if locked >= need + (ppk + 999) // 1000:
                return tuple(counts)
            if taken == count_max:
                return None
            counts[i], taken = counts[i] + 1, taken + 1
            locked, ppk = locked + groups[i].amount, ppk + groups[i].ppk
    return tuple(counts) if locked >= need + (ppk + 999) // 1000 else None


def _by_token(coins: list[_Coin]) -> tuple[_Coin, ...]:
    """Small tokens first, so that few tokens are broken up and dust is used."""
    return tuple(
        sorted(coins, key=lambda c: (c.token.total_amount, c.token.transaction_id, c.proof.secret.reveal()))
    )


def _selection(coins: list[_Coin]) -> Selection:
    parts: dict[str, list[_Coin]] = {}
    for coin in coins:
        parts.setdefault(coin.token.transaction_id, []).append(coin)
    chosen = tuple(
        Chosen(found[0].token, tuple(coin.proof for coin in found)) for _, found in sorted(parts.items())
    )
    return Selection(chosen, input_fee(coin.ppk for coin in coins))
