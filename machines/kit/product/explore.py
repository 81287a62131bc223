"""Breadth-first search over every world a setting can reach, the invariants asked in each."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from attrs import frozen

from .invariants import broken, broken_by
from .moves import Move, moves
from .scene import Decider
from .setting import Setting
from .world import World

Parents = dict[World, tuple[World, str, str] | None]


@frozen
class Step:
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
    """What an exploration found. ``complete`` is False when it stopped at ``states_max`` or at a violation."""

    setting: Setting
    states: int
    moves: int
    complete: bool
    ended: tuple[tuple[str, int], ...]
    transitions: frozenset[str]
    violation: Violation | None


def explore(setting: Setting, states_max: int = 1_000_000) -> Exploration:
    """Walk every reachable world, nearest first, and stop at the first one that breaks an invariant.

    When all hold, the graph is walked backwards: from every world some way without faults must lead to
    one in which every operation has ended or is parked (I11), and with an operator to the end of all.
    Deterministic: the same setting gives the same answer, byte by byte. Raises ValueError for machines
    that name an action or an effect the model does not know."""
    decider = Decider(setting)
    first = setting.start()
    parents: Parents = {first: None}
    queue: deque[World] = deque((first,))
    links: list[tuple[World, World, str]] = []
    transitions: set[str] = set()
    while queue:
        world = queue.popleft()
        for move in moves(decider, world):
            if move.note.endswith(")"):
                transitions.add(move.note[move.note.rindex("(") + 1 : -1])
            wrong = move.broken or broken_by(setting, world, move.world)
            new = move.world not in parents
            if new and not wrong:
                wrong = broken(setting, move.world) or ""
            if wrong:
                return _stopped(setting, parents, links, transitions, world, move, wrong)
            links.append((world, move.world, move.kind))
            if new:
                parents[move.world] = (world, move.label, move.note)
                queue.append(move.world)
        if len(parents) > states_max:
            return _result(setting, parents, links, transitions, False, None)
    return _result(setting, parents, links, transitions, True, _trap(setting, parents, links))


def _trap(setting: Setting, parents: Parents, links: list[tuple[World, World, str]]) -> Violation | None:
    """I11: a world from which, once faults stop, nothing leads to an end."""
    rested = [world for world in parents if _rests(setting, world, ("pseudo", "parked", "final"))]
    quiet = _leading_to(rested, links, ("engine", "mint", "clock"))
    ended = [world for world in parents if _rests(setting, world, ("pseudo", "final"))]
    helped = _leading_to(ended, links, ("engine", "mint", "clock", "operator"))
    for world in parents:  # in the order they were found: the nearest first
        if world not in quiet:
            return Violation("I11: without faults it can neither end nor park", _way(parents, world))
        if setting.operator and world not in helped:
            return Violation("I11: even an operator cannot end it", _way(parents, world))
    return None


def _rests(setting: Setting, world: World, kinds: tuple[str, ...]) -> bool:
    return all(
        setting.tables.of(plan.kind).state(op.state).kind in kinds or (plan.two_step and op.state == "prepared")
        for plan, op in zip(setting.plans, world.ops, strict=True)
    )


def _leading_to(
    ends: Iterable[World], links: list[tuple[World, World, str]], kinds: tuple[str, ...]
) -> set[World]:
    back: dict[World, list[World]] = {}
    for before, after, kind in links:
        if kind in kinds:
            back.setdefault(after, []).append(before)
    found = set(ends)
    queue = deque(found)
    while queue:
        for before in back.get(queue.popleft(), ()):
            if before not in found:
                found.add(before)
                queue.append(before)
    return found


def _way(parents: Parents, world: World) -> tuple[Step, ...]:
    steps: list[Step] = []
    while (link := parents[world]) is not None:
        world, label, note = link
        steps.append(Step(label, note))
    return tuple(reversed(steps))


def _stopped(
    setting: Setting,
    parents: Parents,
    links: list[tuple[World, World, str]],
    transitions: set[str],
    world: World,
    move: Move,
    wrong: str,
) -> Exploration:
    steps = (*_way(parents, world), Step(move.label, move.note))
    return _result(setting, parents, links, transitions, False, Violation(wrong, steps))


def _result(
    setting: Setting,
    parents: Parents,
    links: list[tuple[World, World, str]],
    transitions: set[str],
    complete: bool,
    violation: Violation | None,
) -> Exploration:
    ended: dict[str, int] = {}
    for world in parents:
        if _rests(setting, world, ("pseudo", "final")):
            key = " ".join(f"{p.name} {op.state}" for p, op in zip(setting.plans, world.ops, strict=True))
            ended[key] = ended.get(key, 0) + 1
    return Exploration(
        setting,
        len(parents),
        len(links),
        complete,
        tuple(sorted(ended.items())),
        frozenset(transitions),
        violation,
    )
