"""Calls that begin at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from nutstate import NutstateError


def together(
    calls: Sequence[Callable[[], Any]], losses: tuple[type[Exception], ...] = (NutstateError,)
) -> list[Any]:
    """What each call returned, or which of ``losses`` it raised, in order. Other errors are raised."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        start.wait()
        try:
            return call()
        except losses as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))
