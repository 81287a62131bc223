"""``nutstate preflight`` and ``nutstate reconcile``: exit codes, JSON, words, and the way out."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from .conftest import FUNDS, Wallet


def forget_at_the_mint(wallet: Wallet) -> str:
    """The melt's source at the mint is spent; make the store believe that it is not."""
    done = wallet.run("melt", wallet.invoice(), "--json").json["operation"]
    with closing(sqlite3.connect(wallet.file)) as db, db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        db.execute(
            "UPDATE tokens SET state = 'unspent', status = 'unspent', spent_at = NULL, reserved_by = NULL "
            "WHERE state = 'spent'"
        )
    return str(done["id"])


def test_a_sound_wallet(wallet: Wallet) -> None:
    report = wallet.run("preflight", "--json")
    assert report.code == 0 and report.json["recommendation"] == "PROCEED"
    assert "PROCEED" in wallet.run("preflight").out
    swept = wallet.run("reconcile", "--all", "--since", "2020-01-01", "--until", "2199-01-01", "--json")
    assert swept.code == 0 and swept.json["validation_passed"] and swept.json["operations"] == 1
    assert "nothing found" in wallet.run("reconcile", "--all").out
    operation = wallet.run("history", "--kind", "mint", "--json").json["operations"][0]["id"]
    one = wallet.run("reconcile", operation)
    assert one.code == 0 and "audit_chain" in one.out
    shown = wallet.run("reconcile", operation, "--json").json
    assert shown["validation_passed"] and shown["performance_metrics"]["checks_count"] == 5
    assert wallet.run("show", shown["check_id"]).code == 0


def test_a_source_that_came_back_to_life(wallet: Wallet) -> None:
    melt = forget_at_the_mint(wallet)
    seen = wallet.run("preflight")
    assert seen.code == 1 and "ABORT_OPERATION" in seen.out and "block_and_correct" in seen.out
    assert wallet.run("preflight", "--json").json["code"] == "HIGH_SEVERITY_DISCREPANCIES"
    looked = wallet.run("reconcile", melt)
    assert looked.code == 1 and "DISCREPANCIES" in looked.out and "nutstate resolve" in looked.out
    swept = wallet.run("reconcile", "--all", "--json")
    assert swept.code == 1 and swept.json["known"] == [melt]
    assert wallet.run("reconcile", "--all").code == 1
    check = swept.json["failed"][0]["check_id"]
    settled = wallet.run("resolve", check, "--reason", "looked at it", "--json")
    assert settled.code == 0 and settled.json["operation"]["state"] == "resolved"
    corrected = wallet.run("preflight", "--correct")
    assert corrected.code == 1 and "corrected to spent" in corrected.out
    assert wallet.run("preflight").code == 0
    assert wallet.worth()["unspent"] < FUNDS
