"""The mint's part of a time, neighbours in the same noise, and a report."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import pytest
from attrs import define, field

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

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.section("MongoDB: medians, ratios")
        for line in self.lines:
            terminalreporter.write_line(line)
