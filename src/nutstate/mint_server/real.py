"""The real Nutshell with its FakeWallet: an environment of its own, and the program in it.

Its pins do not fit ours, so it never shares our environment."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from ..engine.cashu.port import is_value
from ..engine.cashu.wire.http import HttpMint
from .errors import MintServerUnavailable

PINS = ("cashu==0.20.2", "marshmallow<4", "limits<5")
"""The packages that are installed. The Makefile names the same for `make test`."""
PYTHONS = ("python3.11", "python3.12", "python3.10", "python3")
_FITS = "import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))"
VARIABLE = "NUTSTATE_MINT_VENV"
BEGUN = ".installation-begun"
"""This file in the environment says that an installation was begun and not ended."""
START_S = 60.0
STOP_S = 10.0
Tell = Callable[[str], None]


def environment_of(default: Path) -> Path:
    """The folder of the environment: the variable's, else ``.venv-mint`` beside our own environment if a mint
    is in it, else ``default``."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    beside = Path(sys.prefix).parent / ".venv-mint"
    return beside if program_in(beside).exists() else default


def program_in(environment: Path) -> Path:
    """The mint's program."""
    return environment / "bin" / "mint"


def install(environment: Path, tell: Tell) -> Path:
    """The mint's program, installed if it is not there yet; ``tell`` hears what is done. The installer
    writes to standard error. MintServerUnavailable if it cannot be installed."""
    program, begun = program_in(environment), environment / BEGUN
    if program.exists() and not begun.exists():
        return program
    python = _python()
    tell(f"Installing the real mint ({', '.join(PINS)}) with {python} into {environment}")
    environment.mkdir(parents=True, exist_ok=True)
    begun.touch()
    _run([python, "-m", "venv", str(environment)], "cannot make an environment")
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
    _run([*pip, *PINS], "cannot install the mint")
    begun.unlink()
    tell(f"Installed; remove the folder {environment} to be rid of it")
    return program


def _python() -> str:
    for name in (sys.executable, *PYTHONS):
        found = shutil.which(name)
        if found and subprocess.run([found, "-c", _FITS], capture_output=True, check=False).returncode == 0:
            return found
    raise MintServerUnavailable(
        "the real mint needs Python 3.10, 3.11 or 3.12, and none is on PATH; install one of them"
    )


def _run(command: Sequence[str], failed: str) -> None:
    try:
        ran = subprocess.run(command, stdout=sys.stderr.fileno(), stdin=subprocess.DEVNULL, check=False)
    except OSError as error:
        raise MintServerUnavailable(f"{failed}: {type(error).__name__}") from None
    if ran.returncode:
        raise MintServerUnavailable(f"{failed}: `{' '.join(command[1:4])} …` ended with {ran.returncode}")


def variables(
    folder: Path, host: str, port: int, fee_ppk: int, seed: str = "TEST_PRIVATE_KEY"
) -> dict[str, str]:
    """The environment variables of a Nutshell that keeps everything in ``folder`` and pays nothing real."""
    inherited = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return inherited | {
        "HOME": str(folder),  # whatever the user's own cashu settings are
        "CASHU_DIR": str(folder),
        "MINT_DATABASE": str(folder / "mint"),
        "MINT_AUTH_DATABASE": str(folder / "auth"),
        "MINT_PRIVATE_KEY": seed,
        "MINT_BACKEND_BOLT11_SAT": "FakeWallet",
        "MINT_LISTEN_HOST": host,
        "MINT_LISTEN_PORT": str(port),
        "MINT_INPUT_FEE_PPK": str(fee_ppk),
        "MINT_RATE_LIMIT": "FALSE",
        "TOR": "FALSE",
        "FAKEWALLET_DELAY_INCOMING_PAYMENT": "0",
        "FAKEWALLET_DELAY_OUTGOING_PAYMENT": "0",
    }


class RealMint:
    """``with RealMint(program, folder, settings, url) as mint: mint.wait()``: a running Nutshell."""

    def __init__(self, program: Path, folder: Path, settings: Mapping[str, str], url: str) -> None:
        self.url = url
        self.log = folder / "output.log"
        self._folder = folder
        self._program = program
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        return 0 if self._process is None else self._process.pid

    def __enter__(self) -> RealMint:
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [str(self._program)],
                cwd=self._folder,
                env=dict(self._settings),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is ours: the mint is stopped in order
            )
        try:
            self._await_answer()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def wait(self) -> int:
        """Until it ends; its exit code."""
        return 0 if self._process is None else self._process.wait()

    def stop(self) -> None:
        """Ask it to end, then make it. Idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_S)

    def _await_answer(self) -> None:
        until = time.monotonic() + START_S
        with HttpMint(connect_s=1, read_s=5) as http:
            while time.monotonic() < until and self._process is not None and self._process.poll() is None:
                if is_value(http.info(self.url)):
                    return
                time.sleep(0.1)
        said = self.log.read_text(errors="replace").strip()[-500:]
        raise MintServerUnavailable(f"the real mint did not start; its last words, in {self.log}: {said}")
