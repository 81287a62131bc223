"""The loop over many cases fails when one fails, and names every case that did."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.cases import CasesFailed, every


def test_r408_every_case_runs_and_every_failure_is_named() -> None:
    """R408: also after a failure; the first one is the cause, so its traceback is shown."""
    seen = []

    @every("number", range(6))
    def test(number: int) -> None:
        seen.append(number)
        assert number % 2 == 0, f"{number} is odd"

    with pytest.raises(CasesFailed) as caught:
        test()
    assert seen == [0, 1, 2, 3, 4, 5]
    lines = str(caught.value).splitlines()
    assert lines[0] == "3 of 6 cases failed:"
    assert [line.split(":")[0].strip() for line in lines[1:]] == ["1", "3", "5"]
    assert "AssertionError: 3 is odd" in lines[2]
    assert caught.value.__cause__ is caught.value.failed[0][1]


def test_r408_an_error_that_does_not_come_is_a_failure() -> None:
    @every("number", [1, 0])
    def test(number: int) -> None:
        with pytest.raises(ZeroDivisionError):
            1 // number

    with pytest.raises(CasesFailed, match="1 of 2 cases failed:\n  1: Failed: DID NOT RAISE"):
        test()


def test_r408_stacked_loops_name_both_values() -> None:
    """R408: ids as parametrize takes them, and several names at once."""
    seen = []

    @every("row", ["a", "b"], ids=["first", "second"])
    @every(("left", "right"), [(1, 2), (3, 4)], ids=lambda pair: f"pair{pair[0]}")
    def test(row: str, left: int, right: int) -> None:
        seen.append((row, left, right))
        assert (row, left) != ("b", 3)

    with pytest.raises(CasesFailed, match="1 of 4 cases failed:\n  second, pair3: AssertionError"):
        test()
    assert seen == [("a", 1, 2), ("a", 3, 4), ("b", 1, 2), ("b", 3, 4)]


@pytest.fixture
def counted() -> list[int]:
    return []


@every("number", [1, 2, 3])
def test_r408_pytest_gives_the_other_arguments(counted: list[int], number: int) -> None:
    """R408: fixtures are made once for all cases."""
    counted.append(number)
    assert counted == [1, 2, 3][:number]


@pytest.mark.parametrize("make", [lambda: every("x", []), lambda: every("x", [1])(lambda y: None)])
def test_r408_a_loop_that_would_test_nothing_is_refused(make: Callable[[], object]) -> None:
    """R408: no cases, or a name that the test does not take."""
    with pytest.raises(AssertionError):
        make()
