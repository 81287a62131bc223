"""Lines that share a street: which of them lies beside which, so that few cross and none lie on another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

Net = tuple[str, str]
"""Lines of one net may lie on one another: they all lead to one side of one card."""

_SETTLED_AFTER = 30


@frozen
class Join:
    """Where a line leaves its street: ``at`` along it, to the ``near`` side (left, up) or the far one."""

    at: int
    near: bool


@frozen
class Stretch:
    """The part of a street that one net uses, in one piece."""

    net: Net
    first: int
    last: int
    joins: tuple[Join, ...]


def stretches(parts: Sequence[tuple[Net, int, int, tuple[Join, ...]]]) -> tuple[Stretch, ...]:
    """Parts of one net that touch or overlap become one stretch."""
    found: dict[Net, list[Stretch]] = {}
    for net, first, last, joins in sorted(parts, key=lambda part: (part[0], part[1], part[2])):
        mine = found.setdefault(net, [])
        if mine and first <= mine[-1].last:
            old = mine.pop()
            mine.append(Stretch(net, old.first, max(old.last, last), (*old.joins, *joins)))
        else:
            mine.append(Stretch(net, first, last, joins))
    return tuple(
        Stretch(s.net, s.first, s.last, tuple(dict.fromkeys(s.joins))) for of in found.values() for s in of
    )


def lanes(parts: Sequence[Stretch], apart: int) -> Mapping[Stretch, int]:
    """The lane of each stretch, 0 being nearest. Two that come closer than ``apart`` never share one."""
    order = _ordered(parts, apart)
    taken: dict[Stretch, int] = {}
    for part in order:
        below = [taken[other] + 1 for other in taken if _touch(part, other, apart)]
        taken[part] = max(below, default=0)
    return taken


def _touch(one: Stretch, other: Stretch, apart: int) -> bool:
    return one.first < other.last + apart and other.first < one.last + apart


def _ordered(parts: Sequence[Stretch], apart: int) -> list[Stretch]:
    """An order with few crossings: each stretch is moved to its best place until none wants to move."""
    order = sorted(parts, key=lambda s: (s.first, s.last, s.net))
    cost = {(one, other): _crossings(one, other) for one in order for other in order if one is not other}
    for _ in range(_SETTLED_AFTER):
        moved = False
        for part in list(order):
            at = order.index(part)
            rest = order[:at] + order[at + 1 :]
            best = _best_place(part, rest, cost)
            if best[0] < _place_cost(part, rest, at, cost):
                rest.insert(best[1], part)
                order = rest
                moved = True
        if not moved:
            break
    return order


def _best_place(
    part: Stretch, rest: Sequence[Stretch], cost: Mapping[tuple[Stretch, Stretch], int]
) -> tuple[int, int]:
    now = sum(cost[part, other] for other in rest)
    best = (now, 0)
    for place, other in enumerate(rest):
        now += cost[other, part] - cost[part, other]
        best = min(best, (now, place + 1))
    return best


def _place_cost(
    part: Stretch, rest: Sequence[Stretch], at: int, cost: Mapping[tuple[Stretch, Stretch], int]
) -> int:
    return sum(cost[other, part] for other in rest[:at]) + sum(cost[part, other] for other in rest[at:])


def _crossings(near: Stretch, far: Stretch) -> int:
    """How often the lines of two stretches cross when ``near`` lies nearer."""
    over = sum(2 for join in near.joins if not join.near and far.first < join.at < far.last)
    over += sum(1 for join in near.joins if not join.near and join.at in (far.first, far.last))
    over += sum(2 for join in far.joins if join.near and near.first < join.at < near.last)
    return over + sum(1 for join in far.joins if join.near and join.at in (near.first, near.last))
