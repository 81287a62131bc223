"""Few long walks that together take every edge, for a soak test or a demonstration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from ...machines.spec import Machine, Transition
from .graph import Graph, Path, graph, ways


@frozen
class Tours:
    """``tours`` start at the pseudo-state and take every edge at least once. Each ends in a final state;
    where none can be reached, in a parked one or one that nothing leaves; failing that too, after its
    last new edge. ``unreachable`` names the edges that no walk can take, in order of the table."""

    machine: str
    tours: tuple[Path, ...]
    unreachable: tuple[str, ...]

    @property
    def steps(self) -> int:
        """The edges of all tours together, repetitions counted."""
        return sum(len(tour) for tour in self.tours)

    def as_data(self) -> dict[str, Any]:
        """JSON-ready: a tour is the list of the ids of its transitions."""
        return {
            "machine": self.machine,
            "tours": [[edge.id for edge in tour] for tour in self.tours],
            "steps": self.steps,
            "unreachable": list(self.unreachable),
        }


def tours(spec: Machine[Any]) -> Tours:
    """Walks through the whole machine, greedy: always on to an edge not yet taken, to one after which
    most others can still be reached, the nearest of these. So a walk leaves a part of the machine, or
    enters a state that nothing leaves, only when nothing else is left to take there."""
    drawn = graph(spec)
    near = {state: ways(drawn, state) for state in ways(drawn, drawn.start)}
    left = {edge.id: edge for edge in drawn.edges if edge.source in near}
    unreachable = tuple(edge.id for edge in spec.transitions if edge.id not in left)
    walked: list[Path] = []
    while left:
        walk: list[Transition[Any]] = []
        state = drawn.start
        while found := _next(near, state, left):
            walk += found
            for edge in found:
                left.pop(edge.id, None)
            state = walk[-1].dest
        walked.append((*walk, *_to_an_end(spec, drawn, near[state])))
    return Tours(spec.name, tuple(walked), unreachable)


def _next(near: Mapping[str, Mapping[str, Path]], state: str, left: Mapping[str, Transition[Any]]) -> Path:
    """The way from here that takes the best edge not yet taken, empty if none can be reached."""
    open_at = Counter(edge.source for edge in left.values())
    best: tuple[int, int] | None = None
    chosen: Path = ()
    for edge in left.values():
        if edge.source in near[state]:
            way = near[state][edge.source]
            still = sum(open_at[reached] for reached in near[edge.dest])
            if best is None or (still, -len(way)) > best:
                best, chosen = (still, -len(way)), (*way, edge)
    return chosen


def _to_an_end(spec: Machine[Any], drawn: Graph, nearest: Mapping[str, Path]) -> Path:
    """The shortest of the given ways that ends where a tour may end."""
    kinds = {declared.name: declared.kind for declared in spec.states}
    for ends in (
        [name for name in nearest if kinds.get(name) == "final"],
        [name for name in nearest if kinds.get(name) == "parked"],
        [name for name in nearest if not drawn.after(name)],
    ):
        if ends:
            return nearest[ends[0]]
    return ()
