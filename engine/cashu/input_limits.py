"""How many inputs a mint takes in one request, as far as it was found out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ..remembered import Remembered

NO_LIMIT = 1 << 30
MINTS_MAX = 1000
FORGET_AFTER_S = 3600.0
"""A refusal may be a mood, and half of what was refused is a guess: after this time it is found out again."""


class InputLimits:
    """Per mint the most inputs worth trying. Kept in memory only, for an hour after the last refusal, the
    longest unused forgotten: a forgotten limit is found out again, at the cost of one refusal. ``monotonic``
    gives seconds. Safe to share between threads."""

    def __init__(self, mints_max: int = MINTS_MAX, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._monotonic = monotonic
        self._known: Remembered[str, tuple[int, float]] = Remembered(mints_max)

    def of(self, mint_url: str) -> int:
        """The most inputs worth trying at this mint."""
        with self._lock:
            most, learned = self._known.get(mint_url) or (NO_LIMIT, 0.0)
            return most if self._monotonic() - learned < FORGET_AFTER_S else NO_LIMIT

    def learn(self, mint_url: str, too_many: int) -> None:
        """The mint said that ``too_many`` inputs are too many: half of them are tried next."""
        most = max(1, min(self.of(mint_url), too_many // 2))
        with self._lock:
            self._known.put(mint_url, (most, self._monotonic()))
