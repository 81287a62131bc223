"""A wallet with tokens of chosen values, for tests of melts that the caller makes himself."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from nutstate import Engine, NutstateError, Proof, SimulatedMint, Store
from nutstate.engine.api.recorded import RecordedMelt
from nutstate.engine.cashu.port import Answer, ProofState, Unreachable
from nutstate.storage.records import Token

from .clock import FakeClock
from .together import together
from .wallet import NPUB, QUICK, fake_proof

_names = itertools.count()


class Saying(SimulatedMint):
    """A mint that says of every proof what the test wants; None says nothing at all."""

    says: str | None = "UNSPENT"

    def check_states(self, mint_url: str, ys: Sequence[str]) -> Answer[tuple[ProofState, ...]]:
        if self.says is None:
            return Unreachable("nobody there")
        return tuple(ProofState(y, self.says) for y in ys)


class Wallet:
    """An engine and its tokens, named by their value: ``tokens[500]``."""

    def __init__(self, store: Store, *values: int, funding: Store | None = None, **more: Any) -> None:
        self.store, self.clock = store, FakeClock()
        self.mint = Saying(now_ms=self.clock.now)
        funder = Engine(funding or store, self.mint, clock=self.clock, settings=QUICK)
        self.ids: dict[int, str] = {}
        for n, value in enumerate(values):
            done = funder.mint_tokens(
                npub=NPUB, mint_url=self.mint.url, amount=value, transaction_id=f"tx_source_{n}"
            )
            self.ids[value] = f"{done.id}_minted"
        more.setdefault("settings", QUICK)
        self.engine = Engine(store, self.mint, clock=self.clock, **more)
        self.whose: dict[str, Any] = {"npub": NPUB, "mint_url": self.mint.url}

    def token(self, value: int) -> Token:
        found = self.store.token(self.ids[value])
        assert found is not None
        return found

    def record(
        self, values: Sequence[int], keep: Any, change: Any, amount: int, fee: int = 0, **more: Any
    ) -> RecordedMelt:
        return self.engine.record_melt(
            [self.ids[value] for value in values], keep, change, amount, fee, **self.whose, **more
        )

    def hold(self, *values: int, ttl_s: float = 100, **more: Any) -> str:
        return self.engine.hold([self.ids[v] for v in values], ttl_s, **self.whose, **more).id

    def balance(self) -> tuple[int, int, int]:
        """Unspent, reserved and spent."""
        held = self.engine.balance(NPUB)
        return held.of("unspent"), held.of("reserved"), held.of("spent")


def proofs(*amounts: int, tag: str = "") -> list[Proof]:
    """Fresh proofs that no token has; with a tag the same ones each time."""
    return [fake_proof(amount, f"{tag or next(_names)} {n}") for n, amount in enumerate(amounts)]


def as_json(proof: Proof) -> dict[str, Any]:
    """The proof as a service has it."""
    return {"id": proof.id, "amount": proof.amount, "secret": proof.secret.reveal(), "C": proof.C.reveal()}


def at_once(**work: Callable[[], Any]) -> dict[str, Any]:
    """What each piece of work returned, or the code of what it raised, all begun together."""
    ends = together(list(work.values()))
    return {
        name: end.code if isinstance(end, NutstateError) else end
        for name, end in zip(work, ends, strict=True)
    }
