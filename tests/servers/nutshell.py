"""A real Cashu mint (Nutshell with its FakeWallet) as a child process on loopback.

It runs in a virtual environment of its own (``NUTSTATE_MINT_VENV`` or ``.venv-mint`` beside the
repository's ``.venv``); its pins do not fit ours. One object is one mint: restarts keep its folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType

import pytest

from nutstate.mint_server.real import variables

REPOSITORY = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 40.0
STOP_TIMEOUT_S = 10.0


class MintUnavailable(RuntimeError):
    """The mint could not be started; the message says why and shows the end of its output."""


def mint_venv() -> Path:
    """The virtual environment with ``cashu`` in it."""
    return Path(os.environ.get("NUTSTATE_MINT_VENV") or REPOSITORY / ".venv-mint")


def start_or_skip(mint: Nutshell) -> Nutshell:
    """Start the mint for tests. If it cannot be: a failure on CI (``CI`` is set), elsewhere a skip
    that says what did not run and why."""
    try:
        return mint.__enter__()
    except MintUnavailable as error:
        if os.environ.get("CI"):
            pytest.fail(f"the real mint must run on CI: {error}", pytrace=False)
        pytest.skip(f"NOT RUN against a real mint: {error}")


class Nutshell:
    """``with Nutshell(fee_ppk=100) as mint: HttpMint().info(mint.url)``.

    ``settings`` are FakeWallet settings without their prefix, in lower case: ``pay_invoice_state="PENDING"``,
    ``payment_state="SETTLED"``, ``delay_outgoing_payment=2``, ``payment_state_exception=True`` …; names
    starting with ``mint_`` are passed as they are. An empty mint costs 2-4 s to start and about 110 MB."""

    def __init__(self, fee_ppk: int = 100, **settings: object) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="nutstate-mint-"))
        self.log = self.folder / "output.log"
        self._fee_ppk = fee_ppk
        self.settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """Where it listens. The port stays the same over restarts."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start and wait until it answers; :class:`MintUnavailable` if it does not."""
        program = mint_venv() / "bin" / "mint"
        if not program.exists():
            raise MintUnavailable(f"no mint at {program}: install cashu there or set NUTSTATE_MINT_VENV")
        known = self._port
        for _ in range(3):
            self._port = known or _free_port()
            self._launch(program)
            if self._wait_until_it_answers():
                return
            output = self.log.read_text(errors="replace")[-1000:]
            self.stop()
            # another program may have taken the port between finding and using it
            if known or "address already in use" not in output.lower():
                break
        raise MintUnavailable(f"the mint did not start within {START_TIMEOUT_S:.0f} s: {output}")

    def _launch(self, program: Path) -> None:
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [str(program)], cwd=self.folder, env=self._environment(), stdout=output, stderr=output
            )

    def stop(self) -> None:
        """Ask it to end, then make it."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """``kill -9``: it ends where it is."""
        self._end(signal.SIGKILL)

    def restart(self, **settings: object) -> None:
        """The same mint, on the same folder and port, with other FakeWallet settings."""
        self.stop()
        self.settings = settings
        self.start()

    def __enter__(self) -> Nutshell:
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _environment(self) -> dict[str, str]:
        ours = variables(self.folder, "127.0.0.1", self._port, self._fee_ppk)
        for name, value in self.settings.items():
            full = name.upper() if name.startswith("mint_") else f"FAKEWALLET_{name.upper()}"
            ours[full] = str(value).upper() if isinstance(value, bool) else str(value)
        return ours

    def _wait_until_it_answers(self) -> bool:
        deadline = time.monotonic() + START_TIMEOUT_S
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                return False
            try:
                with opener.open(f"{self.url}/v1/info", timeout=1):
                    return True
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        return False

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(how)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_TIMEOUT_S)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
