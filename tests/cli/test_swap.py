"""``swap`` as a person or a script runs it."""

from __future__ import annotations

from nutstate.engine.simulated.faults import REQUEST_LOST
from nutstate.engine.simulated.mint import SimulatedMint

from .conftest import FUNDS, Wallet


def test_an_amount_for_a_person(wallet: Wallet) -> None:
    """R660: what came out, and what it cost."""
    ran = wallet.run("swap", "100")
    assert ran.code == 0 and "swap reconciled" in ran.out
    for words in ("amount     100 sat", "input fee", "rest", "kept", "token", "_swapped_1", "next"):
        assert words in ran.out, words


def test_several_amounts_for_a_script(wallet: Wallet) -> None:
    """R660: one document; the same key is the same swap."""
    ran = wallet.run("swap", "--into", "64", "--into", "30", "--key", "k1", "--json")
    operation = ran.json["operation"]
    assert (operation["kind"], operation["state"], operation["amount"]) == ("swap", "reconciled", 94)
    assert len(operation["tokens"]) == 2 and operation["cost"] == operation["input_fee"]
    again = wallet.run("swap", "--into", "64", "--into", "30", "--key", "k1", "--json")
    assert again.json["operation"]["id"] == operation["id"]
    assert wallet.worth()["unspent"] == FUNDS - operation["cost"]
    token = operation["tokens"][0]
    whole = wallet.run("swap", "--token", token, "--json").json["operation"]
    assert whole["amount"] == 64 - whole["cost"]
    shown = wallet.run("show", whole["id"])
    assert (
        shown.code == 0 and "swapping" in shown.out and "sources 64 = swapped 63 + input fee 1" in shown.out
    )


def test_an_open_swap_is_recovered(wallet: Wallet) -> None:
    """R660: exit code 3, and `recover` goes on with it."""
    with SimulatedMint(path=wallet.state) as mint:
        mint.faults.next("swap", REQUEST_LOST)
    ran = wallet.run("swap", "100", "--wait", "0", "--json")
    assert ran.code == 3 and ran.json["operation"]["state"] == "restoring"
    assert wallet.run("history", "--kind", "swap", "--json").json["operations"][0]["outcome"] == "open"
    assert "recover" in ran.json["next"][0]


def test_a_wallet_is_rotated_and_consolidated(wallet: Wallet) -> None:
    """R660"""
    with SimulatedMint(path=wallet.state) as mint:
        mint.rotate_keyset()
    assert wallet.run("swap", "--purpose", "rotate").code == 0
    ran = wallet.run("swap", "--purpose", "rotate")
    assert ran.code == 1 and "[NOTHING_TO_SWAP]" in ran.err
    assert wallet.run("swap", "--purpose", "consolidate").code == 1


def test_a_spent_token_leads_to_its_spender(wallet: Wallet) -> None:
    """R437: the next step is not to try again."""
    made = wallet.run("swap", "100", "--json").json["operation"]["tokens"][0]
    spender = wallet.run("swap", "--token", made, "--json").json["operation"]["id"]
    ran = wallet.run("swap", "--token", made, "--json")
    assert ran.code == 1 and ran.json["error"]["code"] == "CONCURRENT_OPERATION"
    assert f"nutstate show {spender}" in ran.json["hint"]
