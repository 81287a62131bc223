"""The real Nutshell: where it is looked for, how it is installed, and that it runs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nutstate.engine.cashu.wire.http import HttpMint
from nutstate.mint_server import real
from nutstate.mint_server.errors import MintServerUnavailable
from tests.contract.mint.purse import Purse
from tests.diagrams.oracles.presence import not_run
from tests.servers.nutshell import mint_venv
from tests.sources.tree import ROOT


def fake_python(folder: Path, pip: str) -> Path:
    """A Python of the wanted age whose environments have this for ``pip install``."""
    program = folder / "python3.11"
    program.write_text(
        "#!/bin/sh\n"
        '[ "$1" = -c ] && exit 0\n'
        '[ "$2" = venv ] && { mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; exit 0; }\n'
        f"{pip}\n"
    )
    program.chmod(0o755)
    return program


INSTALLS = 'd=$(dirname "$0"); echo "$@" >> "$d/asked"; printf "#!/bin/sh\\n" > "$d/mint"; exit 0'


@pytest.fixture
def only_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A path on which our fake Python is found first."""
    folder = tmp_path / "path"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(sys, "executable", str(folder / "python3.11"))
    return folder


def test_it_is_installed_once_and_says_where(only_ours: Path, tmp_path: Path) -> None:
    """R717: the first run installs the pinned mint and says what and where, the next one finds it."""
    fake_python(only_ours, INSTALLS)
    environment, said = tmp_path / "real-mint", list[str]()
    program = real.install(environment, said.append)
    assert program.exists() and len(said) == 2
    assert all(str(environment) in line for line in said) and all(pin in said[0] for pin in real.PINS)
    assert set(real.PINS) < set((environment / "bin" / "asked").read_text().split())
    assert real.install(environment, said.append) == program and len(said) == 2


def test_a_broken_installation_is_begun_again(only_ours: Path, tmp_path: Path) -> None:
    """R717: what fails is told with a code, and an installation that did not end counts as none."""
    fake_python(only_ours, INSTALLS.replace("exit 0", "exit 3"))
    environment, said = tmp_path / "real-mint", list[str]()
    with pytest.raises(MintServerUnavailable, match=r"cannot install the mint.*ended with 3") as refused:
        real.install(environment, said.append)
    assert refused.value.code == "MINT_SERVER_UNAVAILABLE" and real.program_in(environment).exists()
    fake_python(only_ours, INSTALLS)
    real.install(environment, said.append)
    assert len(said) == 3


def test_without_a_python_of_the_age_it_says_so(
    only_ours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R717: no Python 3.10 to 3.12 is told, and nothing is made."""
    monkeypatch.setenv("PATH", str(only_ours))
    with pytest.raises(MintServerUnavailable, match=r"Python 3\.10, 3\.11 or 3\.12"):
        real.install(tmp_path / "real-mint", lambda _: None)
    assert not (tmp_path / "real-mint").exists()


def test_where_it_is_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """R717: the variable, else `.venv-mint` beside our own environment, else the user's folder."""
    monkeypatch.setenv(real.VARIABLE, str(tmp_path / "named"))
    assert real.environment_of(tmp_path / "default") == tmp_path / "named"
    monkeypatch.delenv(real.VARIABLE)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    assert real.environment_of(tmp_path / "default") == tmp_path / "default"
    program = real.program_in(tmp_path / ".venv-mint")
    program.parent.mkdir(parents=True)
    program.touch()
    assert real.environment_of(tmp_path / "default") == tmp_path / ".venv-mint"


def test_the_makefile_installs_the_same() -> None:
    """R717: `make test` and `mint-server --real` install the same release."""
    pins = re.search(r"^MINT_PINS := (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert pins is not None and tuple(pins[1].split()) == real.PINS


def test_a_mint_that_does_not_start_is_told_with_its_words(tmp_path: Path) -> None:
    """R717: a mint that ends at once is an error with its last words."""
    program = tmp_path / "mint"
    program.write_text("#!/bin/sh\necho broken on purpose\n")
    program.chmod(0o755)
    with pytest.raises(MintServerUnavailable, match="broken on purpose"):
        with real.RealMint(program, tmp_path, {}, "http://127.0.0.1:1"):
            raise AssertionError("it runs")


@pytest.mark.real_mint
@pytest.mark.slow
def test_the_real_mint_runs_until_it_is_interrupted(tmp_path: Path) -> None:
    """R717: it answers where it says, keeps its data in the folder, and ends in order."""
    if not real.program_in(mint_venv()).exists():
        not_run("a real mint", f"no mint in {mint_venv()}")
    command = [sys.executable, "-m", "nutstate", "mint-server", "--real", "--port", "0", "--json"]
    process = subprocess.Popen(
        [*command, "--state", str(tmp_path / "data"), "--input-fee-ppk", "7"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {real.VARIABLE: str(mint_venv())},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()
        told = json.loads(line)
        with HttpMint() as port:
            purse = Purse(port, told["url"])
            purse.fund(8)
        assert told["kind"] == "nutshell" and (tmp_path / "data" / "mint").exists()
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=60) == ("", "") and process.returncode == 0
    finally:
        process.kill()
        process.communicate()


def test_a_mint_that_ends_by_itself_is_an_error(tmp_path: Path) -> None:
    """R717: the command ends with the mint, and says so."""
    program = real.program_in(tmp_path / "venv")
    program.parent.mkdir(parents=True)
    answers = (
        "import http.server, os\n"
        "class Once(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200); self.end_headers(); self.wfile.write(b'{}')\n"
        "address = ('127.0.0.1', int(os.environ['MINT_LISTEN_PORT']))\n"
        "http.server.HTTPServer(address, Once).handle_request()\n"
        "raise SystemExit(7)\n"
    )
    program.write_text(f"#!{sys.executable}\n{answers}")
    program.chmod(0o755)
    ran = subprocess.run(
        [sys.executable, "-m", "nutstate", "mint-server", "--real", "--port", "0"],
        env=os.environ | {real.VARIABLE: str(tmp_path / "venv")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 1 and "exit code 7" in ran.stderr and "The mint answers at" in ran.stdout
