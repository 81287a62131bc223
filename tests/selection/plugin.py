"""The hooks of pytest that run a share of the tests, measure a room, and say what did not run.

Without the options, as in ``pytest tests/engine``, everything that was collected runs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from coverage import Coverage

from tests.selection.groups import GROUPS, SHARES, Case, left_out
from tests.selection.measured import EVERYTHING, ROOMS, Room, is_measured
from tests.selection.order import in_order

NOT_RUN = pytest.StashKey[Counter[str]]()
CASES = pytest.StashKey[list[Case]]()
"""Every collected test, also those that do not run."""

_ROOMS = {room.name: room for room in (*ROOMS, EVERYTHING)}


def pytest_addoption(parser: pytest.Parser) -> None:
    """``make test`` gives these; ``python -m tests.selection.choose`` prints them."""
    group = parser.getgroup("selection", "which part of the tests runs (docs/testing.md)")
    group.addoption(
        "--share", type=int, choices=range(SHARES), metavar=f"0-{SHARES - 1}", help="run one share"
    )
    group.addoption("--in-full", default="", metavar="GROUPS", help="groups that the share runs in full")
    group.addoption("--measured", choices=tuple(_ROOMS), help="the room whose tests coverage follows")


def pytest_configure(config: pytest.Config) -> None:
    """Register what measures, where something is measured."""
    unknown = full_groups(config) - GROUPS.keys()
    if unknown:
        raise pytest.UsageError(f"--in-full: no such group: {', '.join(sorted(unknown))}")
    room = config.getoption("--measured")
    if room is not None and config.pluginmanager.hasplugin("_cov"):
        config.pluginmanager.register(Measuring(_ROOMS[room]))
    if config.pluginmanager.hasplugin("xdist"):
        config.pluginmanager.register(_FromWorkers(config))


def full_groups(config: pytest.Config) -> frozenset[str]:
    """The groups named by ``--in-full``."""
    return frozenset(str(config.getoption("--in-full")).split(",")) - {""}


def case_of(item: pytest.Item) -> Case:
    """What the choice needs to know of a test."""
    callspec = getattr(item, "callspec", None)
    params = tuple(value for value in callspec.params.values() if isinstance(value, str)) if callspec else ()
    markers = frozenset(marker.name for marker in item.iter_markers())
    return Case(item.nodeid, item.nodeid.partition("::")[0], markers, params)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what this share does not run, and put the long tests first."""
    share, full = config.getoption("--share"), full_groups(config)
    cases = [case_of(item) for item in items]
    config.stash[CASES] = cases
    not_run = config.stash.setdefault(NOT_RUN, Counter[str]())
    kept, gone = [], []
    for item, case in zip(items, cases, strict=True):
        group = left_out(case, share, full)
        if group is None:
            kept.append((case, item))
        else:
            not_run[group.name] += 1
            gone.append(item)
    if gone:
        config.hook.pytest_deselected(items=gone)
    items[:] = in_order(kept, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "2")))


class Measuring:
    """Lets coverage follow the tests of one room, and rest during the others."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self._coverage: Coverage | None = None
        self._follows = False
        self._children = ""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Turn it on or off where the neighbour differs."""
        if self._coverage is None:
            self._coverage = self._take_over()
        wanted = is_measured(case_of(item), self.room)
        if self._coverage is not None and wanted != self._follows:
            self._turn(self._coverage, wanted)
        return (yield)

    def pytest_sessionfinish(self) -> None:
        """Leave it as pytest-cov expects it."""
        if self._coverage is not None and not self._follows:
            self._turn(self._coverage, True)

    def _take_over(self) -> Coverage | None:
        """Stop everything that measures here, and return what pytest-cov started: the last one. Below it lie
        those of a worker as a child process; each would go on when the one above it stops."""
        found: list[Coverage] = []
        while (running := Coverage.current()) is not None:
            running.stop()
            found.append(running)
        self._children = os.environ.pop(_CHILDREN, "")
        return found[0] if found else None

    def _turn(self, coverage: Coverage, on: bool) -> None:
        self._follows = on
        if on:
            coverage.start()
            if self._children:
                os.environ[_CHILDREN] = self._children
        else:
            coverage.stop()
            os.environ.pop(_CHILDREN, None)


_CHILDREN = "COVERAGE_PROCESS_CONFIG"
"""Where coverage tells child processes to measure themselves."""


class _FromWorkers:
    """Brings what the workers left out to the process that prints. All workers leave out the same."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker has ended."""
        told: dict[str, int] = getattr(node, "workeroutput", {}).get("not_run", {})
        self.config.stash[NOT_RUN] = not_run_in(self.config) | Counter(told)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In a worker: hand over what was left out."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["not_run"] = dict(not_run_in(session.config))


def not_run_in(config: pytest.Config) -> Counter[str]:
    """How many tests of which group the share leaves out."""
    return config.stash.get(NOT_RUN, Counter[str]())


def told(not_run: Counter[str], share: int | None) -> list[str]:
    """Lines for the end of a run: what this commit did not run, and how it is run."""
    if not not_run.total():
        return []
    lines = [
        f"{number:>6} of {name}: {GROUPS[name].about} ({GROUPS[name].parts} parts)"
        for name, number in sorted(not_run.items())
    ]
    shares = f"share {share} of 0 to {SHARES - 1}; other commits run the other shares"
    return [*lines, f"{not_run.total():>6} tests. This was {shares}. `make test ALL=1` runs everything."]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what did not run."""
    config = terminalreporter.config
    lines = told(not_run_in(config), config.getoption("--share"))
    if lines:
        terminalreporter.section("not run in this commit")
        for line in lines:
            terminalreporter.write_line(line)
