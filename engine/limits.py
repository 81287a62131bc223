"""How many inputs a mint takes in one request, as far as it was found out."""

from __future__ import annotations

import threading

from .remembered import Remembered

NO_LIMIT = 1 << 30
MINTS_MAX = 1000


class InputLimits:
    """Per mint the most inputs worth trying. Kept in memory only, the longest unused forgotten: what is
    forgotten is found out again, at no cost but one refusal. Safe to share between threads."""

    def __init__(self, mints_max: int = MINTS_MAX) -> None:
        self._lock = threading.Lock()
        self._known: Remembered[str, int] = Remembered(mints_max)

    def of(self, mint_url: str) -> int:
        """The most inputs worth trying at this mint."""
        with self._lock:
            return self._known.get(mint_url) or NO_LIMIT

    def learn(self, mint_url: str, too_many: int) -> None:
        """The mint said that ``too_many`` inputs are too many: half of them are tried next."""
        with self._lock:
            known = self._known.get(mint_url) or NO_LIMIT
            self._known.put(mint_url, max(1, min(known, too_many // 2)))
