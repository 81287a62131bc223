"""A melt by the engine beside the same melt written by hand, interleaved in one process: `make bench`.

Times depend on the machine; ratios to the hand-written wallets of :mod:`benchmarks.fair` hardly do. Both pay
the same invoices at a simulated mint that answers at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from attrs import asdict, define, frozen

from benchmarks.arena import ENGINE, FAIR_2, FAIR_3, NAMES, Arena, Contestant

MS = 1000
Tick = Callable[[], None]


@frozen
class Plan:
    """How much is measured."""

    melts: int = 80  # of each contestant, one after the other
    warmup: int = 8
    counted: int = 10  # melts whose statements are counted
    threads: int = 16
    each: int = 6  # melts of each thread in one block
    blocks: int = 5

    @property
    def ticks(self) -> int:
        """Steps of the progress bar for one store."""
        return (self.melts + self.warmup) + len(NAMES) + 2 * (self.blocks + 1)


@frozen
class Took:
    """One melt, in seconds."""

    wall: float
    cpu: float
    mint_wall: float
    mint_cpu: float


@define
class Result:
    """One store: medians of single melts (ms), what a melt asks the database, and melts per second of many
    threads. ``ratios`` are those that :mod:`benchmarks.check` compares; more is worse in each of them."""

    ms: dict[str, dict[str, float]]
    asked: dict[str, float]
    per_second: dict[str, float]
    ratios: dict[str, float]
    without_mint: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def measure(folder: Path, servers: Any, plan: Plan, tick: Tick) -> Result:
    """The engine and both hand-written wallets on one store."""
    arena = Arena(folder, servers)
    try:
        took = _one_by_one(arena, plan, tick)
        asked = {}
        for name in NAMES:
            asked[name] = _asked(arena.contestant(name, counted=True), plan)
            tick()
        speed = _together(arena, plan, tick)
    finally:
        arena.close()
    ms = {name: _medians(rounds) for name, rounds in took.items()}
    ratios: dict[str, float] = {}
    without: dict[str, float] = {}
    for other in (FAIR_3, FAIR_2):
        pairs = list(zip(took[ENGINE], took[other], strict=True))
        ratios[f"wall : {other}"] = median(ours.wall / theirs.wall for ours, theirs in pairs)
        ratios[f"cpu : {other}"] = median(ours.cpu / theirs.cpu for ours, theirs in pairs)
        ratios[f"asked : {other}"] = asked[ENGINE] / asked[other]
        without[f"wall : {other}"] = median(_own_wall(ours) / _own_wall(theirs) for ours, theirs in pairs)
        without[f"cpu : {other}"] = median(_own_cpu(ours) / _own_cpu(theirs) for ours, theirs in pairs)
    many = f"{plan.threads} threads"
    ratios[f"{many}, time : {FAIR_3}"] = speed[f"{FAIR_3}, {many}"] / speed[f"{ENGINE}, {many}"]
    ratios[f"{many}, time : its own single thread"] = (
        speed[f"{ENGINE}, 1 thread"] / speed[f"{ENGINE}, {many}"]
    )
    return Result(ms, asked, speed, ratios, without)


def _one_by_one(arena: Arena, plan: Plan, tick: Tick) -> dict[str, list[Took]]:
    """Rounds in which each contestant pays one invoice, so that all of them meet the same noise."""
    contestants = [arena.contestant(name) for name in NAMES]
    took: dict[str, list[Took]] = {name: [] for name in NAMES}
    for n in range(plan.warmup + plan.melts):
        for contestant in contestants:
            (bolt11,) = contestant.invoices(1)
            one = _timed(contestant, lambda c=contestant, b=bolt11: c.pay(b))  # type: ignore[misc]
            if n >= plan.warmup:
                took[contestant.name].append(one)
        tick()
    return took


def _timed(contestant: Contestant, call: Callable[[], None]) -> Took:
    timed = contestant.timed
    timed.seconds = timed.cpu = 0.0
    cpu, wall = time.process_time(), time.perf_counter()
    call()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Took(wall, cpu, timed.seconds, timed.cpu)


def _own_wall(took: Took) -> float:
    return took.wall - took.mint_wall


def _own_cpu(took: Took) -> float:
    return took.cpu - took.mint_cpu


def _medians(rounds: list[Took]) -> dict[str, float]:
    return {
        "wall": median(took.wall for took in rounds) * MS,
        "cpu": median(took.cpu for took in rounds) * MS,
        "mint": median(took.mint_wall for took in rounds) * MS,
    }


def _asked(contestant: Contestant, plan: Plan) -> float:
    """Statements or round trips of one melt. The first one, which asks for keys, is left out."""
    first, *others = contestant.invoices(1 + plan.counted)
    contestant.pay(first)
    contestant.counter.asked = 0
    for bolt11 in others:
        contestant.pay(bolt11)
    return contestant.counter.asked / plan.counted


def _together(arena: Arena, plan: Plan, tick: Tick) -> dict[str, float]:
    """Melts per second of 1 and of many threads, each with a wallet of its own; medians of blocks in turn."""
    contestants = {name: arena.contestant(name, plan.threads) for name in (ENGINE, FAIR_3)}
    found: dict[str, list[float]] = {}
    for n in range(plan.blocks + 1):  # the first block warms up
        for name, contestant in contestants.items():
            for threads in (1, plan.threads):
                speed = _block(contestant, threads, plan.each * (4 if threads == 1 else 1))
                label = f"{name}, {threads} thread{'s' if threads > 1 else ''}"
                if n:
                    found.setdefault(label, []).append(speed)
            tick()
    return {label: median(speeds) for label, speeds in found.items()}


def _block(contestant: Contestant, threads: int, each: int) -> float:
    invoices = [contestant.invoices(each) for _ in range(threads)]
    failed: list[BaseException] = []
    gate = threading.Barrier(threads + 1)

    def work(wallet: int) -> None:
        gate.wait()
        try:
            for bolt11 in invoices[wallet]:
                contestant.pay(bolt11, wallet)
        except BaseException as error:
            failed.append(error)
            raise

    workers = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
    for worker in workers:
        worker.start()
    gate.wait()
    started = time.perf_counter()
    for worker in workers:
        worker.join()
    took = time.perf_counter() - started
    if failed:
        raise failed[0]
    return threads * each / took


def table(results: Mapping[str, Result]) -> str:
    """The results for a person."""
    lines = []
    for store, result in results.items():
        what = "statements" if store == "SQLite" else "round trips"
        lines += [f"{store}", f"  {'one melt':<12}{'wall ms':>10}{'cpu ms':>10}{'of it mint':>12}{what:>13}"]
        for name, ms in result.ms.items():
            row = (
                f"  {name:<12}{ms['wall']:10.2f}{ms['cpu']:10.2f}{ms['mint']:12.2f}{result.asked[name]:13.1f}"
            )
            lines.append(row)
        for other in (FAIR_3, FAIR_2):
            wall, cpu = f"wall : {other}", f"cpu : {other}"
            without = f"{result.without_mint[wall]:.2f} and {result.without_mint[cpu]:.2f}"
            lines.append(
                f"  engine : {other}   wall {result.ratios[wall]:.2f}   cpu {result.ratios[cpu]:.2f}"
                f"   (without the mint's own work {without})"
            )
        lines.append("  melts per second")
        speed = result.per_second
        lines += [f"    {label:<22}{number:10.1f}" for label, number in speed.items()]
        many = next(label for label in speed if label.startswith(ENGINE) and not label.endswith(" 1 thread"))
        lines.append(
            f"  engine : fair-3 with {many.partition(', ')[2]}: "
            f"{speed[many] / speed[many.replace(ENGINE, FAIR_3)]:.2f} of its melts per second, "
            f"{speed[many] / speed[f'{ENGINE}, 1 thread']:.2f} times those of the engine's own single thread"
        )
        lines.append("")
    return "\n".join(lines)
