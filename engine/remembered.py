"""A memory of bounded size: the entry that was unused for longest is forgotten first."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import Any, Generic, TypeVar
from weakref import WeakSet

K = TypeVar("K")
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """At most ``most`` entries. Not safe to share between threads: its owner holds the lock."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._entries: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """The entry, now the most recently used one, or None."""
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return self._entries[key]

    def put(self, key: K, value: V) -> None:
        """Keep the entry, and forget the longest unused one above the limit."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        while len(self._entries) > self._most:
            self._entries.popitem(last=False)

    def forget(self, key: K) -> None:
        """Drop the entry if there is one."""
        self._entries.pop(key, None)


class SharedMemory(Generic[K, V]):
    """The same for all threads of a process. The child of a fork begins with what its parent knew."""

    def __init__(self, most: int) -> None:
        self._lock = threading.Lock()
        self._entries: Remembered[K, V] = Remembered(most)
        _SHARED.add(self)

    def get(self, key: K) -> V | None:
        """As :meth:`Remembered.get`."""
        with self._lock:
            return self._entries.get(key)

    def put(self, key: K, value: V) -> None:
        """As :meth:`Remembered.put`."""
        with self._lock:
            self._entries.put(key, value)

    def renew_lock(self) -> None:
        """In the child of a fork: a thread of the parent that held the lock is not there to give it back."""
        self._lock = threading.Lock()


_SHARED: WeakSet[SharedMemory[Any, Any]] = WeakSet()


def _after_fork() -> None:
    for memory in _SHARED:
        memory.renew_lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
