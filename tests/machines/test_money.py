"""Integer arithmetic of ecash, at the places where floats go wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nutstate.machines.money import (
    AMOUNT_MAX,
    PARTS_MAX,
    NotSplittable,
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


KEYS = st.sets(st.integers(1, 60), min_size=1, max_size=6)


@given(st.integers(1, 150), KEYS)
def test_an_amount_is_split_by_the_keys_there_are_or_not_at_all(amount: int, keys: set[int]) -> None:
    """R231: into amounts of the keys whenever some sum of them makes it, largest first failing or not."""
    reachable = {0}
    for total in range(1, amount + 1):
        if any(total - key in reachable for key in keys):
            reachable.add(total)
    if amount not in reachable:
        with pytest.raises(NotSplittable):
            denominations(amount, keys)
        return
    parts = denominations(amount, keys)
    assert sum(parts) == amount and set(parts) <= keys and list(parts) == sorted(parts)


@given(st.integers(1, 150), KEYS)
def test_blanks_carry_any_change_of_any_denominations(owed: int, keys: set[int]) -> None:
    """R231: a mint that gives change largest first never needs more blanks than were sent."""
    blanks = blanks_needed(owed, keys)
    for change in range(1, owed + 1):
        count, rest = 0, change
        for key in sorted(keys, reverse=True):
            count, rest = count + rest // key, rest % key
        assert count <= blanks


@given(st.integers(1, AMOUNT_MAX))
def test_all_powers_of_two_are_the_usual_case(amount: int) -> None:
    """R231: with keys for every power of two nothing differs from NUT-00 and NUT-08."""
    keys = [1 << bit for bit in range(64)]
    assert denominations(amount, keys) == denominations(amount)
    assert blanks_needed(amount, keys) == blanks_needed(amount)


@pytest.mark.parametrize(
    ("amount", "keys"),
    [
        (PARTS_MAX + 1, [1]),
        (2**53 - 1, range(2, 20_002, 2)),
        (99_991, [*range(7_000, 63_000, 7), 30_011]),
        (5, []),
    ],
)
def test_what_cannot_be_split_ends_soon(amount: int, keys: list[int]) -> None:
    """R231: the search is bounded, in its steps and in the number of parts."""
    with pytest.raises(NotSplittable):
        denominations(amount, keys)
    assert denominations(PARTS_MAX, [1]) == (1,) * PARTS_MAX
