"""What the commands print of balances, reports, alarms and error codes."""

from __future__ import annotations

import json
import time

import pytest

from nutstate import Engine, open_store
from nutstate.cli.codes.page import page
from nutstate.engine.simulated import faults
from nutstate.storage.catalogue import ERRORS, MELT_FAILURE
from tests.cli.conftest import FUNDS, NPUB, Wallet
from tests.support.clock import FakeClock
from tests.support.wallet import QUICK


def test_balance_json_has_the_four_balances(wallet: Wallet) -> None:
    """R110 to R114."""
    (row,) = wallet.run("balance", "--json").json["wallets"]
    assert row["owned"] == row["states"]["unspent"] == FUNDS
    wallet.run("melt", wallet.invoice(700), "--prepare")
    (row,) = wallet.run("balance", "--json").json["wallets"]
    assert row["states"]["reserved"] > 0
    assert row["owned"] == FUNDS == sum(row["states"].values())


def test_show_report(wallet: Wallet) -> None:
    """R157."""
    melt = wallet.run("melt", wallet.invoice(100), "--json").json["operation"]["id"]
    report = wallet.run("show", melt, "--report", "--json").json
    assert report["transaction_id"] == melt and report["recommendations"] == []
    metrics = report["performance_metrics"]
    assert metrics["commits"] == 2 and metrics["mint"]["melt"]["calls"] == 1 and metrics["store_ms"] >= 0
    shown = wallet.run("show", melt, "--report")
    assert shown.code == 0 and "2 commits" in shown.out and "mint melt_quote" in shown.out
    assert wallet.run("show", "tx_nothing_there", "--report").code == 1


def test_a_parked_payment_is_an_alarm_in_json(wallet: Wallet) -> None:
    """R154."""
    clock = FakeClock(time.time_ns() // 1_000_000)
    bolt11 = wallet.invoice(700)
    with wallet.mint() as mint, open_store(wallet.url) as store:
        mint.faults.next("melt", faults.change_short(50))
        engine = Engine(store, mint, settings=QUICK, clock=clock)
        melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=100)
    shown = wallet.run("show", melt.id, "--json").json["operation"]
    assert shown["state"] == "attention" and shown["alarm"] == MELT_FAILURE


def test_errors_prints_the_catalogue(empty: Wallet) -> None:
    listed = empty.run("errors", "--json").json["errors"]
    assert {entry["code"] for entry in listed} == ERRORS.keys()
    shown = empty.run("errors")
    assert shown.code == 0 and all(code in shown.out for code in ERRORS)
    assert empty.run("errors", "--markdown").out == page()
    assert not empty.file.exists(), "no store is made for it"


def test_errors_explains_one_code(empty: Wallet) -> None:
    shown = empty.run("errors", "insufficient_balance")
    assert shown.code == 0 and "Refused" in shown.out and "nutstate mint AMOUNT" in shown.out
    (entry,) = empty.run("errors", "CONCURRENT_OPERATION", "--json").json["errors"]
    assert (entry["severity"], entry["retryable"]) == ("LOW", True)


@pytest.mark.parametrize("args", [("NO_SUCH_CODE",), ("--markdown", "--json"), ("CONFLICT", "--markdown")])
def test_errors_refuses_what_makes_no_sense(empty: Wallet, args: tuple[str, ...]) -> None:
    ran = empty.run("errors", *args)
    assert ran.code == 2
    assert "--json" not in args or json.loads(ran.out)["error"]["code"] == "USAGE"
