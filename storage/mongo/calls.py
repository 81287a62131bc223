"""How a gateway runs calls of the driver: never interrupted inside it, counted, and not begun after
``close()``."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from .gateway import GatewayUnavailable

T = TypeVar("T")


class Calls:
    """The running calls of one gateway.

    Only the main thread gets KeyboardInterrupt (Ctrl-C, or SIGTERM turned into it), at any instruction
    of the driver: between "committed" and "known to be", or while it holds a lock of its pool. So the
    main thread's calls run on a thread beside it. When the main thread is interrupted it leaves at
    once, and the call learns it by ``Left`` and ends in order.
    """

    def __init__(self) -> None:
        self.closed = False
        self._running = 0
        self._lock = threading.Lock()
        self._idle = threading.Event()  # set when the last call ended after close()
        self._aside: tuple[int, ThreadPoolExecutor] | None = None

    def run(self, call: Callable[[Left], T]) -> T:
        """``call`` with a flag that is set when no thread waits for its result any more."""
        if self.closed:
            raise GatewayUnavailable("the store is closed")
        left = Left()
        if threading.current_thread() is not threading.main_thread():
            with self._counted():
                return call(left)
        future = self._executor().submit(self._counted_call, call, left)
        try:
            return future.result()
        except BaseException:
            left.set()
            raise
        finally:
            del future  # its exception would keep this frame, and its values, alive

    def _counted_call(self, call: Callable[[Left], T], left: Left) -> T:
        with self._counted():
            return call(left)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            if self.closed:
                raise GatewayUnavailable("the store is closed")
            self._running += 1
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1
                if self.closed and not self._running:
                    self._idle.set()

    def _executor(self) -> ThreadPoolExecutor:
        # A fork takes no threads along: the child makes its own.
        if self._aside is None or self._aside[0] != os.getpid():
            self._aside = (os.getpid(), ThreadPoolExecutor(1, thread_name_prefix="nutstate-mongo"))
        return self._aside[1]

    def close(self, wait_s: float) -> None:
        """Let nothing begin, and wait until what runs has ended, at most ``wait_s``."""
        with self._lock:
            self.closed = True
            running = self._running
        if running:
            self._idle.wait(wait_s)
        if self._aside is not None and self._aside[0] == os.getpid():
            self._aside[1].shutdown(wait=False)


class Left(threading.Event):
    """Set when the caller has gone: an open transaction is to be aborted."""
