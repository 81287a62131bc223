"""The order in which tests run: long ones first, so that at the end no worker waits for another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from tests.selection.groups import EXPLORATION, MUTANTS, Case

Item = TypeVar("Item")


def is_outside(case: Case) -> bool:
    """It waits for servers that are killed and started, or for the real mint."""
    return bool(case.markers & {"faults", "real_mint"})


def is_long(case: Case) -> bool:
    """It keeps one core busy for long, alone or with its neighbours."""
    return bool(case.markers & {"slow", "oracle", "browser"}) or case.file in (*MUTANTS, *EXPLORATION)


def in_order(cases: Sequence[tuple[Case, Item]], workers: int = 2) -> list[Item]:
    """Every worker begins with a slice of the list, and a worker that is done takes from the end of another's
    slice (``--dist worksteal``). So the first slice begins with what waits, the second with what computes.
    Neighbours stay together, since they share servers and what they have explored."""
    outside = [item for case, item in cases if is_outside(case)]
    long = [item for case, item in cases if is_long(case) and not is_outside(case)]
    short = [item for case, item in cases if not is_long(case) and not is_outside(case)]
    first = max(0, len(cases) // max(2, workers) - len(outside))
    return [*outside, *short[:first], *long, *short[first:]]
