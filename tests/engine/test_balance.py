"""R110 to R114: balances per mint and unit, exact at any moment."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

import pytest

from nutstate import Balance, Engine, InvalidArgument, NutstateError, Store
from nutstate.engine.handle import balances_of
from nutstate.storage.port import TokenQuery
from tests.support.wallet import NPUB, QUICK, funded, invoice

FOUR = ("total_balance", "unspent_balance", "pending_balance", "spent_balance")
STATES = {
    "awaiting": 1,
    "unspent": 20,
    "reserved": 300,
    "outstanding": 4000,
    "stranded": 700_000,
    "spent": 50_000,
    "failed": 0,
}


def test_r110_to_r114_of_every_state() -> None:
    balance = Balance({("https://a", "sat"): STATES})
    assert balance.total_balance == sum(STATES.values()) == 754_321
    assert (balance.unspent_balance, balance.pending_balance, balance.spent_balance) == (20, 704_301, 50_000)
    assert all(balance.of(state) == amount for state, amount in STATES.items())


def test_mints_are_added_and_units_never() -> None:
    balance = Balance(
        {
            ("https://a", "sat"): {"unspent": 5, "spent": 7},
            ("https://b", "sat"): {"unspent": 10},
            ("https://a", "msat"): {"unspent": 3000},
        }
    )
    assert balance.units == ("msat", "sat")
    assert balance.balances() == {
        "total_balance": 22,
        "unspent_balance": 15,
        "pending_balance": 0,
        "spent_balance": 7,
    }
    assert balance.balances("msat")["total_balance"] == 3000
    assert balance.balances("sat", "https://a")["total_balance"] == 12
    assert balance.balances("usd") == dict.fromkeys(FOUR, 0)
    for name in FOUR:
        with pytest.raises(InvalidArgument) as refused:
            getattr(balance, name)
        assert refused.value.code == "MIXED_UNITS" and refused.value.details["units"] == ["msat", "sat"]
    assert balance.unspent == 15, "sat, as its name says"
    rows = balance.as_dict()["wallets"]
    assert [(row["unit"], row["total_balance"]) for row in rows] == [("msat", 3000), ("sat", 12), ("sat", 10)]


def test_an_empty_wallet_has_nothing_of_anything() -> None:
    assert [getattr(Balance({}), name) for name in FOUR] == [0, 0, 0, 0]
    msat = Balance({("https://a", "msat"): {"unspent": 3000}})
    assert msat.unspent_balance == 3000, "the only unit there is"


def test_through_a_melt(store: Store) -> None:
    engine, mint, clock = funded(store)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    held = engine.balance(NPUB)
    assert (held.pending_balance, held.unspent_balance) == (plan.inputs, 2000 - plan.inputs)
    done = engine.confirm(plan.id)
    after = engine.balance(NPUB)
    assert after.spent_balance == plan.inputs and after.pending_balance == 0
    assert after.unspent_balance == 2000 - plan.inputs + done.change
    assert after.total_balance == after.unspent_balance + after.pending_balance + after.spent_balance


def test_balances_equal_the_proofs_of_the_same_moment(store: Store) -> None:
    """While others mint and melt, every snapshot's balance is the sum of that snapshot's proofs, and no
    moment shows money twice or not at all."""
    engine, mint, clock = funded(store, amount=500)
    stop = threading.Event()
    failed: list[BaseException] = []

    def write(n: int) -> None:
        worker = Engine(store, mint, settings=QUICK, clock=clock)
        try:
            while not stop.is_set():
                try:
                    worker.mint_tokens(npub=NPUB, mint_url=mint.url, amount=64 + n)
                    worker.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(20 + n, clock))
                except NutstateError as error:
                    if error.code not in ("INSUFFICIENT_BALANCE", "CONCURRENT_OPERATION", "CONFLICT"):
                        raise
        except BaseException as error:  # noqa: BLE001 - told below
            failed.append(error)

    writers = [threading.Thread(target=write, args=(n,)) for n in range(3)]
    for writer in writers:
        writer.start()
    seen: set[int] = set()
    try:
        until = time.monotonic() + 20
        while len(seen) < 20 and time.monotonic() < until and not failed:
            with store.snapshot() as reader:
                tokens = reader.tokens(TokenQuery(npub=NPUB, limit=100_000))
                held = reader.balance(NPUB)
            by_state: Counter[str] = Counter()
            for token in tokens:
                by_state[token.state] += sum(proof.amount for proof in token.proofs)
            told = {row.state: row.amount for row in held if row.amount}
            assert told == {state: amount for state, amount in by_state.items() if amount}
            four = balances_of([told])
            assert four["total_balance"] == sum(p.amount for t in tokens for p in t.proofs)
            balance: Any = engine.balance(NPUB)
            assert balance.total_balance == (
                balance.unspent_balance + balance.pending_balance + balance.spent_balance
            )
            seen.add(four["total_balance"])
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert not failed and len(seen) > 1, "nobody wrote meanwhile"
