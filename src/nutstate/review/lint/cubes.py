"""Conditions of edges as cubes: which of them can hold together, and which combinations all of them leave
out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from ...machines.spec import Transition

Literal = tuple[str, bool]
"""A guard's name and the answer it gives."""

Cube = frozenset[Literal]
"""A conjunction of literals; the empty one is always true."""


PRODUCTS_MAX: Final = 2_000
"""The limit of conditions that are worked out for one cell. A cell with more is unreadable."""


class TooMany(ValueError):
    """A cell leaves out more combinations than a person could read."""


def cube(edge: Transition[Any]) -> Cube | None:
    """The conditions of an edge. None when it requires and forbids the same guard: it asks for the
    impossible."""
    literals = frozenset((guard.name, True) for guard in edge.requires) | frozenset(
        (guard.name, False) for guard in edge.forbids
    )
    return literals if is_possible(literals) else None


def is_possible(literals: Iterable[Literal]) -> bool:
    """Whether no guard is asked for both answers."""
    found = set(literals)
    return not any((name, not wanted) in found for name, wanted in found)


def covered(inside: Cube, cubes: Iterable[Cube]) -> bool:
    """Whether every valuation of ``inside`` lies in one of ``cubes``."""
    return _always([c - inside for c in cubes if is_possible(c | inside)])


def _always(cubes: Sequence[Cube]) -> bool:
    """Whether one of them holds under every valuation: split by a guard until that is plain, and first
    to where the shortest cube does not hold."""
    if not cubes or any(not c for c in cubes):
        return bool(cubes)
    shortest = min((sorted(c) for c in cubes), key=lambda c: (len(c), c))
    name, wanted = shortest[0]
    return all(
        _always([c - {(name, answer)} for c in cubes if (name, not answer) not in c])
        for answer in (not wanted, wanted)
    )


def left_out(cubes: Iterable[Cube], order: Sequence[str]) -> tuple[Cube, ...]:
    """The prime implicants of "none of them holds": every minimal condition under which no cube holds.

    Each cube denied is a clause; the clauses are multiplied out, and a product that a shorter one implies
    is dropped. This yields all prime implicants (Nelson's theorem) without listing 2**n valuations.
    Shortest first, then by the guards' ``order``. TooMany beyond ``PRODUCTS_MAX``.
    """
    products: set[Cube] = {frozenset()}
    for one in cubes:
        denied = frozenset((name, not wanted) for name, wanted in one)
        grown: set[Cube] = set()
        for product in products:
            if product & denied:
                grown.add(product)
                continue
            grown |= {
                product | {(name, answer)} for name, answer in denied if (name, not answer) not in product
            }
        if len(grown) > PRODUCTS_MAX:
            raise TooMany(f"more than {PRODUCTS_MAX} combinations")
        products = _minimal(grown)
    place = {name: n for n, name in enumerate(order)}
    return tuple(
        sorted(products, key=lambda p: (len(p), sorted((place[name], answer) for name, answer in p)))
    )


def _minimal(products: set[Cube]) -> set[Cube]:
    kept: set[Cube] = set()
    for product in sorted(products, key=len):
        if not any(shorter <= product for shorter in kept):
            kept.add(product)
    return kept
