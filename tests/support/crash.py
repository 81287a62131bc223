"""Crashing on purpose: at the nth tick, a tick being either side of a commit or of a mint call."""

from __future__ import annotations

from typing import Any

from nutstate import Engine
from nutstate.storage.port import OperationQuery, Store

from .clock import FakeClock


class Crash(BaseException):
    """The process is gone; nothing after this line ran."""


class Ticks:
    """Counts ticks and crashes at one of them. Also a Faults port for the engine."""

    def __init__(self, crash_at: int | None = None) -> None:
        self.crash_at = crash_at
        self.seen: list[str] = []

    def reach(self, point: str) -> None:
        self.seen.append(point)
        if len(self.seen) - 1 == self.crash_at:
            raise Crash(point)


class TickingMint:
    """A mint port that ticks before and after every call of another one."""

    def __init__(self, mint: Any, ticks: Ticks) -> None:
        self._mint, self._ticks = mint, ticks

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._mint, name)

        def ticking(*args: Any) -> Any:
            self._ticks.reach(f"before:{name}")
            answer = call(*args)
            self._ticks.reach(f"after:{name}")
            return answer

        return ticking


def finish(engine: Engine, store: Store, clock: FakeClock, rounds: int = 60) -> None:
    """Let time pass and recover until nothing is live. Fails if something stays live (I11).

    A watch lasts a day, so where nothing else is left an hour passes per round."""
    states: list[str] = []
    for _ in range(rounds):
        clock.advance(3600 if set(states) == {"watching"} else 61)
        engine.recover(force=True, wait_s=30)
        states = open_states(store)
        if not states:
            return
    raise AssertionError(f"I11: still live after {rounds} rounds: {states}")


def open_states(store: Store) -> list[str]:
    """States of operations that are neither final, parked nor waiting for their caller."""
    return [
        op.state
        for op in store.operations(OperationQuery(limit=10_000))
        if op.finished_at is None
        and op.state not in ("attention", "contested", "discrepant", "stuck")
        and not (op.state == "prepared" and op.policy.two_step)
    ]
