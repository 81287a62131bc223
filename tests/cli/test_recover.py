"""What `nutstate recover` goes on with, and what it offers for the rest."""

from __future__ import annotations

import signal
import sqlite3
import time

import pytest

from nutstate import open_store
from nutstate.engine.simulated.faults import REQUEST_LOST

from ..support.open_operations import begun
from .conftest import Wallet
from .test_exit_codes import parked, pending


def melting(wallet: Wallet) -> str:
    """A melt that the mint calls PENDING, asked about a moment ago."""
    invoice, _ = pending(wallet)
    operation_id: str = wallet.run("melt", invoice, "--wait", "0", "--json").json["operation"]["id"]
    return operation_id


def later(wallet: Wallet, operation_id: str) -> None:
    """No worker looks at the operation for an hour."""
    with sqlite3.connect(wallet.file) as db:
        db.execute(
            "UPDATE operations SET next_check_at = next_check_at + 3600000 WHERE id = ?", (operation_id,)
        )
    db.close()


def test_an_operation_that_is_not_due_is_told_and_left(wallet: Wallet) -> None:
    """R306: without --force the mint is asked only when it is time; 3, since it is still open."""
    operation_id = melting(wallet)
    later(wallet, operation_id)
    ran = wallet.run("recover")
    assert (
        ran.code == 3
        and "1 open operation is not due yet" in ran.out
        and "nutstate recover --force" in ran.out
    )
    told = wallet.run("recover", "--json").json
    assert (told["operations"], told["open"], told["parked"], told["failing"]) == ([], [operation_id], [], [])
    assert told["numbers"] == dict.fromkeys(told["numbers"], 0) | {
        "total": 1, "gone_over": 1, "open": 1, "not_due": 1
    }  # fmt: skip


def test_force_asks_about_what_is_not_due(wallet: Wallet) -> None:
    """R306"""
    operation_id = melting(wallet)
    later(wallet, operation_id)
    ran = wallet.run("recover", "--force", "--json")
    assert ran.code == 3 and [o["id"] for o in ran.json["operations"]] == [operation_id]


def test_a_parked_operation_is_to_be_looked_at_first(wallet: Wallet) -> None:
    """R307: `recover` offers `show`, and `show` begins with the look, not with giving money up."""
    operation_id = parked(wallet)
    ran = wallet.run("recover", "--force")
    (line,) = [line for line in ran.out.splitlines() if line.strip().startswith("next")]
    assert f"nutstate show {operation_id}" in line and "write-off" not in ran.out
    shown = wallet.run("show", operation_id, "--json").json["next"]
    assert shown[0].startswith(f"nutstate show {operation_id}") and "write-off" in shown[-1]
    rows = [line.split(maxsplit=1) for line in wallet.run("show", operation_id).out.splitlines()]
    assert [word for word, *_ in filter(None, rows)].count("next") == 1


def test_a_live_operation_offers_show_too(wallet: Wallet) -> None:
    """R307: going on is what the command just did."""
    with wallet.mint() as mint:
        mint.faults.next("melt", REQUEST_LOST)
    operation_id = wallet.run("melt", wallet.invoice(), "--wait", "0", "--json").json["operation"]["id"]
    ran = wallet.run("recover", "--force")
    assert ran.code == 3 and f"next  nutstate show {operation_id}" in ran.out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_r576_a_signal_ends_it_in_order(wallet: Wallet, number: signal.Signals) -> None:
    """R576: a real process is told to stop in the middle: exit code 130, no lease is left, and the next run
    ends the rest."""
    with open_store(f"sqlite:///{wallet.file}") as store:
        for batch in begun(600, mint_url="https://mint.example"):
            store.commit(batch)
        process = wallet.start("recover", "--workers", "2", "--log", "off")
        while store.count_live() > 590:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        wallet.printed += [out, err]
        left = store.live_operations(2**62, 1000)
        assert process.returncode == 130 and "Traceback" not in err and "interrupted" in err
        assert 0 < len(left) < 600 and all(op.lease is None for op in left)
        told = wallet.run("recover", "--json").json["numbers"]
        assert (told["ended"], told["total"], store.count_live()) == (len(left), len(left), 0)
