"""Mints that refuse the swap of all inputs together: halves, single coins, and no more inputs than the mint
takes (R288 to R296)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from nutstate import Engine, SimulatedMint, Store
from nutstate.engine.cashu.port import Ambiguous, Failure, Refused
from nutstate.engine.operations.melt.data import melt_of
from nutstate.engine.operations.melt.fences import done, fenced_amount
from nutstate.storage.port import TokenQuery
from nutstate.storage.records import Operation
from nutstate.storage.secret import Secret
from tests.support import invariants
from tests.support.clock import FakeClock
from tests.support.data import data_in
from tests.support.wallet import NPUB, QUICK, funded, invoice

TOO_LONG = Refused(11003, "secret too long. max: 1024", False, 400)
INVALID = Refused(10001, "proof could not be verified", True, 400)
TOO_MANY = Refused(11014, "too many inputs", True, 400)


class Picky:
    """A mint that refuses melts and swaps with certain inputs; it calls all of them UNSPENT."""

    def __init__(
        self, mint: SimulatedMint, refuses: Callable[[list[dict[str, Any]]], Failure | None]
    ) -> None:
        self.refuses, self.swaps, self.melts = refuses, list[int](), 0
        self._melt, self._swap = mint.melt, mint.swap
        mint.melt, mint.swap = self.melt, self.swap  # type: ignore[method-assign]

    def melt(self, mint_url: str, body: Secret) -> Any:
        self.melts += 1
        return self.refuses(json.loads(body.reveal())["inputs"]) or self._melt(mint_url, body)

    def swap(self, mint_url: str, body: Secret) -> Any:
        inputs = json.loads(body.reveal())["inputs"]
        self.swaps.append(len(inputs))
        return self.refuses(inputs) or self._swap(mint_url, body)


def refuse_melts(mint: Any) -> None:
    mint.melt = lambda mint_url, body: INVALID


def refusing(answer: Failure, secrets: set[str]) -> Callable[[list[dict[str, Any]]], Failure | None]:
    return lambda inputs: answer if any(item["secret"] in secrets for item in inputs) else None


def wallet(
    store: Store, amounts: Sequence[int] = (300,), **more: Any
) -> tuple[Engine, SimulatedMint, FakeClock]:
    engine, mint, clock = funded(store, amount=0, **more)
    for amount in amounts:
        engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=amount)
    return engine, mint, clock


def coins(store: Store, state: str = "unspent") -> dict[str, int]:
    found = store.tokens(TokenQuery(npub=NPUB, states=(state,)))
    return {proof.secret.reveal(): proof.amount for token in found for proof in token.proofs}


def poison(store: Store, *amounts: int) -> set[str]:
    """The secrets of one unspent coin of each of these amounts."""
    left, picked = coins(store), set[str]()
    for amount in amounts:
        secret = next(s for s, value in left.items() if value == amount and s not in picked)
        picked.add(secret)
    return picked


def pay(engine: Engine, mint: SimulatedMint, clock: FakeClock, amount: int, wait_s: float = 600) -> Operation:
    return engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(amount, clock), wait_s=wait_s).record


@pytest.mark.parametrize("answer", [INVALID, TOO_LONG, Refused(None, "no", False, 400)])
def test_r288_one_bad_coin_is_found_and_the_rest_comes_back(store: Store, answer: Refused) -> None:
    """A fence that is refused for good goes on in halves; the coin that is refused alone is stranded."""
    engine, mint, clock = wallet(store, (255, 45))
    bad = poison(store, 64)
    picky = Picky(mint, refusing(answer, bad))
    op = pay(engine, mint, clock, 280)
    assert op.state == "released" and data_in(op).payment is None
    assert coins(store, "stranded").keys() == bad
    balance = engine.balance(NPUB)
    assert (balance.stranded, balance.reserved) == (64, 0)
    assert balance.unspent == 300 - 64 - data_in(op).fence_fee
    assert data_in(op).fence_fee == sum(fence.input_fee for fence in done(op))
    assert picky.swaps[0] == max(picky.swaps) and picky.swaps.count(1) >= 1
    assert op.reason is not None
    invariants.check(store, mint)
    # the next payment picks no such coin
    before = picky.melts
    assert pay(engine, mint, clock, 200).state == "reconciled" and picky.melts == before + 1
    assert coins(store, "stranded").keys() == bad
    invariants.check(store, mint)


def test_r288_several_bad_coins_and_dust(store: Store) -> None:
    engine, mint, clock = wallet(store, (255, 127, 63), mint_options={"input_fee_ppk": 100})
    bad = poison(store, 128, 32, 1)
    Picky(mint, refusing(INVALID, bad))
    op = pay(engine, mint, clock, 435)
    assert op.state == "released"
    sent = {secret.reveal() for secret in melt_of(op).sent_secrets()}
    assert {128, 32} <= {coins(store, "stranded")[secret] for secret in bad & sent}
    assert sum(coins(store, "stranded").values()) <= 128 + 32 + 1 + 2
    assert engine.balance(NPUB).reserved == 0
    invariants.check(store, mint)


def test_r289_when_the_mint_takes_no_coin_at_all_the_quote_is_watched(store: Store) -> None:
    """Nothing is fenced, so nothing stands against the old request: it is watched, not released."""
    engine, mint, clock = wallet(store, (300,))
    Picky(mint, refusing(INVALID, set(coins(store))))
    op = pay(engine, mint, clock, 280)
    assert op.state == "watching" and op.claim is not None
    left = {s for s in coins(store) if Secret(s) in melt_of(op).sent_secrets()}
    assert not left and engine.balance(NPUB).stranded == data_in(op).sources_total - data_in(op).keep_total
    clock.advance(QUICK.watch_window_h * 3600 + 60)
    engine.recover(force=True)
    assert engine.operation(op.id).state == "released"
    invariants.check(store)


def at_most(number: int, answer: Failure) -> Callable[[list[dict[str, Any]]], Failure | None]:
    return lambda inputs: answer if len(inputs) > number else None


COUNTED: list[Failure] = [
    TOO_MANY,
    Ambiguous("HTTP 413", status=413),
    Refused(None, "body.inputs: too_long", False, 422),
]


@pytest.mark.parametrize("answer", COUNTED)
def test_r290_a_limit_of_inputs_is_met_once(store: Store, answer: Failure) -> None:
    """The payment that meets the limit ends unpaid without loss; then fewer inputs are chosen."""
    engine, mint, clock = wallet(store, (127, 127, 127, 127))
    picky = Picky(mint, at_most(8, answer))
    op = pay(engine, mint, clock, 490)
    # a definitive code that blames no coin frees the inputs at once; the quote is watched
    assert op.state == ("watching" if answer is TOO_MANY else "released") and not data_in(op).stranded
    balance = engine.balance(NPUB)
    assert (balance.unspent, balance.reserved) == (508 - data_in(op).fence_fee, 0)
    assert engine._limits.of(mint.url) <= (
        8 if answer is not TOO_MANY else len(melt_of(op).sent_secrets()) // 2
    )
    invariants.check(store, mint)
    before = len(picky.swaps)
    assert pay(engine, mint, clock, 200).state == "reconciled" and len(picky.swaps) == before
    invariants.check(store, mint)


def test_r290_the_limit_is_found_out_again_after_a_restart(store: Store) -> None:
    """The parts follow from the stored fences, not from memory."""
    engine, mint, clock = wallet(store, (127, 127, 127, 127))
    Picky(mint, at_most(8, COUNTED[1]))
    op = pay(engine, mint, clock, 490, wait_s=0)
    for _ in range(200):
        if engine.operation(op.id).is_final:
            break
        clock.advance(120)
        engine = Engine(store, mint, settings=QUICK, clock=clock)
        engine.recover(force=True)
    assert engine.operation(op.id).state == "released"
    invariants.check(store, mint)


def test_r291_outputs_that_are_never_signed_are_made_anew(store: Store) -> None:
    """11004 again and again, nothing restorable, inputs UNSPENT: a new generation of outputs is signed."""
    engine, mint, clock = wallet(store)
    first: list[str] = []

    def stuck(mint_url: str, body: Secret) -> Any:
        outputs = json.dumps(json.loads(body.reveal())["outputs"])
        first.append(outputs)
        return (
            Refused(11004, "outputs are pending", False, 400) if outputs == first[0] else swap(mint_url, body)
        )

    swap, mint.swap = mint.swap, stuck  # type: ignore[method-assign]
    refuse_melts(mint)
    op = pay(engine, mint, clock, 280)
    assert (op.state, [f.end for f in data_in(op).fences]) == ("released", ["", "done"])
    assert len(first) == QUICK.fence_refusals_max + 1
    assert engine.balance(NPUB).unspent == 300 - data_in(op).fence_fee
    invariants.check(store, mint)


def test_r292_the_swap_of_a_part_whose_reply_is_lost_is_found(store: Store) -> None:
    """Each reply of a swap is lost: what was signed is found by restore, part by part."""
    engine, mint, clock = wallet(store)
    bad = poison(store, 32)
    picky = Picky(mint, refusing(INVALID, bad))
    swap = picky._swap

    def lost(mint_url: str, body: Secret) -> Any:
        swap(mint_url, body)
        return Ambiguous("cut")

    picky._swap = lost
    op = pay(engine, mint, clock, 280)
    assert op.state == "released" and coins(store, "stranded").keys() == bad
    assert engine.balance(NPUB).unspent == 300 - 32 - data_in(op).fence_fee
    invariants.check(store, mint)


@pytest.mark.parametrize("state", ["attention", "watching"])
def test_r293_a_part_that_is_signed_late_is_found(store: Store, state: str) -> None:
    """A swap of a part that was refused is executed after all, when the operation was parked or freed."""
    engine, mint, clock = wallet(store)
    bad = poison(store, 32)
    late: list[tuple[str, Secret]] = []

    def refuse(mint_url: str, body: Secret) -> Any:
        late.append((mint_url, body))
        return INVALID if any(i["secret"] in bad for i in json.loads(body.reveal())["inputs"]) else SILENT

    swap, mint.swap = mint.swap, refuse  # type: ignore[method-assign]
    refuse_melts(mint)
    op = pay(engine, mint, clock, 280, wait_s=60)
    clock.advance(7200)
    engine.recover(force=True)
    assert (
        engine.operation(op.id).state == "attention"
        and data_in(engine.operation(op.id).record).fences[-1].inputs
    )
    clock.advance(600)
    if state == "watching":
        assert engine.release(op.id, "the mint never signs").state == "watching"
    signed = swap(*late[-1])  # the part without the bad coin is executed
    assert isinstance(signed, tuple)
    mint.swap = refuse if state == "attention" else swap  # type: ignore[method-assign]
    held = engine.balance(NPUB)
    for _ in range(20):
        clock.advance(7200)
        engine.recover(force=True)
    found = engine.operation(op.id).record
    (fence,) = done(found)
    assert fence.generation == len(data_in(op).fences) and found.state in ("released", "watching")
    after = engine.balance(NPUB)
    assert after.of("spent") == held.of("spent") + fenced_amount(fence) + fence.input_fee
    assert (after.stranded, after.reserved) == (32 if state == "attention" else 0, 0)
    assert after.owned() == 300 - data_in(found).fence_fee
    if state == "watching":
        invariants.check(store, mint)


SILENT = Ambiguous("no answer")
