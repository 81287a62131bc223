"""Code of a kind that raises while an operation is only read: told once, and never a failed read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ...storage.records import Operation
from .log import Log

T = TypeVar("T")

_TOLD_MAX = 1000


class HookFailures:
    """Answers of hooks that only read. Each failure is one warning in the log: once for an operation and a
    hook, as far back as a thousand of them."""

    def __init__(self, log: Log | None = None) -> None:
        self._log = log or Log()
        self._told: set[tuple[str, str]] = set()

    def answer(self, op: Operation, hook: str, ask: Callable[[], T], otherwise: T) -> T:
        """The hook's answer, or ``otherwise`` when its code raises."""
        try:
            return ask()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the kind's
            self.tell(op, hook, error)
            return otherwise

    def tell(self, op: Operation, hook: str, error: Exception) -> None:
        """Log it, unless this was done before."""
        if (op.id, hook) in self._told:
            return
        if len(self._told) >= _TOLD_MAX:
            self._told.clear()
        self._told.add((op.id, hook))
        self._log.hook_failed(op, hook, error)
