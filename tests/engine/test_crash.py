"""F1: the process dies at every point around every commit and every mint call; recovery finishes it,
twice, also when recovery itself is killed. The points are counted, not listed, so a new state is in."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from typing import Any

import pytest

from nutstate import Engine, SimulatedMint, Store, open_store
from nutstate.engine.simulated import faults
from nutstate.storage.port import OperationQuery
from tests.support import invariants
from tests.support.apart import Apart
from tests.support.crash import Crash, TickingMint, Ticks, finish
from tests.support.wallet import NPUB, QUICK, funded, invoice, payment_hash


def paid(mint: SimulatedMint, hashed: str) -> None:
    """The good case."""


def failed(mint: SimulatedMint, hashed: str) -> None:
    mint.lightning.script(hashed, "FAILED")


def pending_then_paid(mint: SimulatedMint, hashed: str) -> None:
    mint.lightning.script(hashed, "PENDING")


def answer_lost(mint: SimulatedMint, hashed: str) -> None:
    mint.faults.next("melt", faults.ANSWER_LOST)


def late_after_fence(mint: SimulatedMint, hashed: str) -> None:
    mint.faults.next("melt", faults.LATE)


def change_late(mint: SimulatedMint, hashed: str) -> None:
    mint.faults.next("melt", faults.change_delayed(2))


def looked_at_afterwards(mint: SimulatedMint, hashed: str) -> None:
    """The documents are not found right inside the commit: settled alone, then reconciled."""


STORIES: list[Callable[[SimulatedMint, str], None]] = [
    paid, failed, pending_then_paid, answer_lost, late_after_fence, change_late, looked_at_afterwards,
]  # fmt: skip


class Scene:
    """One funded wallet and one invoice with a story."""

    def __init__(self, store: Store, story: Callable[[SimulatedMint, str], None]) -> None:
        self.store = store
        self.rng = random.Random(7).randbytes
        engine, self.mint, self.clock = funded(store)
        engine.close()
        self.bolt11 = invoice(700, self.clock)
        self.hashed = payment_hash(self.bolt11)
        story(self.mint, self.hashed)
        self.story = story

    def engine(self, ticks: Ticks) -> Engine:
        mint: Any = TickingMint(self.mint, ticks)
        store: Any = Apart(self.store) if self.story is looked_at_afterwards else self.store
        return Engine(store, mint, settings=QUICK, clock=self.clock, faults=ticks, rng=self.rng)

    def melt(self, ticks: Ticks) -> None:
        engine = self.engine(ticks)
        melt = engine.melt(npub=NPUB, mint_url=self.mint.url, invoice=self.bolt11, wait_s=8)
        self.the_world_goes_on()
        if not melt.is_final:
            engine.melt(npub=NPUB, mint_url=self.mint.url, invoice=self.bolt11, wait_s=120)

    def the_world_goes_on(self) -> None:
        """What happens at the mint whether we live or not."""
        lightning = self.mint.lightning
        in_flight = lightning.attempts(self.hashed) and not lightning.payments(self.hashed)
        if self.story is pending_then_paid and in_flight:
            lightning.settle(self.hashed)
        if self.story is late_after_fence:
            self.mint.deliver_late()

    def end(self) -> str:
        """Recover until nothing is open, before and after the rest of the story happened."""
        self.mint.faults.stop()
        if self.story is pending_then_paid:
            self.the_world_goes_on()
        finish(self.engine(Ticks()), self.store, self.clock)
        self.the_world_goes_on()
        finish(self.engine(Ticks()), self.store, self.clock)
        invariants.check(self.store, self.mint)
        melts = self.store.operations(OperationQuery(kind="melt"))
        ends = [op.state for op in melts]
        payments = self.mint.lightning.payments(self.hashed)
        assert len(melts) <= (2 if self.story is failed else 1), "what failed for good may be tried again"
        assert payments <= 1 and ends.count("reconciled") == payments, "the payment and our books disagree"
        return ends[-1] if ends else "nothing"


def ticks_of(story: Callable[[SimulatedMint, str], None]) -> int:
    with open_store("memory://") as store:
        ticks = Ticks()
        Scene(store, story).melt(ticks)
        return len(ticks.seen)


ENDS = {"reconciled", "released", "nothing", "cancelled"}


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_crash_anywhere_is_recovered(
    story: Callable[[SimulatedMint, str], None], new_store: Callable[[], Store]
) -> None:
    ends = set()
    for at in range(ticks_of(story)):
        store = new_store()
        scene = Scene(store, story)
        with pytest.raises(Crash):
            scene.melt(Ticks(at))
        end = scene.end()
        assert end in ENDS, f"crash at {at}: {end}"
        ends.add(end)
        store.close()
    assert "nothing" in ends, "a crash before the first commit leaves nothing"
    assert ends & {"reconciled", "released"}


@pytest.mark.slow
@pytest.mark.parametrize("first", [0, 3, 6, 9])
@pytest.mark.parametrize("story", [paid, failed, answer_lost], ids=lambda story: story.__name__)
def test_a_crash_during_recovery_is_recovered_too(
    story: Callable[[SimulatedMint, str], None], first: int, new_store: Callable[[], Store]
) -> None:
    total = ticks_of(story)
    for at in range(first, total, 12):
        for again in range(0, 12, 2):
            store = new_store()
            scene = Scene(store, story)
            with pytest.raises(Crash):
                scene.melt(Ticks(at))
            scene.clock.advance(61)
            ticks = Ticks(again)
            with contextlib.suppress(Crash):
                scene.engine(ticks).recover(force=True, wait_s=30)
            assert scene.end() in ENDS
            store.close()


@pytest.mark.parametrize(
    ("story", "states"),
    [
        (paid, ["paying", "reconciled"]),
        (looked_at_afterwards, ["paying", "reconciled", "settled", "reconciled"]),
    ],
    ids=["one commit", "two"],
)
def test_the_ticks_cover_every_side_of_every_commit(
    new_store: Callable[[], Store], story: Any, states: list[str]
) -> None:
    """A refused read-back was one side of a commit too."""
    ticks = Ticks()
    Scene(new_store(), story).melt(ticks)
    assert [point.partition(":")[2] for point in ticks.seen if point.startswith("before_commit:")] == states
    for point in (*(f"after_commit:{state}" for state in states), "before:melt", "after:melt"):
        assert point in ticks.seen
