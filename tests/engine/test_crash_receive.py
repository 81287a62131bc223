"""The process dies at every point around every commit and every mint call of a receive; recovery finishes it,
also when recovery itself is killed. The points are counted, not listed."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from typing import Any

import pytest

from nutstate import Engine, SimulatedMint, Store, open_store
from nutstate.engine.cashu.coins import crypto
from nutstate.engine.cashu.coins.token_codec import encode_token
from nutstate.engine.simulated import faults
from nutstate.storage.port import OperationQuery
from tests.support import invariants
from tests.support.crash import Crash, TickingMint, Ticks, finish
from tests.support.gifts import gift, locked, p2pk
from tests.support.wallet import NPUB, QUICK, funded

KEY = "01" * 32
PUBLIC = crypto.public_key(KEY)


def received(mint: SimulatedMint) -> None:
    """The good case."""


def answer_lost(mint: SimulatedMint) -> None:
    mint.faults.next("swap", faults.ANSWER_LOST)


def request_lost(mint: SimulatedMint) -> None:
    mint.faults.next("swap", faults.REQUEST_LOST)


def late(mint: SimulatedMint) -> None:
    mint.faults.next("swap", faults.LATE)


def refused(mint: SimulatedMint) -> None:
    """The mint stores the outputs and never signs them: the same bytes are refused for ever."""
    mint.faults.next("swap", faults.OUTPUTS_STUCK)


STORIES: list[Callable[[SimulatedMint], None]] = [received, answer_lost, request_lost, late, refused]
ENDS = {"reconciled", "not_received", "nothing"}


class Scene:
    """One empty wallet, a token that is locked to a key, and a receive with a story."""

    def __init__(self, store: Store, story: Callable[[SimulatedMint], None]) -> None:
        self.store, self.story = store, story
        self.rng = random.Random(7).randbytes
        engine, self.mint, self.clock = funded(store, amount=0)
        proofs = locked(
            self.mint, self.mint.url, gift(engine, self.mint, 500), [(64, p2pk(PUBLIC)), (64, p2pk(PUBLIC))]
        )
        self.token = encode_token(self.mint.url, "sat", proofs)
        engine.close()
        story(self.mint)

    def engine(self, ticks: Ticks) -> Engine:
        mint: Any = TickingMint(self.mint, ticks)
        return Engine(self.store, mint, settings=QUICK, clock=self.clock, faults=ticks, rng=self.rng)

    def receive(self, ticks: Ticks) -> None:
        said: dict[str, Any] = {"mint_url": self.mint.url, "private_keys": [KEY]}
        handle = self.engine(ticks).receive(NPUB, self.token, **said, wait_s=3)
        if self.story is late:
            self.mint.deliver_late()
        if not handle.is_final:
            self.engine(ticks).receive(NPUB, self.token, **said, wait_s=60)

    def end(self) -> str:
        """Recover until nothing is open, before and after the rest of the story happened."""
        self.mint.faults.stop()
        finish(self.engine(Ticks()), self.store, self.clock)
        self.mint.deliver_late()
        finish(self.engine(Ticks()), self.store, self.clock)
        invariants.check(self.store, self.mint)
        found = self.store.operations(OperationQuery(kind="receive"))
        assert len(found) <= 1
        unspent = self.engine(Ticks()).balance(NPUB).unspent
        assert unspent == (127 if found and found[0].state == "reconciled" else 0), "the signatures decide"
        return found[0].state if found else "nothing"


def ticks_of(story: Callable[[SimulatedMint], None]) -> int:
    with open_store("memory://") as store:
        ticks = Ticks()
        Scene(store, story).receive(ticks)
        return len(ticks.seen)


@pytest.mark.parametrize(
    "story",
    [pytest.param(answer_lost, marks=pytest.mark.every_store), *(s for s in STORIES if s is not answer_lost)],
    ids=lambda story: story.__name__,
)
def test_a_crash_anywhere_is_recovered(
    story: Callable[[SimulatedMint], None], new_store: Callable[[], Store]
) -> None:
    """R750: nothing is credited twice or without a signature; the key is needed in the first call alone."""
    ends = set()
    for at in range(ticks_of(story)):
        store = new_store()
        scene = Scene(store, story)
        with pytest.raises(Crash):
            scene.receive(Ticks(at))
        end = scene.end()
        assert end in ENDS, f"crash at {at}: {end}"
        ends.add(end)
        store.close()
    assert "nothing" in ends, "a crash before the first commit leaves nothing"
    assert ends & {"reconciled", "not_received"}


@pytest.mark.slow
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_crash_during_recovery_is_recovered_too(
    story: Callable[[SimulatedMint], None], new_store: Callable[[], Store]
) -> None:
    """R750"""
    for at in range(0, ticks_of(story), 3):
        for again in range(0, 9, 2):
            store = new_store()
            scene = Scene(store, story)
            with pytest.raises(Crash):
                scene.receive(Ticks(at))
            scene.clock.advance(61)
            with contextlib.suppress(Crash):
                scene.engine(Ticks(again)).recover(force=True, wait_s=30)
            assert scene.end() in ENDS
            store.close()


def test_the_ticks_cover_every_side_of_every_commit(new_store: Callable[[], Store]) -> None:
    """R750"""
    ticks = Ticks()
    Scene(new_store(), received).receive(ticks)
    for point in ("before_commit:receiving", "after_commit:receiving", "before:swap", "after:swap"):
        assert point in ticks.seen
