"""How much time has really passed, as far as a clock that may be set can tell."""

from __future__ import annotations

from attrs import frozen

from ..ports import Clock


@frozen
class Uptime:
    """When this engine began, on both clocks: epoch ms and monotonic seconds."""

    wall: int
    monotonic: float

    @classmethod
    def of(cls, clock: Clock) -> Uptime:
        """Beginning now."""
        return cls(clock.now(), clock.monotonic())

    def passed(self, since: int, now: int, monotonic: float, unproven_max: int) -> int:
        """Milliseconds from ``since`` to ``now``, both wall time, as far as they can be believed.

        The monotonic clock proves only what this engine ran itself; of the rest ``unproven_max`` is believed,
        so that a wall clock that was set forward counts for little. Negative when ``since`` lies ahead."""
        told = now - since
        if told < 0:
            return told
        proven = int((monotonic - self.monotonic) * 1000) - max(0, since - self.wall)
        return min(told, max(unproven_max, proven))
