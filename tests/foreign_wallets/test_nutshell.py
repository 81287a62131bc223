"""The Nutshell wallet at the mint server: nutshell/scene.py in the real mint's environment."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from nutstate.mint_server.serve import MintServer
from tests.diagrams.oracles.presence import not_run
from tests.servers.nutshell import mint_venv

from .conftest import TOKEN

pytestmark = [pytest.mark.oracle, pytest.mark.real_mint, pytest.mark.slow]
SCENE = Path(__file__).parent / "nutshell" / "scene.py"


def test_the_nutshell_wallet_funds_sends_receives_melts_and_restores(
    server: MintServer, tmp_path: Path
) -> None:
    """R711: each step ends as Nutshell expects it, and a wallet restored from its words has what it had."""
    python = mint_venv() / "bin" / "python"
    if not python.exists():
        not_run("the Nutshell wallet", f"there is no environment with cashu at {mint_venv()}")
    environment = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG")}
    ran = subprocess.run(
        [str(python), str(SCENE), server.url, TOKEN, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    told = json.loads(ran.stdout.splitlines()[-1])
    assert (told["funded"], told["token"], told["received"]) == (1000, "cashuB", 299)  # the fee of receiving
    assert "11001" in told["received_twice"] and "20004" in told["failed"]
    for lock in ("p2pk_without_key", "p2pk_sig_all_without_key", "htlc_without_preimage"):
        assert "11000" in told[lock]
    assert (told["p2pk"], told["p2pk_sig_all"], told["htlc"]) == (348, 397, 436)
    assert told["melt"]["state"] == "PAID" and told["melt"]["preimage"] == 64 and told["melt"]["change"] > 0
    assert (told["pending"], told["pending_states"], told["settled"]) == ("PENDING", ["pending"], "paid")
    assert told["restored_bob"] == told["balance_bob"] == 436
    # Nutshell does not keep the change of a melt that is settled later, but its restore finds it
    assert told["restored_alice"] == told["balance_alice"] + 1
