"""One ``mongod`` process on loopback: start, stop, kill, freeze. It never outlives ours."""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from ..errors import StoreUnavailable, StoreUnsupported
from .binary import environment, find_mongod

START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 20.0
_LISTENS: Final = b"Waiting for connections"
_PORT_TAKEN: Final = b"Address already in use"
# Ends the server when our end of the pipe closes without a word: however our process ended.
_GUARD: Final = 'read -r word || { kill -TERM "$1"; kill -CONT "$1"; }'


class PortTaken(StoreUnavailable):
    """Another process listens on the port of this node."""


class Node:
    """One server of a :class:`~nutstate.storage.local.replica_set.ReplicaSet`. Its folder holds the data and
    ``mongod.log``; both and the port stay the same over restarts."""

    def __init__(self, folder: Path, port: int, options: Sequence[str]) -> None:
        self.folder = folder
        self.port = port
        self.binary: Path | None = None
        self._options = tuple(options)
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._frozen = False
        self._log_start = 0

    def __repr__(self) -> str:
        return f"<Node {self.address} pid={self.pid}>"

    @property
    def address(self) -> str:
        """``127.0.0.1:PORT``."""
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """The log file of the server, from all its runs."""
        return self.folder / "mongod.log"

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        process = self._process
        if process is None:
            return None
        if process.poll() is not None:
            self._forget()
            return None
        return process.pid

    @property
    def answering(self) -> bool:
        """Whether the process runs and is not frozen."""
        return not self._frozen and self.pid is not None

    def start(self) -> None:
        """Start, or start again, and wait until it accepts connections. StoreUnavailable with the
        server's last word if it ends before that; PortTaken if that was why."""
        self.launch()
        self.wait_until_it_listens()

    def launch(self) -> None:
        """Start the process without waiting for it. Nothing happens if it runs."""
        if self.pid is not None:
            return
        self.binary = self.binary or find_mongod()
        command = [
            *(str(self.binary), "--bind_ip", "127.0.0.1", "--port", str(self.port)),
            *("--dbpath", str(self.folder), *self._options),
        ]
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as output:
                self._log_start = output.tell()
                self._process = subprocess.Popen(
                    command,
                    cwd=self.folder,
                    env=environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,  # Ctrl-C at the terminal is for us
                )
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise StoreUnavailable(f"mongod cannot start in {self.folder}: {why}") from error
        try:
            self._watch_over(self._process.pid)
        except BaseException:
            self.kill()
            raise

    def wait_until_it_listens(self) -> None:
        """Wait for a launched process. The log tells, not the port: the port may be another's."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            running = self.pid is not None
            output = self._output()
            if running and _LISTENS in output and self._accepts():
                return
            if not running:
                kind = PortTaken if _PORT_TAKEN in output else StoreUnavailable
                raise kind(f"mongod ended while starting on {self.address}: {last_word(output)}")
            time.sleep(0.02)
        said = last_word(self._output())
        self.kill()
        raise StoreUnavailable(f"mongod did not listen within {START_TIMEOUT_S:.0f} s: {said}")

    def _output(self) -> bytes:
        with self.log.open("rb") as file:
            file.seek(self._log_start)
            return file.read()

    def _accepts(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False

    def _watch_over(self, pid: int) -> None:
        if os.name == "nt":
            atexit.register(self.kill)
            return
        # Not PR_SET_PDEATHSIG: that one fires when the thread that started the server ends.
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "sh", str(pid)],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def stop(self) -> None:
        """Ask it to end (SIGTERM), after a while make it (SIGKILL). Nothing happens if it has ended."""
        self.ask_to_end()
        self.wait_until_it_ended()

    def ask_to_end(self) -> None:
        """Send SIGTERM, also to a frozen one, without waiting."""
        process = self._process
        if process is not None:
            process.terminate()
            self.thaw()

    def wait_until_it_ended(self) -> None:
        """Wait for a process that was asked to end; kill it after ``STOP_TIMEOUT_S``."""
        process = self._process
        if process is not None:
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            self._forget()

    def kill(self) -> None:
        """``kill -9``: it ends where it is. Returns when it is gone."""
        process = self._process
        if process is not None:
            process.kill()
            process.wait()
            self._forget()

    def freeze(self) -> None:
        """Stop it in the middle of whatever it does (SIGSTOP): its port still accepts, nothing answers."""
        if os.name == "nt":
            raise StoreUnsupported("a process cannot be frozen on this system")
        if self._process is not None and self.pid is not None:
            self._process.send_signal(signal.SIGSTOP)
            self._frozen = True

    def thaw(self) -> None:
        """Let a frozen one go on (SIGCONT)."""
        if self._frozen and self._process is not None:
            self._process.send_signal(signal.SIGCONT)
        self._frozen = False

    def _forget(self) -> None:
        self._process, self._frozen = None, False
        guard, self._guard = self._guard, None
        if guard is None:
            atexit.unregister(self.kill)
            return
        with suppress(BrokenPipeError):  # a guard that is gone needs no word
            guard.communicate(b"ended\n")


def last_word(output: bytes) -> str:
    """The message of the last error in a server's log, else of its last line, in one short line."""
    said, error = "no output", ""
    for line in output.decode(errors="replace").splitlines():
        try:
            entry: Any = json.loads(line)
        except ValueError:
            said = line.strip() or said
            continue
        if not isinstance(entry, dict):
            continue
        said = _message(entry)
        if entry.get("s") in ("E", "F") and not (error and _is_an_echo(said)):
            error = said
    return (error or said)[:300]


def _message(entry: dict[str, Any]) -> str:
    attributes = entry.get("attr") or {}
    why = attributes.get("error") or attributes.get("reason") or ""
    if isinstance(why, dict):
        why = why.get("errmsg") or why.get("codeName") or ""
    return " ".join(f"{entry.get('msg', '')}{': ' if why else ''}{why}".split())


def _is_an_echo(message: str) -> bool:
    """Lines that follow a fatal error and do not say what it was."""
    return message.startswith(("***", "Got signal", "Writing fatal message", "Fatal assertion", "Frame"))
