"""Clock, randomness and process of the computer the engine runs on; tests pass their own."""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from functools import cache
from pathlib import Path
from typing import Protocol

REST_PART_S = 0.5
"""Seconds after which a sleeping worker of a sweep looks whether it shall stop."""


class Clock(Protocol):
    """Where times come from, and how to wait."""

    def now(self) -> int:
        """Wall time, epoch ms. May jump."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump, from an arbitrary start."""
        ...

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def rest(clock: Clock, seconds: float, stopping: threading.Event | None) -> None:
    """Sleep, in parts, so that the wait ends within one part once ``stopping`` is set."""
    while seconds > 0 and not (stopping is not None and stopping.is_set()):
        part = seconds if stopping is None else min(seconds, REST_PART_S)
        clock.sleep(part)
        seconds = round(seconds - part, 6)


class Faults(Protocol):
    """Named points a test may die or raise at. Production passes through."""

    def reach(self, point: str) -> None: ...


class NoFaults:
    """The production form: every point is passed."""

    def reach(self, point: str) -> None:
        """Nothing happens."""


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:8]
    except OSError:
        return "-"


def _started(pid: int) -> str:
    """The start tick of a process ("" where the platform does not tell), so that a reused pid differs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _machine() -> str:
    """This machine: its id, which two machines do not share, else its host name."""
    try:
        return Path("/etc/machine-id").read_text(encoding="ascii").strip()[:16] or socket.gethostname()
    except OSError:
        return socket.gethostname()


def _gone(pid: int, started: str) -> bool:
    """True only if no such process exists, or the pid belongs to a later one."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False  # it exists, we may just not signal it
    now = _started(pid)
    return bool(now) and now != started


def _namespace() -> str:
    """The pid namespace's number: equal pids of two containers are not the same process."""
    try:
        return os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        return "-"


@cache
def _this_process() -> str:
    """The part of a worker's name that all drives of this process share. A fork is another process."""
    pid = os.getpid()
    return f"{_machine()}:{_boot_id()}:{_namespace()}:{pid}:{_started(pid)}"


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_this_process.cache_clear)


class Worker:
    """Who drives operations: machine, boot, pid namespace, pid, start tick and a random part, as one text."""

    def for_one_drive(self) -> str:
        """This process, with a random part of its own for one drive of one operation."""
        return f"{_this_process()}:{secrets.token_hex(6)}"

    def certainly_dead(self, other: str) -> bool:
        """True only if ``other`` ran on this machine and its process is gone. Not knowing is False."""
        parts, mine = other.split(":"), self.for_one_drive().split(":")
        if len(parts) != 6 or parts[0] != mine[0] or "-" in (parts[1], mine[1]) or not parts[4]:
            return False
        if parts[1] != mine[1]:
            return True
        if parts[2] != mine[2] or "-" in (parts[2], mine[2]):
            return False
        return parts[3].isdigit() and _gone(int(parts[3]), parts[4])
