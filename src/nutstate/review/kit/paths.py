"""Short sequences of transitions that together cover every state, edge or sequence of edges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal

from attrs import frozen

from ...machines.spec import Machine
from .graph import Graph, Path, graph, ways

Cover = Literal["states", "edges", "pairs"] | int
Target = tuple[str, ...]
"""The target of a path: ``(state,)``, or the ids of edges that follow one another."""

SEQUENCES_MAX = 100_000
LENGTH_MAX = 32


class TooManySequences(ValueError):
    """There are more than ``SEQUENCES_MAX`` sequences of so many edges."""


@frozen
class Paths:
    """``paths`` start at the pseudo-state, shortest first. ``covered`` and ``unreachable`` name every
    target once, in order of the table: all that there is, is in one of them. Guards are set freely, so a
    path may be one that no facts allow; an edge that is unreachable here is unreachable with any facts."""

    machine: str
    cover: str
    paths: tuple[Path, ...]
    covered: tuple[Target, ...]
    unreachable: tuple[Target, ...]

    def as_data(self) -> dict[str, Any]:
        """JSON-ready: a path is the list of the ids of its transitions."""
        return {
            "machine": self.machine,
            "cover": self.cover,
            "paths": [[edge.id for edge in path] for path in self.paths],
            "covered": [list(target) for target in self.covered],
            "unreachable": [list(target) for target in self.unreachable],
        }


def paths(spec: Machine[Any], cover: Cover = "edges") -> Paths:
    """Few short paths from the pseudo-state that cover all states, all edges, all pairs of adjacent
    edges, or all sequences of up to ``cover`` edges (so ``"edges"`` is 1 and ``"pairs"`` is 2). A walk
    that ends before it has so many edges is covered as far as it goes.

    ValueError for another ``cover``; :class:`TooManySequences` (a ValueError) when there are too many.
    """
    drawn = graph(spec)
    if cover == "states":
        return _states(spec, drawn)
    lengths: dict[Any, int] = {"edges": 1, "pairs": 2}
    length = lengths.get(cover, cover)
    if not isinstance(length, int) or isinstance(length, bool) or not 1 <= length <= LENGTH_MAX:
        raise ValueError(
            f"cover is 'states', 'edges', 'pairs' or a number from 1 to {LENGTH_MAX}, not {cover!r}"
        )
    return _sequences(spec, drawn, length, str(cover))


def _states(spec: Machine[Any], drawn: Graph) -> Paths:
    nearest = ways(drawn, drawn.start)
    passed = {edge.source for way in nearest.values() for edge in way}
    ends = [way for state, way in nearest.items() if way and state not in passed]
    names = [state.name for state in spec.states]
    return Paths(
        spec.name,
        "states",
        tuple(sorted(ends, key=len)),
        tuple((name,) for name in names if name in nearest),
        tuple((name,) for name in names if name not in nearest),
    )


def _sequences(spec: Machine[Any], drawn: Graph, length: int, cover: str) -> Paths:
    _bounded(spec, length)
    nearest = ways(drawn, drawn.start)
    possible = {edge.id for edge in drawn.edges if edge.source in nearest}
    targets = list(_chains(spec, length))
    reachable = [chain for chain in targets if all(edge.id in possible for edge in chain)]
    # Long targets that lie far away first: their paths cover the short and near ones on the way.
    order = sorted(reachable, key=lambda chain: (-len(chain), -len(nearest[chain[0].source])))
    chosen: list[Path] = []
    seen: set[Target] = set()
    for chain in order:
        if _ids(chain) not in seen:
            chosen.append((*nearest[chain[0].source], *chain))
            seen.update(_windows(chosen[-1], length))
    return Paths(
        spec.name,
        cover,
        _without_needless(chosen, length),
        tuple(_ids(chain) for chain in reachable),
        tuple(_ids(chain) for chain in targets if not all(edge.id in possible for edge in chain)),
    )


def _bounded(spec: Machine[Any], length: int) -> None:
    """Counts the chains before any is made: their number grows with the power of ``length``."""
    counts = Counter(edge.source for edge in spec.transitions)
    total = counts.total()
    for _ in range(length - 1):
        longer: Counter[str] = Counter()
        for edge in spec.transitions:
            longer[edge.source] += counts[edge.dest]
        if not longer.total():
            return
        counts, total = longer, total + longer.total()
        if total > SEQUENCES_MAX:
            raise TooManySequences(
                f"machine {spec.name!r} has more than {SEQUENCES_MAX} sequences of up to {length} edges"
            )


def _chains(spec: Machine[Any], length: int) -> Iterator[Path]:
    """Every sequence of one to ``length`` adjacent declared edges, short ones first."""
    leaving: dict[str, list[Any]] = {}
    for edge in spec.transitions:
        leaving.setdefault(edge.source, []).append(edge)
    chains: list[Path] = [(edge,) for edge in spec.transitions]
    for _ in range(length):
        yield from chains
        chains = [(*chain, edge) for chain in chains for edge in leaving.get(chain[-1].dest, ())]
        if not chains:
            return


def _windows(path: Path, length: int) -> Iterator[Target]:
    ids = _ids(path)
    for size in range(1, min(length, len(ids)) + 1):
        for first in range(len(ids) - size + 1):
            yield ids[first : first + size]


def _without_needless(chosen: list[Path], length: int) -> tuple[Path, ...]:
    """Shortest first, without the paths that the others make needless."""
    counts = Counter(target for path in chosen for target in set(_windows(path, length)))
    kept: list[Path] = []
    for path in sorted(chosen, key=len):
        covers = set(_windows(path, length))
        if all(counts[target] > 1 for target in covers):
            counts.subtract(covers)
        else:
            kept.append(path)
    return tuple(kept)


def _ids(chain: Path) -> Target:
    return tuple(edge.id for edge in chain)
