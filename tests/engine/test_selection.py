"""The candidates of a payment are of one moment."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import attrs
import pytest
from attrs import define

from nutstate import Engine, MintError, NutstateError, Refused, Store
from nutstate.engine.cashu.port import Refused as No
from nutstate.engine.loop.evidence import Selection
from nutstate.engine.operations.melt.actions.choice import Shortfall, choose
from nutstate.engine.simulated import faults
from nutstate.engine.tokens.token_ids import minted_id
from nutstate.machines.money import input_fee
from nutstate.storage.ahead import Read
from nutstate.storage.port import Reader, TokenQuery
from nutstate.storage.records import Token
from nutstate.storage.secret import Secret
from nutstate.storage.testing.records import make_token
from tests.support import invariants
from tests.support.ports import Between, engine_on, on
from tests.support.stories import HOUR_S
from tests.support.wallet import NPUB, QUICK, fake_proof, funded, invoice

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

    def tokens_of(self, queries: Sequence[TokenQuery]) -> Sequence[Token]:
        found: Sequence[Token] = self.inner.tokens_of(queries)
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


@pytest.mark.parametrize("ppk", [0, 100, 200, 333, 999])
def test_selection_finds_a_cover_whenever_there_is_one(ppk: int) -> None:
    from nutstate.storage.testing.records import make_token

    draw = random.Random(ppk)
    for _ in range(150):
        amounts = [1 << draw.randrange(7) for _ in range(draw.randrange(1, 40))]
        proofs = tuple(fake_proof(a, f"{ppk}-{i}-{draw.random()}") for i, a in enumerate(amounts))
        token = attrs.evolve(make_token("t", 1), proofs=proofs, total_amount=sum(amounts))
        useful = [a for a in amounts if a * 1000 > ppk]
        spendable = sum(useful) - input_fee(ppk for _ in useful)
        if spendable < 1:
            continue
        need = draw.randint(1, spendable)
        found = choose([token], need, {proofs[0].id: ppk}, count_max=1000)
        assert isinstance(found, Selection), (amounts, need)
        assert found.amount >= need + found.input_fee
        assert found.input_fee == input_fee(ppk for _ in found.proofs)
        assert not isinstance(choose([token], spendable + 1, {proofs[0].id: ppk}, count_max=1000), Selection)


def test_coins_of_a_forgotten_keyset_do_not_block_the_others(store: Store) -> None:
    engine, mint, clock = funded(store)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(5, clock))
    assert melt.state == "reconciled"
    mint.rotate_keyset()
    engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=100)
    old = mint.keysets(mint.url)
    assert isinstance(old, tuple)
    active = [keyset for keyset in old if keyset.active]

    class Forgetful:
        def __getattr__(self, name: str) -> Any:
            return getattr(mint, name)

        def keysets(self, url: str) -> Any:
            return tuple(active)

    port: Any = Forgetful()
    engine = Engine(store, port, settings=QUICK, clock=clock)
    assert engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(50, clock)).state == "reconciled"
    invariants.check(store, mint)


def test_too_many_proofs_is_not_too_little_money(store: Store) -> None:
    engine, mint, clock = funded(store, amount=1023)
    small = on(engine, store, mint, proofs_per_operation_max=3)
    with pytest.raises(Refused) as refused:
        small.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(950, clock))
    assert refused.value.code == "TOO_MANY_PROOFS"


def test_r387_a_limit_that_a_mint_met_once_is_not_for_ever(store: Store) -> None:
    """Two refusals for too many inputs leave a wallet of small coins nothing to pay with: for an hour."""
    engine, mint, clock = funded(store, amount=1023)
    moods = iter([No(11014, "too many inputs", True)] * 2)

    def melt(url: str, body: Any) -> Any:
        return next(moods, None) or mint.melt(url, body)

    moody = engine_on(store, clock, Between(mint, melt=melt))
    for _ in range(2):
        assert moody.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock)).state == "watching"
    with pytest.raises(Refused) as refused:
        moody.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    assert refused.value.code == "TOO_MANY_PROOFS"
    clock.advance(HOUR_S)
    assert moody.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock)).is_paid
    invariants.check(store, mint)


@pytest.mark.parametrize(
    "odd, error, code",
    [
        ({"fee_reserve": 2**63}, MintError, "MINT_ANSWER_UNCLEAR"),
        ({"fee_reserve": 2**64 - 1}, MintError, "MINT_ANSWER_UNCLEAR"),
        ({"fee_reserve": 2**53}, MintError, "MINT_ANSWER_UNCLEAR"),
        ({"fee_reserve": -1}, MintError, "MINT_ANSWER_UNCLEAR"),
        ({"expires_at": 2**62}, MintError, "MINT_ANSWER_UNCLEAR"),
        ({"fee_reserve": None}, Refused, "AMOUNT_OUT_OF_LIMITS"),
        ({"fee_reserve": 2**53 - 1}, Refused, "FEE_TOO_HIGH"),
    ],
)
def test_a_quote_with_an_absurd_reserve_is_refused(
    store: Store, odd: dict[str, Any], error: type[NutstateError], code: str
) -> None:
    """R195: what could not be stored is no answer; what could be is judged. Nothing is held after that."""
    engine, mint, clock = funded(store)
    before = engine.balance(NPUB)

    class Greedy:
        def __getattr__(self, name: str) -> Any:
            return getattr(mint, name)

        def melt_quote(self, url: str, bolt11: Secret, unit: str) -> Any:
            answer: Any = mint.melt_quote(url, bolt11, unit)
            return attrs.evolve(answer, **odd)

    port: Any = Greedy()
    with pytest.raises(error) as refused:
        Engine(store, port, settings=QUICK, clock=clock).melt(
            npub=NPUB, mint_url=mint.url, invoice=invoice(50, clock)
        )
    assert type(refused.value) is error and refused.value.code == code
    assert engine.balance(NPUB) == before and before.reserved == 0
    assert not store.tokens(TokenQuery(states=("reserved",)))
    invariants.check(store)
