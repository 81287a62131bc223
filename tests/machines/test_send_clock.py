"""R526: the settle window is computed in one place, and counts as the engine may believe it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from nutstate.machines.send_clock import SendClock

ROOT = Path(__file__).parents[2]
ROOMS = ("machines", "engine", "src/nutstate/review")
SENT = 1_000_000


@pytest.mark.parametrize(
    "clock, over, may_arrive, left_s",
    [
        (SendClock(None, 30_000), False, False, 0.0),
        (SendClock(0, 30_000), False, True, 30.0),
        (SendClock(29_999, 30_000), False, True, 0.001),
        (SendClock(30_000, 30_000), True, False, 0.0),
        (SendClock(90_000, 30_000), True, False, 0.0),
        (SendClock(0, 0), True, False, 0.0),
    ],
)
def test_a_request_may_arrive_until_the_window_is_over(
    clock: SendClock, over: bool, may_arrive: bool, left_s: float
) -> None:
    """R526. No request: nothing may arrive, and no window is over either, so nothing is proven by it."""
    assert (clock.over, clock.may_arrive, clock.left_s) == (over, may_arrive, left_s)


@pytest.mark.parametrize(
    "sent_at, now, proven_ms, open_ms, since_ms",
    [
        (None, SENT, 0, 0, None),
        (SENT, SENT, 0, 0, 0),
        (SENT, SENT + 30_000, 0, 0, 30_000),
        (SENT, SENT + 30_000, 99_000, 0, 30_000),  # the wall clock tells it: nothing else counts
        (SENT, SENT - 1, 0, 0, 0),  # set back: no time that a clock of ours did not count
        (SENT, SENT - 1, 7_000, 0, 7_000),
        (SENT, SENT + 75_000, 0, 70_000, 5_000),  # the sender may have had it open so long
        (SENT, SENT + 60_000, 0, 70_000, 0),
        (SENT, SENT - 1, 71_000, 70_000, 1_000),
    ],
)
def test_a_stored_time_counts_as_far_as_it_can_be_believed(
    sent_at: int | None, now: int, proven_ms: int, open_ms: int, since_ms: int | None
) -> None:
    """R526. By the wall clock, unless it was set back; less the time in which the sender may have it open."""
    clock = SendClock.stamped(30_000, sent_at, now, proven_ms=proven_ms, open_ms=open_ms)
    assert clock == SendClock(since_ms, 30_000)


@pytest.mark.parametrize("seconds, since_ms", [(0.0, 0), (12.3456, 12_345), (-1.0, 0)])
def test_the_sender_counts_by_its_own_clock(seconds: float, since_ms: int) -> None:
    """R526. The process that has the answer asks no wall clock."""
    assert SendClock.timed(30_000, seconds) == SendClock(since_ms, 30_000)


def test_a_window_that_passed_to_the_millisecond_is_over() -> None:
    """R526. The times of a monotonic clock are floats: their difference may be a hair less than the window."""
    starts = [1000 + n / 997 for n in range(1000)]
    passed = [(start + 30.0) - start for start in starts]
    assert any(seconds < 30.0 for seconds in passed)
    assert all(SendClock.timed(30_000, seconds).over for seconds in passed)


def _computes(node: ast.AST) -> bool:
    """Whether the expression compares the settle window or counts with it."""
    if not isinstance(node, ast.Compare | ast.BinOp):
        return False
    names = {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}
    return bool(names & {"settle_window_s", "settle_window_ms", "window_ms"})


def test_no_other_file_counts_with_the_settle_window() -> None:
    """R526. All files that ask for the window ask SendClock."""
    found = {
        str(path.relative_to(ROOT))
        for room in ROOMS
        for path in sorted((ROOT / room).rglob("*.py"))
        if any(map(_computes, ast.walk(ast.parse(path.read_text()))))
    }
    assert found == {"machines/send_clock.py"}
