"""Whether a request that was sent may still be carried out."""

from __future__ import annotations

from attrs import frozen


@frozen
class SendClock:
    """The time since the last request of an operation, beside the settle window, both in milliseconds.

    The mint may carry a request out until the window is over. Before that its answer UNPAID or UNSPENT proves
    nothing. ``since_ms`` is None when no request was sent; then the window never ends and no time is left."""

    since_ms: int | None = None
    window_ms: int = 0

    @classmethod
    def timed(cls, window_ms: int, seconds: float) -> SendClock:
        """The clock of a process that sent the request itself: ``seconds`` passed on its monotonic clock."""
        whole = int(seconds * 1000 + 0.001)  # the difference of two floats may be a hair less than it is
        return cls(max(0, whole), window_ms)

    @classmethod
    def stamped(
        cls, window_ms: int, sent_at: int | None, now: int, *, proven_ms: int = 0, open_ms: int = 0
    ) -> SendClock:
        """The clock as the stored time of the sending tells it; ``sent_at`` and ``now`` are epoch ms.

        ``proven_ms`` counts instead where the wall clock was set back behind ``sent_at``. The request may
        have left its sender ``open_ms`` later than it says: that time is taken off."""
        if sent_at is None:
            return cls(None, window_ms)
        passed = now - sent_at if now >= sent_at else proven_ms
        return cls(max(0, passed - open_ms), window_ms)

    @property
    def over(self) -> bool:
        """Whether a request was sent and can no longer be carried out."""
        return self.since_ms is not None and self.since_ms >= self.window_ms

    @property
    def may_arrive(self) -> bool:
        """Whether a request was sent and may still be carried out."""
        return self.since_ms is not None and self.since_ms < self.window_ms

    @property
    def left_s(self) -> float:
        """Seconds until the window is over: 0 when it is, or when no request was sent."""
        return max(0, self.window_ms - self.since_ms) / 1000 if self.since_ms is not None else 0.0
