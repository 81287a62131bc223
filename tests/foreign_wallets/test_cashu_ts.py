"""cashu-ts, the library of web wallets, at the mint server. Its scene is cashu_ts/scene.mjs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from nutstate.mint_server.serve import MintServer
from tests.support.node import find_node, packages

from .conftest import TOKEN

pytestmark = [pytest.mark.oracle, pytest.mark.slow]
HERE = Path(__file__).parent / "cashu_ts"
NODE_MIN = 22  # what cashu-ts asks for


def test_cashu_ts_funds_sends_receives_melts_and_restores(server: MintServer) -> None:
    """R710: each step ends as cashu-ts expects it, and each wallet restored from its seed has what it had."""
    node = find_node("cashu-ts", NODE_MIN)
    library = packages(node, "cashu-ts", HERE) / "@cashu" / "cashu-ts" / "lib" / "cashu-ts.es.js"
    ran = subprocess.run(
        [*node.node, str(HERE / "scene.mjs"), str(library), server.url, TOKEN],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["offers"] == [4, 5, 7, 8, 9, 10, 11, 12, 14, 20]
    assert (told["paid"], told["funded"], told["fundedLocked"]) == ("PAID", 1000, 64)
    assert (told["token"], told["states"]) == ("cashuB", ["SPENT"])
    assert told["received"] == 300 and told["receivedTwice"]["code"] == 11001
    for lock in ("p2pk", "p2pkSigAll"):
        assert told[lock] == 50 and told[f"{lock}WithoutKey"]["code"] == 11000
    assert told["melt"]["state"] == "PAID" and told["melt"]["preimage"] == 64 and told["melt"]["change"] > 0
    assert (told["pending"], told["pendingStates"], told["settled"]) == ("PENDING", ["PENDING"], "PAID")
    assert told["failed"]["code"] == 20004
    # the change of the melt that was settled later is in no purse yet: restore finds it
    assert told["restored"] == {"alice": told["alice"] + told["settledChange"], "bob": told["bob"]}
    assert (told["bob"], told["lost"], told["lostRestored"]) == (400, "fetch failed", 128)
