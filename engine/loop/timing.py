"""The times of a drive: calls of the mint and commits, counted on the monotonic clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from ..cashu.port import MintPort
from ..ports import Clock

MOST = 2**31 - 1
MINT_KINDS = (
    "info", "keysets", "keys", "melt_quote", "melt_quote_state", "melt", "check_states", "swap", "restore",
    "mint_quote", "mint_quote_state", "mint",
)  # fmt: skip


class Spent:
    """Counts and milliseconds of one drive that no commit has stored yet.

    The names are those of ``Operation.timings``: ``commit_tries``, ``store_ms``, ``mint_calls``, ``mint_ms``
    and for each kind of call ``calls_<kind>`` and ``ms_<kind>``. Fractions of a millisecond are carried
    over, so that many quick calls are not counted as nothing.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counted: dict[str, float] = {}
        self._base: tuple[str, Mapping[str, int]] = ("", {})
        self._offered: dict[str, int] = {}

    def add(self, **counted: float) -> None:
        for name, value in counted.items():
            self._counted[name] = self._counted.get(name, 0) + value

    @contextmanager
    def commit(self) -> Iterator[None]:
        """Count one commit of the store, also one that fails."""
        started = self._clock.monotonic()
        try:
            yield
        finally:
            self.add(commit_tries=1, store_ms=self._since(started))

    @contextmanager
    def mint_call(self, kind: str) -> Iterator[None]:
        """Count one call of the mint."""
        started = self._clock.monotonic()
        try:
            yield
        finally:
            took = self._since(started)
            self.add(mint_calls=1, mint_ms=took, **{f"calls_{kind}": 1, f"ms_{kind}": took})

    def onto(self, batch_id: str, stored: Mapping[str, int]) -> dict[str, int]:
        """``Operation.timings`` with what was counted since. Asked twice for one batch it gives the
        same base; ``stored`` is what the batch found stored."""
        if self._base[0] != batch_id:
            self._base = (batch_id, dict(stored))
        base = self._base[1]
        self._offered = {name: int(value) for name, value in self._counted.items()}
        names = sorted({*base, *self._offered})
        return {name: min(MOST, base.get(name, 0) + self._offered.get(name, 0)) for name in names}

    def stored(self) -> None:
        """The last result of :meth:`onto` has been committed; later counts wait for the next commit."""
        for name, value in self._offered.items():
            self._counted[name] -= value
        self._offered = {}

    def _since(self, started: float) -> float:
        return max(0.0, (self._clock.monotonic() - started) * 1000)


def timed(mint: MintPort, spent: Spent) -> MintPort:
    """The same mint port, every call of it counted."""
    return cast(MintPort, _Timed(mint, spent))


class _Timed:
    def __init__(self, mint: MintPort, spent: Spent) -> None:
        self._mint, self._spent = mint, spent

    def __getattr__(self, name: str) -> Any:
        there = getattr(self._mint, name)
        if name not in MINT_KINDS:
            return there

        def call(*args: Any, **named: Any) -> Any:
            with self._spent.mint_call(name):
                return there(*args, **named)

        return call
