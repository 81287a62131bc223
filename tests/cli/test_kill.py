"""kill -9 while the request is on its way: the next command goes on and the money adds up."""

from __future__ import annotations

import signal
from functools import partial

import pytest

from nutstate.engine.api import core
from nutstate.engine.cashu.bolt11 import decode_invoice
from nutstate.engine.settings import Settings

from .conftest import FUNDS, Wallet

pytestmark = pytest.mark.disk

# The mint of this process never answers: it says so and hangs, before or after doing what it was asked.
HANGS = """
import sys, time
from nutstate import SimulatedMint
from nutstate.cli import main
original = SimulatedMint.melt
def melt(self, mint_url, body):
    if {executes}:
        original(self, mint_url, body)
    print("on its way", file=sys.stderr, flush=True)
    time.sleep(60)
SimulatedMint.melt = melt
main()
"""


def killed_while_paying(wallet: Wallet, invoice: str, executes: bool) -> str:
    """Run a melt and kill it while it waits for the answer; the operation's id."""
    process = wallet.start("melt", invoice, program=("-c", HANGS.format(executes=executes)))
    assert process.stderr is not None
    assert process.stderr.readline() == "on its way\n"
    process.send_signal(signal.SIGKILL)
    assert process.wait(timeout=20) == -signal.SIGKILL
    out, err = process.communicate()
    wallet.printed += [out, err]
    (operation,) = wallet.run("history", "--kind", "melt", "--json").json["operations"]
    assert operation["state"] == "paying"
    operation_id: str = operation["id"]
    return operation_id


def test_the_payment_was_made(wallet: Wallet) -> None:
    invoice = wallet.invoice()
    operation_id = killed_while_paying(wallet, invoice, executes=True)
    again = wallet.process("melt", invoice, "--json")
    operation = again.json["operation"]
    assert again.code == 0 and operation["id"] == operation_id and operation["state"] == "reconciled"
    assert "same request" in again.json["note"]
    assert wallet.worth()["unspent"] == FUNDS - operation["amount"] - operation["fee_paid"]
    shown = wallet.process("show", operation_id)
    assert shown.code == 0 and "by worker" in shown.out and "holds" in shown.out
    with wallet.mint() as mint:
        assert mint.lightning.attempts(decode_invoice(invoice).payment_hash) == 1


def test_the_request_never_arrived(wallet: Wallet) -> None:
    invoice = wallet.invoice()
    operation_id = killed_while_paying(wallet, invoice, executes=False)
    again = wallet.process("melt", invoice, "--wait", "0", "--json")
    operation = again.json["operation"]
    # the mint says UNPAID, but within the settle window that proves nothing
    assert again.code == 3 and operation["id"] == operation_id and operation["state"] == "unknown"
    worth = wallet.worth()
    assert worth["reserved"] == operation["inputs"] and sum(worth.values()) == FUNDS
    with wallet.mint() as mint:
        assert mint.lightning.attempts(decode_invoice(invoice).payment_hash) == 0
    assert wallet.process("recover").code == 3


def test_the_request_never_arrived_and_the_value_comes_back(
    wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "Settings", partial(Settings, settle_window_s=1, poll_min_s=0.1))
    operation_id = killed_while_paying(wallet, wallet.invoice(), executes=False)
    ran = wallet.run("recover", "--wait", "20", "--json")
    assert ran.code == 0 and ran.json["operations"][0]["state"] == "released"
    terms = wallet.run("show", operation_id, "--json").json["conservation"]
    assert terms["holds"] and wallet.worth()["unspent"] == FUNDS - terms["fence_fee"]


def test_the_same_command_long_after_finds_the_open_operation(
    wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoice = wallet.invoice()
    monkeypatch.setattr(core, "Settings", partial(Settings, dedup_window_s=0))
    with wallet.mint() as mint:
        mint.lightning.script("*", "PENDING")
    operation_id = wallet.run("melt", invoice, "--wait", "0", "--json").json["operation"]["id"]
    again = wallet.run("melt", invoice, "--json")
    error = again.json["error"]
    assert again.code == 3 and error["code"] == "PAYMENT_ALREADY_CLAIMED"
    assert error["details"]["operation_id"] == operation_id and "nutstate recover" in again.json["hint"]
    with wallet.mint() as mint:
        mint.lightning.settle(decode_invoice(invoice).payment_hash)
    assert wallet.run("recover", "--wait", "10").code == 0
    paid = wallet.run("melt", invoice)
    assert paid.code == 1 and f"nutstate show {operation_id}" in paid.err
