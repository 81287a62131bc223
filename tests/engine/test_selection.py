"""The candidates of a payment are of one moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from attrs import define

from nutstate import Engine, Refused, Store
from nutstate.engine.loop.evidence import Selection
from nutstate.engine.operations.melt.actions.selection import Shortfall, choose
from nutstate.engine.simulated import faults
from nutstate.engine.tokens.token_ids import minted_id
from nutstate.storage.ahead import Read
from nutstate.storage.port import Reader, TokenQuery
from nutstate.storage.records import Token
from nutstate.storage.testing.records import make_token
from tests.support import invariants
from tests.support.wallet import NPUB, QUICK, funded, invoice

KEYSET = make_token("tx_wallet_0", 1).proofs[0].id


@define
class Meanwhile:
    """A reader (or store) whose first look at tokens is followed by a commit of another worker."""

    inner: Any
    happen: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def tokens(self, query: TokenQuery) -> Sequence[Token]:
        found: Sequence[Token] = self.inner.tokens(query)
        if query.states == ("unspent",):
            self.happen()
        return found

    @contextmanager
    def snapshot(self, ahead: Sequence[Read] = ()) -> Iterator[Reader]:
        with self.inner.snapshot(ahead) as moment:
            yield Meanwhile(moment, self.happen)


def test_a_token_split_between_two_reads_offers_no_proof_twice(store: Store) -> None:
    engine, mint, clock = funded(store, amount=0)
    source = minted_id(engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=32 + 8).id)
    todo = [invoice(29, clock)]

    def split() -> None:
        """Spends the 32; the 8 goes to another token, and two of them would be the best cover of 10."""
        if todo:
            other = Engine(store, mint, settings=QUICK, clock=clock)
            other.melt(npub=NPUB, mint_url=mint.url, invoice=todo.pop(), sources=[source])

    late = Engine(Meanwhile(store, split), mint, settings=QUICK, clock=clock)
    with pytest.raises(Refused) as refused:
        late.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(10, clock))
    assert refused.value.code == "INSUFFICIENT_BALANCE" and not todo, "it chose anew"
    invariants.check(store, mint)


@pytest.mark.parametrize("ppk", [1000, 1500])
def test_coins_worth_no_more_than_their_fee_are_left_alone(ppk: int) -> None:
    """R234: a coin of 1 costs 1 or more at 1000 ppk and above: it brings nothing and is never chosen."""
    token = make_token("tx_wallet_1", 1, 1, 1, 1, 16)
    found = choose([token], 10, {KEYSET: ppk}, count_max=100)
    assert isinstance(found, Selection) and [proof.amount for proof in found.proofs] == [16]
    nothing = choose([make_token("tx_wallet_1", *[1] * 50)], 1, {KEYSET: ppk}, count_max=100)
    assert isinstance(nothing, Shortfall) and nothing.available == 0


def test_coins_a_caller_leaves_out_are_not_touched() -> None:
    """R234: what the mint calls PENDING is left out, though it would fit best."""
    token = make_token("tx_wallet_1", 8, 4, 4, 2)
    best = choose([token], 8, {KEYSET: 0}, count_max=100)
    assert isinstance(best, Selection) and [proof.amount for proof in best.proofs] == [8]
    pending = frozenset(proof.secret for proof in best.proofs)
    other = choose([token], 8, {KEYSET: 0}, count_max=100, without=pending)
    assert isinstance(other, Selection) and sorted(proof.amount for proof in other.proofs) == [4, 4]
    assert not pending & {proof.secret for proof in other.proofs}


def test_one_pending_coin_beside_enough_others_does_not_stop_a_payment(store: Store) -> None:
    """R234: the payment is made with the coins that the mint calls UNSPENT."""
    engine, mint, clock = funded(store, amount=1023, mint_options={"input_fee_ppk": 0})
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(126, clock))
    [coin] = [p for t in store.tokens(TokenQuery(npub=NPUB, states=("reserved",), limit=9)) for p in t.proofs]
    engine.cancel(plan.id)
    for _ in range(2):
        mint.faults.next("check_states", faults.lie_about({str(coin.Y): "PENDING"}))
    paid = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(126, clock))
    assert paid.is_paid and coin.secret not in {
        p.secret for t in store.tokens(TokenQuery(npub=NPUB, states=("spent",), limit=99)) for p in t.proofs
    }
    invariants.check(store, mint)
