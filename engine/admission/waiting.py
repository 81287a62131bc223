"""Waiting before anything is stored: for money that others hold, for a lost race, for a mint that hiccups."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field

from ..cashu.port import MeltQuote
from ..ports import Clock
from ..settings import Settings


@define(eq=False)
class Waiting:
    """The remaining waiting time of one call, and its number of tries. Between two tries nothing of its
    operation exists: no document, no key, no place in the duplicate window."""

    clock: Clock
    settings: Settings
    rng: Callable[[int], bytes]
    deadline: float  # monotonic
    reads: int = 0  # tries that a mint's answer ended
    races: int = 0  # tries that another operation ended
    collisions: int = 0  # tries that a unique key ended
    quoted: MeltQuote | None = field(default=None, repr=False)  # received by an earlier try
    _pauses: int = 0

    @property
    def left(self) -> float:
        """Seconds until the caller's time is over."""
        return max(0.0, self.deadline - self.clock.monotonic())

    def pause(self) -> bool:
        """Sleep before the next try: doubling from retry_min_s to retry_max_s, with jitter so that many
        callers do not come back together. False when the time is over."""
        left = self.left
        if left <= 0:
            return False
        low, high = self.settings.retry_min_s, self.settings.retry_max_s
        seconds = min(high, low * 2.0 ** min(self._pauses, 20)) * (0.5 + self.rng(1)[0] / 255)
        self._pauses += 1
        self.clock.sleep(min(seconds, left))
        return True

    def read_failed(self) -> bool:
        """Whether a failed read of the mint is made once more: a bounded number of times, inside the time."""
        self.reads += 1
        return self.reads < self.settings.read_tries_max and self.pause()

    def lost_race(self) -> bool:
        """Whether to choose again after another operation was faster: always inside the time, and a few
        times at once when no time is left."""
        self.races += 1
        return self.pause() or self.races < self.settings.selection_tries_max
