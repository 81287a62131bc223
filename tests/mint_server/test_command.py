"""``nutstate mint-server`` as a process: ready line, orderly end, crash, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from nutstate.engine.cashu.coins import outputs
from nutstate.engine.cashu.port import Ambiguous
from nutstate.engine.cashu.wire import bodies
from nutstate.engine.cashu.wire.http import HttpMint
from nutstate.engine.simulated.mint import SimulatedMint
from nutstate.storage.sqlite.store import SqliteStore
from tests.contract.mint.purse import Purse, value

COMMAND = [sys.executable, "-m", "nutstate", "mint-server", "--json"]
TOKEN = "a token for tests"


@contextmanager
def running(*args: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """The process and its ready line."""
    process = subprocess.Popen(
        [*COMMAND, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=_environment()
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()
        yield process, json.loads(line)
    finally:
        process.kill()
        process.communicate()


def _environment() -> dict[str, str]:
    return {name: text for name, text in os.environ.items() if not name.startswith("NUTSTATE_MINT_ADMIN")}


def refused(*args: str, **variables: str) -> tuple[int, str, str]:
    """The exit code, error code and message of a run that does not start."""
    ran = subprocess.run(
        [*COMMAND, *args],
        capture_output=True,
        text=True,
        env=_environment() | variables,
        check=False,
        timeout=120,
    )
    error = json.loads(ran.stdout)["error"]
    return ran.returncode, error["code"], error["message"]


def dumped(state: Path) -> dict[str, Any]:
    with SimulatedMint(path=state) as mint:
        return mint.dump()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_tells_where_it_is_and_ends_in_order(how: signal.Signals) -> None:
    """R714: one line of JSON when it answers, a free port of loopback, exit code 0 at SIGINT and SIGTERM."""
    with running("--port", "0", "--unit", "sat", "--unit", "usd") as (process, told):
        assert told["url"].startswith("http://127.0.0.1:") and told["state"] is None and told["admin"] is None
        with HttpMint() as port:
            assert {info.unit for info in value(port.keysets(told["url"]))} == {"sat", "usd"}
        process.send_signal(how)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (0, "", "")


def test_killed_between_signature_and_answer_it_starts_again_with_all(tmp_path: Path) -> None:
    """R715: a mint that is killed before it answers has every signature after its next start."""
    state = str(tmp_path / "mint.db")
    options = ("--port", "0", "--state", state, "--admin-token", TOKEN, "--seed", "mine")
    with HttpMint() as port, running(*options) as (process, told):
        purse = Purse(port, told["url"])
        purse.fund(64)
        inputs, outs = list(purse.proofs), purse.outputs(63)
        httpx.post(
            f"{told['url']}/admin/faults/next",
            json={"endpoint": "swap", "faults": [{"kind": "answer_lost"}]},
            headers={"authorization": f"Bearer {TOKEN}"},
            trust_env=False,
        ).raise_for_status()
        assert isinstance(port.swap(told["url"], bodies.swap_body(inputs, outs)), Ambiguous)
        process.kill()
        process.wait()
    with HttpMint() as port, running(*options) as (_, told):
        purse = Purse(port, told["url"])
        restored = value(port.restore(told["url"], outputs.blinded(outs)))
        proofs = outputs.unblind_restored(outs, restored, purse.keys_for)
        assert sum(proof.amount for proof in proofs) == 63
        assert (purse.states(inputs), purse.states(proofs)) == ({"SPENT"}, {"UNSPENT"})


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """R713: a file of another seed, unit or fee, a wallet, and what is no file of a mint are refused."""
    state = tmp_path / "mint.db"
    with running("--port", "0", "--state", str(state)) as (_, told):
        assert told["state"] == str(state)
    before = dumped(state)
    for option in (("--seed", "other"), ("--unit", "usd"), ("--input-fee-ppk", "7")):
        assert refused("--port", "0", "--state", str(state), *option)[:2] == (1, "MINT_FILE_DIFFERS")
    assert dumped(state) == before
    SqliteStore(f"sqlite:///{tmp_path}/wallet.db").close()
    assert refused("--port", "0", "--state", str(tmp_path / "wallet.db"))[:2] == (1, "STORE_UNSUPPORTED")
    (tmp_path / "text").write_text("no database at all, but a text of some length" * 50)
    assert refused("--port", "0", "--state", str(tmp_path / "text"))[:2] == (1, "STORE_UNAVAILABLE")


def test_wrong_command_lines() -> None:
    """R714: options that cannot be meant are wrong usage, and a taken address is told."""
    for args in (
        ("--port", "65536"),
        ("--admin-token", "short"),
        ("--seed", " "),
        ("--unit", "SAT"),
        ("--real", "--admin-token", TOKEN),
        ("--real", "--no-auto-pay"),
        ("--input-fee-ppk", "-1"),
    ):
        assert refused(*args)[:2] == (2, "USAGE")
    assert refused(NUTSTATE_MINT_ADMIN_TOKEN="")[:2] == (2, "USAGE")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, word, message = refused("--port", port)
        assert (code, word) == (1, "MINT_SERVER_UNAVAILABLE") and port in message
    assert refused("--host", "nowhere.invalid")[:2] == (1, "MINT_SERVER_UNAVAILABLE")


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    """R716: without the extra the command names it; neither `nutstate` nor the engine ever import it."""
    (tmp_path / "starlette.py").write_text("raise ModuleNotFoundError('gone', name='starlette')\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    code, word, message = refused("--port", "0", PYTHONPATH=path)
    assert (code, word) == (1, "EXTRA_MISSING") and "nutstate[mint-server]" in message
    program = "import sys; from nutstate import Engine, SimulatedMint; print({*sys.modules} & {*sys.argv})"
    ran = subprocess.run(
        [sys.executable, "-c", program, "starlette", "uvicorn"], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "set()"
