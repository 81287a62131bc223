"""What a benchmark says besides its own times: round trips, neighbours in the same noise, a report."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from statistics import mean, median
from typing import Any

import pytest
from attrs import define, field
from pymongo.monitoring import CommandListener

from nutstate import SimulatedMint

MS = 1000


class TimedMint:
    """A mint's port; its own work, signing above all, is the same for every wallet."""

    def __init__(self, mint: SimulatedMint) -> None:
        self._inner, self.seconds, self.cpu = mint, 0.0, 0.0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self._inner, name)

        def timed(*args: Any) -> Any:
            cpu, started = time.process_time(), time.perf_counter()
            try:
                return call(*args)
            finally:
                self.seconds += time.perf_counter() - started
                self.cpu += time.process_time() - cpu

        return timed


class Meter(CommandListener):
    """The commands of one client, per payment, and the time until they were answered."""

    def __init__(self) -> None:
        self._paying = False
        self.names: list[Counter[str]] = []
        self.places: list[Counter[str]] = []
        self.in_mongodb: list[float] = []
        self.in_mint: list[float] = []

    def started(self, event: Any) -> None:
        if self._paying:
            name, place = event.command_name, event.command.get(event.command_name)
            self.names[-1][name] += 1
            self.places[-1][f"{name} {place}" if isinstance(place, str) else name] += 1

    def succeeded(self, event: Any) -> None:
        if self._paying:
            self.in_mongodb[-1] += event.duration_micros / 1e6

    failed = succeeded

    def wrap(self, mint: TimedMint, pay: Callable[..., object]) -> Callable[..., None]:
        """``pay``, counted."""

        def counted(*args: Any) -> None:
            for counts in (self.names, self.places):
                counts.append(Counter())
            self.in_mongodb.append(0.0)
            mint.seconds, self._paying = 0.0, True
            pay(*args)
            self._paying = False
            self.in_mint.append(mint.seconds)

        return counted

    def summary(self) -> dict[str, Any]:
        """Means per payment; the times are medians."""
        totals = [one.total() for one in self.names]
        return {
            "round_trips": round(mean(totals), 2),
            "round_trips_least_most": [min(totals), max(totals)],
            "round_trips_by_command": _each(self.names),
            "round_trips_by_collection": _each(self.places),
            "ms_in_mongodb": round(median(self.in_mongodb) * MS, 3),
            "ms_in_mint": round(median(self.in_mint) * MS, 3),
        }


def _each(counted: Sequence[Counter[str]]) -> dict[str, float]:
    return {what: round(n / len(counted), 2) for what, n in sum(counted, Counter[str]()).most_common()}


@define
class Neighbours:
    """Baselines that run before each round of the benchmark, so that all of them meet the same noise."""

    warmup: int
    took: dict[str, list[float]] = field(factory=dict)

    def run(self, name: str, call: Callable[..., object], *args: Any) -> None:
        started = time.perf_counter()
        call(*args)
        self.took.setdefault(name, []).append(time.perf_counter() - started)

    def of_rounds(self, name: str) -> list[float]:
        return self.took[name][self.warmup :]


@define
class Report:
    """A plugin of pytest: what its table of benchmarks cannot show, after it."""

    lines: list[str] = field(factory=list)

    def add(self, name: str, benchmark: Any, neighbours: Neighbours | None = None) -> None:
        """The benchmark's median, and its neighbours' with the median of the ratios, round by round."""
        if benchmark.stats is None:  # --benchmark-disable
            return
        ours = benchmark.stats.stats.data
        self.lines.append(f"  {name:<46}{median(ours) * MS:9.3f} ms")
        for other in neighbours.took if neighbours else ():
            theirs = neighbours.of_rounds(other) if neighbours else []
            ratio = median(a / b for a, b in zip(ours, theirs, strict=True))
            benchmark.extra_info[other] = {
                "median_ms": round(median(theirs) * MS, 4),
                "ratio": round(ratio, 3),
            }
            self.lines.append(
                f"  {other:<46}{median(theirs) * MS:9.3f} ms   ours takes {ratio:.2f} times as long"
            )

    def note(self, text: str) -> None:
        self.lines.append(f"      {text}")

    def trips(self, name: str, summary: dict[str, Any]) -> None:
        least, most = summary["round_trips_least_most"]
        commands = ", ".join(f"{what} {n:g}" for what, n in summary["round_trips_by_command"].items())
        self.note(
            f"{name}: {summary['round_trips']:g} round trips ({least} to {most}): {commands}; "
            f"{summary['ms_in_mongodb']:.2f} ms in MongoDB, {summary['ms_in_mint']:.2f} ms in the mint"
        )

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.section("MongoDB: medians, ratios, round trips")
        for line in self.lines:
            terminalreporter.write_line(line)
