"""The choice of coins reads a bounded number of tokens, and refuses no payment for that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from nutstate import Store
from nutstate.engine.loop.evidence import Selection
from nutstate.engine.operations.melt.actions import candidates as few
from nutstate.engine.operations.melt.actions import whole_wallet
from nutstate.engine.operations.melt.actions.choice import Shortfall, choose
from nutstate.engine.operations.melt.actions.selection import select
from nutstate.storage.port import HeldCoins, TokenQuery
from nutstate.storage.records import Operation, Token
from nutstate.storage.testing.records import MINT, NPUB, batch_for, make_operation, make_proofs, make_token

OP = make_operation("tx-1")
PPK = 100


def fees(names: Iterable[str]) -> Mapping[str, int]:
    return dict.fromkeys(names, PPK)


@define
class Wallet:
    """A reader over tokens in memory, which counts what it gives."""

    stored: Sequence[Token]
    given: int = 0
    looks: list[str] = field(factory=list)

    def tokens(self, query: TokenQuery) -> Sequence[Token]:
        self.looks.append("page")
        return self._found(query)

    def tokens_of(self, queries: Sequence[TokenQuery]) -> Sequence[Token]:
        self.looks.append("some")
        return list({t.transaction_id: t for query in queries for t in self._found(query)}.values())

    def _found(self, query: TokenQuery) -> Sequence[Token]:
        low, high = query.min_total or 0, 2**60 if query.max_total is None else query.max_total
        found = [t for t in self.stored if low <= t.total_amount <= high and t.state in query.states]
        found.sort(key=lambda t: (t.total_amount, t.transaction_id), reverse=query.largest_first)
        if not (query.largest_first or query.smallest_first):
            found.sort(key=lambda t: t.transaction_id)
        found = [t for t in found if query.after is None or t.transaction_id > query.after][: query.limit]
        self.given += len(found)
        return found

    def coins_by_keyset(self, *_: object) -> Sequence[HeldCoins]:
        names = {p.id for t in self.stored for p in t.proofs}
        return [HeldCoins(MINT, "sat", "unspent", name, 1) for name in names]

    def operations(self, _: object) -> Sequence[Operation]:
        return ()

    @contextmanager
    def snapshot(self, ahead: object = ()) -> Iterator[Wallet]:
        yield self


def wallet(*amounts: Sequence[int]) -> list[Token]:
    """One token of each list of coins."""
    return [
        make_token(f"t{n:05}", proofs=make_proofs(f"t{n}", *coins), wallet_id=OP.wallet_id)
        for n, coins in enumerate(amounts)
    ]


coins = st.lists(st.lists(st.sampled_from([1, 2, 3, 4, 8, 16, 32, 50]), min_size=1, max_size=6), max_size=25)


@settings(max_examples=300)
@given(coins, st.integers(1, 300), st.integers(1, 12), st.data())
def test_the_bounded_choice_finds_one_whenever_the_full_one_does(
    amounts: list[list[int]], need: int, count_max: int, data: st.DataObject
) -> None:
    """R579: with bounds of one token for each size and pages of three; what is missing is told as before."""
    tokens = wallet(*amounts)
    secrets = [p.secret for t in tokens for p in t.proofs]
    without = frozenset(data.draw(st.lists(st.sampled_from(secrets), max_size=3)) if secrets else ())
    ppk = fees({p.id for t in tokens for p in t.proofs})
    full = choose(tokens, need, ppk, count_max=count_max, without=without)
    reader: Any = Wallet(tokens)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(few, "EACH_MAX", 1)
        patched.setattr(few, "ALONE_MAX", 1)
        patched.setattr(whole_wallet, "PAGE", 3)
        found = select(reader, OP, need, fees, tokens_max=4, count_max=count_max, without=without)
    assert isinstance(found, Selection) == isinstance(full, Selection)
    if isinstance(found, Selection):
        assert found.amount >= need + found.input_fee and len(found.proofs) <= count_max
        assert not without & {p.secret for p in found.proofs}
    else:
        assert isinstance(full, Shortfall)
        assert (found.available, found.too_many) == (full.available, full.too_many)
        assert without or found.required == full.required


@given(st.integers(1, 100_000))
def test_a_rich_wallet_pays_exactly_from_a_few_tokens(need: int) -> None:
    """R580: with coins of each size it locks the payment and its fee, and at most 1 more, from one look."""
    reader: Any = Wallet(RICH)
    found = select(reader, OP, need, fees, tokens_max=200, count_max=1000)
    assert isinstance(found, Selection) and reader.looks == ["some"]
    assert found.amount - need - found.input_fee <= 1
    assert reader.given <= few.ALONE_MAX + few.EACH_MAX * need.bit_length() <= 80


RICH = wallet(*([1 << (n % 18)] for n in range(18 * 60)))


def test_dust_is_found_by_the_second_look_and_split_dust_by_the_third() -> None:
    """R579: coins of one size only, and coins hidden in tokens of many."""
    dust: Any = Wallet(wallet(*([1] for _ in range(400))))
    found = select(dust, OP, 100, fees, tokens_max=200, count_max=300)
    assert isinstance(found, Selection) and dust.looks == ["some"] * 2
    split: Any = Wallet(wallet(*([1] * 40 for _ in range(30)), *([32] for _ in range(8))))
    found = select(split, OP, 200, fees, tokens_max=9, count_max=8)
    assert isinstance(found, Selection) and "page" in split.looks and len(found.proofs) <= 8


@pytest.mark.every_store
@pytest.mark.parametrize("number", [20, 300])
def test_every_store_gives_the_same_candidates(store: Store, number: int) -> None:
    """R580: each query of the look stops at its limit, a token comes once, and none that does not fit."""
    tokens = wallet(*([1 + n % 97] for n in range(number)))
    for start in range(0, number, 50):
        store.commit(batch_for(make_operation(f"tx-{start}"), tokens=tokens[start : start + 50]))
    reader = Wallet(tokens)
    for need in (1, 2, 37, 64, 65, 1000):
        queries = few.candidates(OP, need, 200)
        found = store.tokens_of(queries)
        names = [token.transaction_id for token in found]
        assert len(names) == len(set(names))
        assert set(names) == {token.transaction_id for token in reader.tokens_of(queries)}
    assert OP.npub == NPUB and list(store.tokens_of([])) == []
