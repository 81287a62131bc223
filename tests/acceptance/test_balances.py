"""Balances per mint and unit (R110 to R114)."""

from __future__ import annotations

from typing import Any

import pytest

from nutstate import Balance, InvalidArgument, Store
from nutstate.testing import batch_for, make_operation, make_token
from tests.support.recording import Wallet, proofs
from tests.support.wallet import NPUB

STATES = {
    "awaiting": 0,
    "unspent": 20,
    "reserved": 300,
    "outstanding": 4000,
    "stranded": 700_000,
    "spent": 50_000,
}


def put(
    store: Store, state: str, amount: int, *, unit: str = "sat", mint_url: str = "https://a.example"
) -> None:
    """A stored token of this value in this state, beside the operation that made it."""
    name = f"{state}-{amount}-{unit}-{mint_url}"
    kind = {"awaiting": "minted", "outstanding": "sent"}.get(state, "received")
    where: dict[str, Any] = {"npub": NPUB, "wallet_id": NPUB, "mint_url": mint_url, "unit": unit}
    token = make_token(
        f"token {name}", amount, state=state, transaction_type=kind, **where,
        reserved_by=f"tx {name}" if state in ("reserved", "awaiting") else None,
    )  # fmt: skip
    op = make_operation(f"tx {name}", **where)
    store.commit(batch_for(op, tokens=[token]))


def balance(store: Store) -> Balance:
    """What the engine says of the wallet."""
    return Wallet(store).engine.balance(NPUB)


@pytest.fixture
def every_state(store: Store) -> Store:
    """A token in each state, of values whose sums tell which were added."""
    for state, amount in STATES.items():
        put(store, state, amount)
    return store


def test_r110_total_balance(every_state: Store) -> None:
    """``total_balance`` is the value of all statuses."""
    assert balance(every_state).legacy()["total_balance"] == 754_320


def test_r111_unspent_balance(every_state: Store) -> None:
    """``unspent_balance`` is the value of status ``unspent``."""
    assert balance(every_state).legacy()["unspent_balance"] == 20


def test_r112_pending_balance(every_state: Store) -> None:
    """``pending_balance`` is the value of status ``pending``: awaiting (worth 0), reserved,
    stranded, outstanding."""
    assert balance(every_state).legacy()["pending_balance"] == 704_300


def test_r113_spent_balance(every_state: Store) -> None:
    """``spent_balance`` is the value of status ``spent``."""
    assert balance(every_state).legacy()["spent_balance"] == 50_000


def test_r114_one_number_per_state(every_state: Store) -> None:
    """Beside the four balances there is one number per state."""
    (wallet,) = balance(every_state).as_dict()["wallets"]
    assert {state: wallet.get(state, 0) for state in STATES} == STATES
    assert {state: balance(every_state).of(state) for state in STATES} == STATES


def test_r110_r111_r112_r113_units_are_never_added(store: Store) -> None:
    """Per mint and unit; different units are never added."""
    for n, (mint_url, unit) in enumerate(
        [("https://a.example", "sat"), ("https://b.example", "sat"), ("https://a.example", "msat")], 1
    ):
        put(store, "unspent", n, unit=unit, mint_url=mint_url)
        put(store, "reserved", 10 * n, unit=unit, mint_url=mint_url)
        put(store, "spent", 100 * n, unit=unit, mint_url=mint_url)
    held = balance(store)
    names = ("total_balance", "unspent_balance", "pending_balance", "spent_balance")

    def four(*where: str) -> tuple[int, ...]:
        return tuple(held.legacy(*where)[name] for name in names)

    assert four("sat", "https://a.example") == (111, 1, 10, 100)
    assert four("sat", "https://b.example") == (222, 2, 20, 200)
    assert four("msat") == (333, 3, 30, 300) and four("sat") == (333, 3, 30, 300)
    for call in (held.legacy, held.owned):
        with pytest.raises(InvalidArgument) as refused:
            call()
        assert refused.value.code == "MIXED_UNITS"


def test_r110_r111_r112_r113_through_a_recorded_melt(store: Store) -> None:
    """The balances follow a hold and a recording, and no value is counted twice."""
    wallet = Wallet(store, 100, 40)

    def four() -> tuple[int, int, int, int]:
        held = wallet.engine.balance(NPUB)
        total, unspent, pending, spent = held.legacy().values()
        return total, unspent, pending, spent

    assert four() == (140, 140, 0, 0)
    hold = wallet.hold(100)
    assert four() == (140, 40, 100, 0)
    wallet.record([], proofs(7), proofs(3), 90, hold=hold)
    assert four() == (150, 50, 0, 100)
