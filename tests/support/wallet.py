"""Small builders shared by the engine's tests."""

from __future__ import annotations

import hashlib
import itertools
from typing import Any

import bech32

from nutstate import Engine, Settings, SimulatedMint
from nutstate.engine.cashu.bolt11 import decode_invoice
from nutstate.engine.simulated.faults import UNREACHABLE
from nutstate.engine.simulated.invoice import make_invoice
from nutstate.storage.port import Store
from nutstate.storage.records import Proof
from nutstate.storage.secret import Secret

from .clock import FakeClock

_counter = itertools.count()


def npub_of(n: int = 0) -> str:
    """A valid npub; its key is no secret."""
    words = bech32.convertbits(hashlib.sha256(b"npub%d" % n).digest(), 8, 5)
    assert words is not None
    return str(bech32.bech32_encode("npub", words))


NPUB = npub_of()


def preimage(n: int) -> bytes:
    return hashlib.sha256(b"preimage%d" % n).digest()


def invoice(amount_sat: int, clock: FakeClock | None = None, *, msat: int | None = None) -> str:
    """A fresh, valid invoice."""
    now = clock.now() // 1000 if clock else 1_800_000_000
    return make_invoice(
        msat if msat is not None else amount_sat * 1000, timestamp=now, preimage=preimage(next(_counter))
    )


def payment_hash(text: str) -> str:
    return decode_invoice(text).payment_hash


def fake_proof(amount: int, name: str) -> Proof:
    """A proof of the right shape that no mint ever signed; good for stores and effects."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    return Proof(
        "00aabbccddeeff00", amount, Secret(f"secret-{name}-{digest}"), Secret("02" + digest), Y="03" + digest
    )


QUICK = Settings(
    settle_window_s=5, poll_min_s=0.5, poll_max_s=4, change_window_s=10, unknown_age_max_h=1, wait_s=60
)


def silence(mint: SimulatedMint, endpoint: str) -> None:
    """The mint does not answer this read, however often one call of the engine makes it."""
    for _ in range(QUICK.read_tries_max):
        mint.faults.next(endpoint, UNREACHABLE)


def funded(store: Store, *, amount: int = 2000, **more: Any) -> tuple[Engine, SimulatedMint, FakeClock]:
    """An engine on a fake clock with a simulated mint and a funded wallet."""
    clock = FakeClock()
    mint = SimulatedMint(now_ms=clock.now, **more.pop("mint_options", {}))
    engine = Engine(store, mint, settings=more.pop("settings", QUICK), clock=clock, **more)
    if amount:
        engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=amount)
    return engine, mint, clock
