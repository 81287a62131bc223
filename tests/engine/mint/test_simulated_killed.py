"""A process killed in the middle of a call finds the same mint again: committed, then answered."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from nutstate.engine.simulated.mint import SimulatedMint
from tests.contract.mint.purse import Purse
from tests.engine.mint.test_simulated import Melt

pytestmark = pytest.mark.disk

CHILD = """
    import os, signal, sys
    from nutstate.engine.simulated.mint import SimulatedMint
    from nutstate.engine.simulated.state import SimulatedState
    from nutstate.storage.secret import Secret
    path, when, body = sys.argv[1], sys.argv[2], sys.stdin.read()
    mint = SimulatedMint(path=path)
    put, execute = SimulatedState.put, SimulatedMint._execute
    def die_inside(self, kind, key, value):
        put(self, kind, key, value)
        if kind == "payment":
            os.kill(os.getpid(), signal.SIGKILL)
    def die_after(self, run, faults):
        execute(self, run, faults)
        os.kill(os.getpid(), signal.SIGKILL)
    if when == "inside":
        SimulatedState.put = die_inside
    else:
        SimulatedMint._execute = die_after
    mint.melt(mint.url, Secret(body))
"""


@pytest.mark.parametrize(
    ("when", "state", "inputs"), [("inside", "UNPAID", "UNSPENT"), ("after", "PAID", "SPENT")]
)
def test_kill_minus_nine(tmp_path: Path, when: str, state: str, inputs: str) -> None:
    path = tmp_path / "mint.db"
    with SimulatedMint(path=path) as mint:
        purse = Purse(mint, mint.url)
        purse.fund(2048)
        melt = Melt(mint, purse)
        child = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(CHILD), str(path), when],
            input=melt.body.reveal().encode(),
            env=dict(os.environ),
            timeout=60,
            check=False,
        )
        assert child.returncode == -signal.SIGKILL
        assert (melt.state().state, melt.inputs_are()) == (state, {inputs})
        if when == "after":
            assert melt.change(melt.state()) == 5
