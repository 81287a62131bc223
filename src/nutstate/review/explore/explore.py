"""Breadth-first search over every world a setting can reach, the invariants asked in each."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from attrs import define, field, frozen

from .code import Code, code_for
from .invariants import broken, broken_by
from .moves import Move, moves, start
from .setting import Setting
from .world import World

STATES_MAX = 1_000_000
_OURS = ("engine", "answer")
_ALONE = (*_OURS, "mint", "clock")
_AGAINST_US = ("engine", "clock", "useless")


class Step(NamedTuple):
    """One line of a counter-example: what happened, and what the table made of it."""

    label: str
    note: str


@frozen
class Violation:
    """An invariant that does not hold, and the shortest way there."""

    what: str
    steps: tuple[Step, ...]


@frozen
class Exploration:
    """The result of an exploration. ``complete`` is False when it stopped at a violation or at its limit.
    ``ends`` counts the states in which every operation has ended, by how; ``transitions`` are the ids of
    the edges that were taken anywhere."""

    setting: Setting
    states: int
    moves: int
    depth: int
    complete: bool
    ends: tuple[tuple[str, int], ...]
    transitions: frozenset[str]
    violation: Violation | None


def explore(setting: Setting, states_max: int = STATES_MAX) -> Exploration:
    """Walk every reachable world, nearest first, and stop at the first one that breaks an invariant.

    When all hold, the graph is walked backwards: from every world some way without faults must lead to
    one in which every operation has ended or is parked (I11), also when the mint never gives a useful answer,
    and with an operator to the end of all.
    Deterministic: the same setting gives the same answer."""
    search = _Search(setting, code_for(setting))
    complete = search.run(states_max, start(search.code, setting))
    if complete and search.violation is None:
        search.violation = search.trap()
    return search.result(complete)


def stuck(setting: Setting, world: World, states_max: int = STATES_MAX) -> str | None:
    """I11 of one world: why nothing ends it or why it goes round for ever, or None. Everything it can
    reach is explored for that; what breaks another invariant on the way is not followed."""
    search = _Search(setting, code_for(setting))
    search.run(states_max, world, stop=False)
    trap = search.trap(only_first=True)
    return trap.what if trap else None


@define(eq=False)
class _Search:
    """The graph found so far. Worlds are numbered in the order in which they were found."""

    setting: Setting
    code: Code
    worlds: list[World] = field(factory=list, repr=False)
    came: list[tuple[int, Step | None]] = field(factory=list, repr=False)
    depths: list[int] = field(factory=list, repr=False)
    links: list[tuple[int, int, str]] = field(factory=list, repr=False)
    steps: list[tuple[int, int]] = field(factory=list, repr=False)
    transitions: set[str] = field(factory=set, repr=False)
    violation: Violation | None = None

    def run(self, states_max: int, first: World, stop: bool = True) -> bool:
        """Search; True when everything was reached. Without ``stop`` a world that breaks an invariant is
        left aside."""
        numbers = {first: 0}
        self._add(first, -1, None, 0)
        here = 0
        while here < len(self.worlds):
            world = self.worlds[here]
            for move in moves(self.code, self.setting, world):
                if move.edge:
                    self.transitions.add(move.edge)
                number = numbers.setdefault(move.world, len(self.worlds))
                new = number == len(self.worlds)
                wrong = verdict(self.setting, world, move, new)
                if wrong and not stop:
                    if new:
                        del numbers[move.world]
                    continue
                if wrong:
                    self.violation = Violation(wrong, (*self._way(here), Step(move.label, move.note)))
                    return False
                if new:
                    self._add(move.world, here, Step(move.label, move.note), self.depths[here] + 1)
                self.links.append((here, number, move.kind))
                if move.edge and number != here and move.kind in _OURS:
                    self.steps.append((here, number))
            here += 1
            if len(self.worlds) > states_max:
                return False
        return True

    def trap(self, only_first: bool = False) -> Violation | None:
        """I11: the nearest world from which, once faults stop, nothing leads to an end, or of which workers
        never come to rest."""
        quiet = self._leading_to(("pseudo", "parked", "final"), _ALONE)
        helped = self._leading_to(("pseudo", "final"), (*_ALONE, "operator"))
        alone = self._leading_to(("pseudo", "parked", "final"), _AGAINST_US)
        rounds = self._rounds()
        for number in range(1 if only_first else len(self.worlds)):
            if number in rounds:
                return Violation("I11: it goes round by itself without end", self._way(number))
            if number not in quiet:
                return Violation("I11: without faults it can neither end nor park", self._way(number))
            if number not in alone:
                return Violation(
                    "I11: a mint that never gives a useful answer keeps it open", self._way(number)
                )
            if self.setting.operator and number not in helped:
                return Violation("I11: even an operator cannot end it", self._way(number))
        return None

    def _rounds(self) -> set[int]:
        """Worlds in a circle of committed transitions that workers go round while nothing else happens."""
        onward: list[list[int]] = [[] for _ in self.worlds]
        for before, after, kind in self.links:
            if kind in _OURS:
                onward[before].append(after)
        component = components(onward)
        return {before for before, after in self.steps if component[before] == component[after]}

    def result(self, complete: bool) -> Exploration:
        """The numbers."""
        ends: dict[str, int] = {}
        for world in self.worlds:
            if self._rests(world, ("pseudo", "final")):
                key = ", ".join(f"{op.id} {op.state}" for op in world.ops if op is not None)
                ends[key or "nothing asked"] = ends.get(key or "nothing asked", 0) + 1
        return Exploration(
            setting=self.setting,
            states=len(self.worlds),
            moves=len(self.links),
            depth=max(self.depths),
            complete=complete,
            ends=tuple(sorted(ends.items())),
            transitions=frozenset(self.transitions),
            violation=self.violation,
        )

    def _add(self, world: World, parent: int, step: Step | None, depth: int) -> None:
        self.worlds.append(world)
        self.came.append((parent, step))
        self.depths.append(depth)

    def _way(self, number: int) -> tuple[Step, ...]:
        steps: list[Step] = []
        while (link := self.came[number])[1] is not None:
            number, step = link
            if step is not None:
                steps.append(step)
        return tuple(reversed(steps))

    def _rests(self, world: World, kinds: Iterable[str]) -> bool:
        return all(
            op is None
            or op.declared.kind in kinds
            or (plan.two_step and op.declared.waits_for == "confirmation")
            for plan, op in zip(self.setting.plans, world.ops, strict=True)
        )

    def _leading_to(self, kinds: tuple[str, ...], moved_by: tuple[str, ...]) -> set[int]:
        back: list[list[int]] = [[] for _ in self.worlds]
        for before, after, kind in self.links:
            if kind in moved_by:
                back[after].append(before)
        queue = deque(n for n, world in enumerate(self.worlds) if self._rests(world, kinds))
        found = set(queue)
        while queue:
            for before in back[queue.popleft()]:
                if before not in found:
                    found.add(before)
                    queue.append(before)
        return found


def components(onward: list[list[int]]) -> list[int]:
    """The strongly connected component of each node of a graph (Tarjan, without recursion)."""
    component, low, order = [-1] * len(onward), [0] * len(onward), [-1] * len(onward)
    counter, pending = 0, list[int]()
    for root in range(len(onward)):
        if order[root] >= 0:
            continue
        order[root] = low[root] = counter
        counter += 1
        pending.append(root)
        walk = [(root, iter(onward[root]))]
        while walk:
            node, rest = walk[-1]
            for following in rest:
                if order[following] < 0:
                    order[following] = low[following] = counter
                    counter += 1
                    pending.append(following)
                    walk.append((following, iter(onward[following])))
                    break
                if component[following] < 0:
                    low[node] = min(low[node], order[following])
            else:
                walk.pop()
                if walk:
                    low[walk[-1][0]] = min(low[walk[-1][0]], low[node])
                if low[node] == order[node]:
                    while component[node] < 0:
                        component[pending.pop()] = node
    return component


def verdict(setting: Setting, before: World, move: Move, new: bool = True) -> str | None:
    """The invariant that a move breaks, or None. ``new`` False: the world it leads to was judged before."""
    wrong = move.broken or broken_by(setting, before, move.world)
    return wrong or (broken(setting, move.world) if new else None)
