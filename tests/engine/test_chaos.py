"""Seeded chaos: many melts, every fault at once, crashes in between; then the books must be right.

``NUTSTATE_SEEDS="7,8,9" pytest tests/engine/test_chaos.py`` runs other seeds."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable
from typing import Any

import pytest

from nutstate import Engine, NutstateError, Store
from nutstate.engine.cashu.coins.token_codec import encode_token
from nutstate.storage.port import OperationQuery
from nutstate.storage.testing.records import Fault, FaultyStore
from tests.support import invariants
from tests.support.crash import Crash, TickingMint, Ticks, finish
from tests.support.data import data_in
from tests.support.gifts import gift
from tests.support.wallet import NPUB, QUICK, funded, invoice, payment_hash

pytestmark = pytest.mark.every_store

SEEDS = [int(seed) for seed in os.environ.get("NUTSTATE_SEEDS", "1,2,3,4").split(",")]
OUTCOMES = ("PAID", "PAID", "PAID", "PENDING", "FAILED", "UNKNOWN")
MELTS = 12
AFTER_SENDING = ("melt", "melt_quote_state", "swap", "restore")


@pytest.mark.parametrize("seed", SEEDS)
def test_the_books_are_right_after_chaos(seed: int, new_store: Callable[[], Store]) -> None:
    draw = random.Random(seed)
    store = new_store()
    engine, mint, clock = funded(store, amount=4000)
    if seed % 2:
        mint.faults.chaos(seed, 30)
    else:
        mint.faults.chaos(seed, 45, endpoints=AFTER_SENDING)
    hashes: list[str] = []
    for _ in range(MELTS):
        bolt11 = invoice(draw.randrange(1, 400), clock)
        hashes.append(payment_hash(bolt11))
        mint.lightning.script(hashes[-1], draw.choice(OUTCOMES))
        ticks = Ticks(draw.randrange(80) if draw.random() < 0.5 else None)
        faulty = FaultyStore(store, _store_faults(draw))
        port: Any = TickingMint(mint, ticks)
        fragile = Engine(faulty, port, settings=QUICK, clock=clock, faults=ticks, rng=draw.randbytes)
        try:
            handle = fragile.melt(
                npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=draw.choice((0, 5, 40))
            )
            assert handle.id
        except (Crash, NutstateError):
            pass
        _world(draw, mint, hashes)
        clock.advance(draw.choice((0, 3, 40)))
        invariants.check(store)
    mint.faults.stop()
    mint.deliver_late()
    for hashed in hashes:
        _resolve(draw, mint, hashed)
    finish(engine, store, clock)
    mint.deliver_late()
    finish(engine, store, clock)
    invariants.check(store, mint)
    melts = store.operations(OperationQuery(kind="melt", limit=1000))
    for op in melts:
        paid = mint.lightning.payments(op.payment_hash or "")
        assert op.state not in ("attention", "discrepant"), f"{op.id} parked: {op.reason}"
        assert paid == (data_in(op).payment is not None), f"{op.id} {op.state}: the mint paid {paid} times"


def _something(
    engine: Engine, draw: random.Random, mint: Any, hashes: list[str], bolt11: str, tokens: list[str]
) -> None:
    """A melt, a swap, a receive or a funding, for a while."""
    who: dict[str, Any] = {"npub": NPUB, "mint_url": mint.url, "wait_s": draw.choice((0, 5, 40))}
    kind = draw.choice(
        ("melt", "melt", "amount", "into", "consolidate", "rotate", "mint", "receive", "receive")
    )
    if kind == "melt":
        hashes.append(payment_hash(bolt11))
        mint.lightning.script(hashes[-1], draw.choice(OUTCOMES))
        engine.melt(invoice=bolt11, **who)
    elif kind == "receive":
        engine.receive(token=draw.choice(tokens), **who)
    elif kind == "mint":
        engine.mint_tokens(amount=draw.randrange(1, 100), **who)
    elif kind in ("consolidate", "rotate"):
        if kind == "rotate" and draw.random() < 0.5:
            mint.rotate_keyset()
        engine.swap(purpose=kind, **who)
    elif kind == "amount":
        engine.swap(amount=draw.randrange(1, 300), **who)
    else:
        engine.swap(into=[draw.randrange(1, 60) for _ in range(draw.randrange(1, 6))], **who)


@pytest.mark.parametrize("seed", [seed + 100 for seed in SEEDS])
def test_the_books_are_right_with_swaps_melts_and_fundings(seed: int, new_store: Callable[[], Store]) -> None:
    """R662, R751: receives too, interleaved, under every fault; each is finished, and only fees are lost."""
    draw = random.Random(seed)
    store = new_store()
    engine, mint, clock = funded(store, amount=4000)
    gifts = [gift(engine, mint, amount) for amount in (100, 37, 250, 64, 999)]
    tokens = [encode_token(mint.url, "sat", proofs).reveal() for proofs in gifts]
    mint.faults.chaos(seed, 30 if seed % 2 else 45, **({} if seed % 2 else {"endpoints": AFTER_SENDING}))
    hashes: list[str] = []
    for _ in range(2 * MELTS):
        ticks = Ticks(draw.randrange(80) if draw.random() < 0.4 else None)
        faulty = FaultyStore(store, _store_faults(draw))
        port: Any = TickingMint(mint, ticks)
        fragile = Engine(faulty, port, settings=QUICK, clock=clock, faults=ticks, rng=draw.randbytes)
        bolt11 = invoice(draw.randrange(1, 300), clock)
        with contextlib.suppress(Crash, NutstateError):
            _something(fragile, draw, mint, hashes, bolt11, tokens)
        if hashes:
            _world(draw, mint, hashes)
        clock.advance(draw.choice((0, 3, 40)))
        invariants.check(store)
    mint.faults.stop()
    mint.deliver_late()
    for hashed in hashes:
        _resolve(draw, mint, hashed)
    finish(engine, store, clock)
    mint.deliver_late()
    finish(engine, store, clock)
    invariants.check(store, mint)
    worth = [engine.receive(NPUB, token, mint_url=mint.url) for token in tokens]
    assert [op.state for op in worth] == ["reconciled"] * len(tokens), "no token is lost on the way"
    invariants.check(store, mint)
    receives = store.operations(OperationQuery(kind="receive", limit=1000))
    assert all(op.state in ("reconciled", "not_received") for op in receives), [
        (op.id, op.state, op.reason) for op in receives
    ]
    swaps = store.operations(OperationQuery(kind="swap", limit=1000))
    assert swaps and all(op.state in ("reconciled", "released", "rejected") for op in swaps), [
        (op.id, op.state, op.reason) for op in swaps
    ]


def _store_faults(draw: random.Random) -> list[Fault]:
    words: tuple[Fault, ...] = ("ok", "ok", "ok", "lost", "unknown", "conflict", "unavailable", "differs")
    return [draw.choice(words) for _ in range(6)]


def _world(draw: random.Random, mint: Any, hashes: list[str]) -> None:
    if draw.random() < 0.3:
        mint.deliver_late()
    if draw.random() < 0.5:
        _resolve(draw, mint, draw.choice(hashes))


def _resolve(draw: random.Random, mint: Any, hashed: str) -> None:
    """A payment that hangs arrives or comes back."""
    try:
        (mint.lightning.settle if draw.random() < 0.6 else mint.lightning.fail)(hashed)
    except ValueError:
        return  # nothing of this hash hangs
