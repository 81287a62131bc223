"""The demo: every outcome, twice in one folder, and the example of the README."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nutstate.storage.port import OperationQuery
from nutstate.storage.sqlite.store import SqliteStore
from tests.servers.nutshell import Nutshell, start_or_skip

from .conftest import NPUB, Wallet

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def place(empty: Wallet) -> Wallet:
    """Where the demo runs: its own folder, in which the other commands find the same wallet."""
    return empty


def test_twice_in_one_folder(place: Wallet) -> None:
    first = place.process("demo", "--dir", str(place.folder))
    assert first.code == 0 and first.err == ""
    for words in (
        "Funding",
        "prepared → paying",
        "melt reconciled",
        "hash chain verified",
        "holds",
        "Try next",
    ):
        assert words in first.out
    second = place.process("demo", "--dir", str(place.folder), "--amount", "40")
    assert second.code == 0 and "Funding" not in second.out and "melt reconciled" in second.out
    assert "898 sat before" in second.out
    melts = place.run("history", "--kind", "melt", "--json").json["operations"]
    assert [melt["amount"] for melt in melts] == [40, 100]
    assert place.run("show", melts[0]["id"]).code == 0


@pytest.mark.parametrize(
    ("outcome", "state", "passes"),
    [
        ("paid", "reconciled", ("paying", "paid")),
        ("pending", "reconciled", ("pending", "paid")),
        ("failed", "released", ("unknown", "unpaid", "fencing")),
        ("lost", "reconciled", ("unknown", "paid")),
    ],
)
def test_outcomes(place: Wallet, outcome: str, state: str, passes: tuple[str, ...]) -> None:
    ran = place.run("demo", "--dir", str(place.folder), "--outcome", outcome, "--json")
    document = ran.json
    operation, terms = document["operation"], document["conservation"]
    assert ran.code == 0 and operation["state"] == state and document["chain_verified"]
    states = [
        step["to"] for step in document["transitions"] if step["entity"] == f"operation:{operation['id']}"
    ]
    assert [name for name in states if name in passes] == list(passes)
    parts = {name: value for name, value in terms.items() if name not in ("sources", "holds")}
    assert terms["holds"] and terms["sources"] == sum(parts.values())
    cost = document["balance_before"] - document["balance_after"]
    if state == "reconciled":
        assert cost == operation["amount"] + operation["lightning_fee"] + operation["input_fee"]
        assert operation["lightning_fee"] < operation["fee_reserve"]
    else:
        assert cost == terms["fence_fee"] and parts["swapped_back"] + cost == operation["inputs"]
    assert document["balance_after"] == place.worth()["unspent"]
    assert document["store"] == place.url and document["mint_state"] == str(place.state)
    assert Path(document["diagram"]).exists() and document["npub"] == NPUB


def test_the_text_of_every_outcome_has_what_the_json_has(place: Wallet) -> None:
    for outcome in ("pending", "failed", "lost"):
        ran = place.run("demo", "--dir", str(place.folder), "--outcome", outcome)
        assert ran.code == 0 and ran.err == "" and "Conservation: sources" in ran.out
        assert "settle window is 1 s" in ran.out and "not real money" in ran.out


def test_an_interrupted_run_is_finished_by_the_next(place: Wallet) -> None:
    assert place.run("demo", "--dir", str(place.folder)).code == 0
    with place.mint() as mint:
        mint.lightning.script("*", "PENDING")
    assert place.run("melt", place.invoice(30), "--wait", "0").code == 3
    with place.mint() as mint:
        mint.lightning.script("*", "PAID")
    ran = place.run("demo", "--dir", str(place.folder))
    assert ran.code == 0 and "earlier run" in ran.out
    with SqliteStore(place.url) as store:
        assert not [op for op in store.operations(OperationQuery()) if op.finished_at is None]


def test_the_environment_never_sends_the_demo_to_another_wallet(wallet: Wallet) -> None:
    folder = wallet.folder / "demo"
    ran = wallet.run("demo", "--dir", str(folder), env={"NUTSTATE_MINT": "https://mint.example"})
    assert ran.code == 0 and str(folder) in ran.out
    assert wallet.worth() == {"unspent": 1000}


def test_the_example_runs_as_it_is(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "examples" / "embed.py")],
        cwd=tmp_path,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == (
        "paid: 100 sat, cost 2 sat, change 2 sat\nthe wallet owns 898 sat, 12 audit records\n"
    )


@pytest.fixture(scope="module")
def nutshell() -> Iterator[Nutshell]:
    mint = start_or_skip(Nutshell(fee_ppk=100))
    try:
        yield mint
    finally:
        mint.__exit__(None, None, None)


@pytest.mark.real_mint
@pytest.mark.slow
def test_against_a_real_mint(place: Wallet, nutshell: Nutshell) -> None:
    for expected in (True, False):
        ran = place.process("demo", "--mint", nutshell.url, "--dir", str(place.folder))
        assert ran.code == 0 and ("Pay this invoice" in ran.out) is expected and "melt reconciled" in ran.out
    ran = place.process("mint", "21", "--mint", nutshell.url, "--json")
    assert ran.code == 0 and json.loads(ran.out)["operation"]["state"] == "issued" and "lnbc" in ran.err
