"""The example of docs/recording.md is run as it stands."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import nutstate
from nutstate import Engine, Store
from tests.support import invariants
from tests.support.recording import proofs
from tests.support.wallet import NPUB

PAGE = Path(__file__).parents[2] / "docs" / "recording.md"


def test_the_example_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = PAGE.read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.S)
    shown = re.findall(r"^    (.+)$", text.split("```")[2], re.M)
    monkeypatch.chdir(tmp_path)
    nutstate.configure_logging("off")
    mint = nutstate.SimulatedMint()
    real: Callable[..., Engine] = nutstate.Engine
    monkeypatch.setattr(nutstate, "Engine", lambda store: real(store, mint))
    with nutstate.open_store("sqlite:///wallet.db") as store:
        real(store, mint).mint_tokens(
            npub=NPUB, mint_url=mint.url, amount=800, transaction_id="tx_deposit_0001"
        )
    scope: dict[str, Any] = {
        "npub": NPUB, "mint_url": mint.url, "keep": proofs(128, 64, 8), "change": proofs(32, 16, 2),
    }  # fmt: skip
    exec(compile(code, str(PAGE), "exec"), scope)
    assert capsys.readouterr().out.splitlines() == shown
    stored: Store = scope["store"]
    with closing(stored):
        invariants.check(stored)
