"""The table of fault runs at the end of the output, also when other processes ran them."""

from __future__ import annotations

import pytest
from _pytest.terminal import TerminalReporter

NAME = "nutstate fault runs"
COLUMNS = ("run", "acknowledged", "lost", "doubled", "partial", "unknown (applied / not)", "longest gap s")


class FaultTable:
    """A pytest plugin. Rows travel as user properties of the test reports, which xdist carries from
    its workers to the process that prints."""

    def __init__(self) -> None:
        self._rows: list[list[str]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect the rows of a test, once: all its reports carry them."""
        if report.when == "teardown":
            self._rows += [
                row for key, value in report.user_properties if key == NAME for row in _rows(value)
            ]

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """Print what was collected."""
        if not self._rows:
            return
        table = [list(COLUMNS), *sorted(self._rows)]
        widths = [max(len(row[n]) for row in table) for n in range(len(COLUMNS))]
        terminalreporter.section("fault runs")
        for row in table:
            cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
            terminalreporter.write_line("  ".join((row[0].ljust(widths[0]), *cells)))


def _rows(value: object) -> list[list[str]]:
    return [[str(cell) for cell in value]] if isinstance(value, list | tuple) else []


def register(config: pytest.Config) -> None:
    """Once, whoever asks first."""
    if not config.pluginmanager.has_plugin(NAME):
        config.pluginmanager.register(FaultTable(), NAME)
