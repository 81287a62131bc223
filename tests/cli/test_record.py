"""``hold``, ``unhold`` and ``record-melt`` as a person or a script runs them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.recording import as_json, proofs

from .conftest import FUNDS, NPUB, Ran, Wallet

URL = "https://mint.simulated"


def source(wallet: Wallet) -> str:
    (funded,) = wallet.run("history", "--json").json["operations"][-1:]
    return f"{funded['id']}_minted"


def record(wallet: Wallet, *flags: str, by_stdin: bool = False, **given: Any) -> Ran:
    said = {"npub": NPUB, "mint_url": URL, "amount": 900, "fee": 10, "keep": [], "change": [], **given}
    if by_stdin:
        return wallet.run("record-melt", "--file", "-", *flags, stdin=json.dumps(said))
    file = wallet.folder / "melt.json"
    file.write_text(json.dumps(said))
    return wallet.run("record-melt", "--file", str(file), *flags)


@pytest.mark.parametrize("by_stdin", [False, True])
def test_record_a_melt(wallet: Wallet, by_stdin: bool) -> None:
    keep, change = [as_json(p) for p in proofs(64, 6, tag="k")], [as_json(p) for p in proofs(20, tag="c")]
    given: dict[str, Any] = {"sources": [source(wallet)], "transaction_id": "tx_by_hand_1"}
    given |= {"keep": keep, "change": change}
    ran = record(wallet, "--json", by_stdin=by_stdin, **given)
    assert ran.code == 0, ran.err
    recorded = ran.json["recorded"]
    assert (recorded["keep_amount"], recorded["melt_change_amount"]) == (70, 20)
    assert [made["proof_count"] for made in recorded["operations"]] == [2, 1]
    assert ran.json["operation"]["state"] == "reconciled"
    assert {s: n for s, n in wallet.worth().items() if n} == {"unspent": 90, "spent": FUNDS}
    again = record(wallet, **given)
    assert again.code == 0 and "tx_by_hand_1_keep" in again.out and "as the caller recorded it" in again.out
    shown = wallet.run("show", "tx_by_hand_1")
    assert shown.code == 0 and "hash chain verified" in shown.out and "holds" in shown.out


def test_hold_and_record(wallet: Wallet) -> None:
    held = wallet.run("hold", source(wallet), "--ttl", "60", "--json")
    assert held.code == 0 and held.json["operation"]["state"] == "held"
    assert [step.split()[1] for step in held.json["next"]] == ["record-melt", "unhold"]
    assert wallet.run("recover", "--wait", "5").code == 0, "it waits for its caller"
    other = wallet.run("hold", source(wallet), "--ttl", "60", "--json")
    assert other.code == 1 and other.json["error"]["code"] == "CONCURRENT_OPERATION"
    done = record(wallet, "--json", hold=held.json["operation"]["id"], amount=FUNDS, fee=0)
    assert done.code == 0 and done.json["recorded"]["transaction_id"] == held.json["operation"]["id"]


def test_hold_and_unhold(wallet: Wallet) -> None:
    held = wallet.run("hold", source(wallet), "--ttl", "60", "--json").json["operation"]["id"]
    assert wallet.run("unhold", held).code == 0
    assert wallet.worth() == {"unspent": FUNDS}


def test_a_contested_recording_ends_with_3_and_keeps_the_money(wallet: Wallet) -> None:
    held = wallet.run("hold", source(wallet), "--ttl", "60", "--json").json["operation"]["id"]
    keep = [as_json(p) for p in proofs(90, tag="k")]
    for _ in range(2):
        ran = record(wallet, "--json", sources=[source(wallet)], keep=keep)
        assert ran.code == 3, ran.err
        error = ran.json["error"]
        assert (error["code"], error["severity"]) == ("CONCURRENT_OPERATION", "CRITICAL")
        assert error["details"]["operations"] == [held]
    assert wallet.worth() == {"unspent": 90, "reserved": FUNDS}
    wallet.run("unhold", held)
    assert wallet.run("recover").code == 0
    assert wallet.worth()["unspent"] == 90 and wallet.worth()["spent"] == FUNDS


@pytest.mark.parametrize("text", ["", "[]", "{", "{}", "[" * 100_000, '{"npub": 1}', "\x00"])
def test_a_file_that_is_no_melt(wallet: Wallet, text: str) -> None:
    ran = wallet.run("record-melt", "--file", "-", "--json", stdin=text)
    assert ran.code == 1 and ran.json["error"]["code"] == "INVALID_FORMAT"


def test_a_misspelt_field_is_refused_and_not_repeated(wallet: Wallet) -> None:
    ran = record(wallet, "--json", sources=[source(wallet)], kept=["MARKER"])
    assert ran.code == 1 and ran.json["error"]["code"] == "INVALID_FORMAT"
    assert "MARKER" not in ran.out + ran.err
    no_sources = record(wallet, "--json")
    assert no_sources.code == 1 and "sources" in no_sources.json["error"]["message"]
