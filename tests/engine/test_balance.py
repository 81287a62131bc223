"""R110 to R114: balances per mint and unit, exact at any moment."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest

from nutstate import Balance, Engine, InvalidArgument, NutstateError, Store
from nutstate.engine.api.handle import balances_of
from nutstate.storage.port import TokenQuery
from tests.support.wallet import NPUB, QUICK, funded, invoice

NOT_NOW = ("INSUFFICIENT_BALANCE", "FUNDS_RESERVED", "CONCURRENT_OPERATION", "CONFLICT")
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
    assert balance.legacy() == dict(zip(FOUR, (754_321, 20, 704_301, 50_000), strict=True))
    assert sum(STATES.values()) == 754_321 and balance.owned() == 704_321
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
    assert balance.owned("sat") == 15 and balance.owned("sat", "https://a") == 5
    assert balance.legacy("sat") == {
        "total_balance": 22,
        "unspent_balance": 15,
        "pending_balance": 0,
        "spent_balance": 7,
    }
    assert balance.legacy("msat")["total_balance"] == 3000
    assert balance.legacy("sat", "https://a")["total_balance"] == 12
    assert balance.legacy("usd") == dict.fromkeys(FOUR, 0)
    for call in (balance.legacy, balance.owned):
        with pytest.raises(InvalidArgument) as refused:
            call()
        assert refused.value.code == "MIXED_UNITS" and refused.value.details["units"] == ["msat", "sat"]
    assert balance.unspent == 15, "sat, as its name says"
    rows = balance.as_dict()["wallets"]
    assert [(row["unit"], row["owned"]) for row in rows] == [("msat", 3000), ("sat", 5), ("sat", 10)]


def test_an_empty_wallet_has_nothing_of_anything() -> None:
    assert Balance({}).legacy() == dict.fromkeys(FOUR, 0) and Balance({}).owned() == 0
    msat = Balance({("https://a", "msat"): {"unspent": 3000}})
    assert msat.legacy()["unspent_balance"] == msat.owned() == 3000, "the only unit there is"


def test_through_a_melt(store: Store) -> None:
    engine, mint, clock = funded(store)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    held = engine.balance(NPUB)
    assert (held.reserved, held.unspent, held.owned()) == (plan.inputs, 2000 - plan.inputs, 2000)
    done = engine.confirm(plan.id)
    after = engine.balance(NPUB)
    four = after.legacy()
    assert four["spent_balance"] == plan.inputs and four["pending_balance"] == 0
    assert four["unspent_balance"] == after.owned() == 2000 - plan.inputs + done.change
    assert four["total_balance"] == sum(four.values()) - four["total_balance"]


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
                    if error.code not in NOT_NOW:
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
            now = engine.balance(NPUB).legacy()
            assert now["total_balance"] == sum(now.values()) - now["total_balance"]
            seen.add(four["total_balance"])
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert not failed and len(seen) > 1, "nobody wrote meanwhile"
