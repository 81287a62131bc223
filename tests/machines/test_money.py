"""Integer arithmetic of ecash, at the places where floats go wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nutstate.machines.money import (
    AMOUNT_MAX,
    blanks_needed,
    conserved,
    denominations,
    input_fee,
    is_amount,
    owed_max,
    owed_min,
)


@pytest.mark.parametrize(
    ("owed", "blanks"), [(0, 0), (-3, 0), (1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (1000, 10), (2**49 + 1, 50)]
)
def test_blanks(owed: int, blanks: int) -> None:
    assert blanks_needed(owed) == blanks


@given(st.integers(1, AMOUNT_MAX), st.data())
def test_blanks_can_carry_any_change_up_to_what_is_owed(owed: int, data: st.DataObject) -> None:
    change = data.draw(st.integers(1, owed))
    assert len(denominations(change)) <= blanks_needed(owed)


@given(st.integers(1, AMOUNT_MAX))
def test_denominations_sum_to_the_amount(amount: int) -> None:
    parts = denominations(amount)
    assert sum(parts) == amount and list(parts) == sorted(set(parts))


@pytest.mark.parametrize(
    ("ppk", "fee"), [([], 0), ([0], 0), ([100], 1), ([100] * 10, 1), ([100] * 11, 2), ([1000], 1)]
)
def test_input_fee_rounds_up_once(ppk: list[int], fee: int) -> None:
    assert input_fee(ppk) == fee


@pytest.mark.parametrize("value", [0, -1, 2**53, True, 1.0, "1", None, float("nan")])
def test_what_is_no_amount(value: object) -> None:
    assert not is_amount(value)


def test_bounds_of_change() -> None:
    assert (owed_min(120, 100, 1, 5), owed_max(120, 100, 1)) == (14, 19)
    assert owed_min(103, 100, 1, 5) == 0


def test_conservation_is_exact() -> None:
    assert conserved(800, 550, 0, 200, 50)
    assert not conserved(800, 550, 0, 200, 51)
    assert not conserved(800, 801, -1)
    assert not conserved(1, True)
