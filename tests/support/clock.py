"""A clock tests can move. Sleeping moves it; wall and monotonic time can be torn apart."""

from __future__ import annotations

import threading


class FakeClock:
    def __init__(self, now_ms: int = 1_800_000_000_000) -> None:
        self.wall = now_ms
        self.mono = 1000.0
        self.slept = 0.0
        self._lock = threading.Lock()

    def now(self) -> int:
        return self.wall

    def monotonic(self) -> float:
        return self.mono

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept += seconds
            self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Time passes on both clocks."""
        self.wall += round(seconds * 1000)
        self.mono += seconds

    def jump(self, seconds: float) -> None:
        """Only the wall clock is set."""
        self.wall += round(seconds * 1000)
