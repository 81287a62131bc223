"""The items that the pytest plugin collects: the tests of one machine. Imported only for a machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from ._declared import NotDeclared, NotImportable, declared
from .machines.spec import Machine
from .review.kit import Cell, contradictions, endless, matrix, switched, unreached
from .review.lint import lint

DIFFERENCES_SHOWN_MAX = 5
Check = Callable[[], Sequence[str]]


class Wrong(Exception):
    """A machine is not as it must be; the sentences say where."""

    def __init__(self, sentences: Sequence[str]) -> None:
        super().__init__("\n".join(sentences))


class MachineTests(pytest.Collector):
    """The tests of one machine."""

    spec: Machine[Any]

    def collect(self) -> Iterator[pytest.Item]:
        """One per cell, and one for each thing that must hold for the whole machine."""
        spec, machine = self.spec, switched(self.spec)
        for cell in matrix(spec):
            yield self._item(f"cell[{cell.state}-{cell.event}]", _cell(spec, machine, cell))
        yield self._item("reaches every state", lambda: _unreached(spec))
        yield self._item("every state can end", lambda: _endless(spec))
        yield self._item("lint", lambda: _lint(spec))

    def _item(self, name: str, check: Check) -> pytest.Item:
        item: MachineTest = MachineTest.from_parent(self, name=name, nodeid=f"{self.nodeid}::{name}")
        item.check = check
        return item


class MachineTest(pytest.Item):
    """One thing that must hold: ``check`` returns what is wrong."""

    check: Check

    def runtest(self) -> None:
        """Fails with the sentences of ``check``."""
        if found := self.check():
            raise Wrong(found)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The sentences alone. The place in this file says nothing about the machine."""
        if isinstance(excinfo.value, Wrong):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """Heads the report of a failure."""
        return self.path, None, f"{self.parent.name if self.parent else ''}: {self.name}"


def collected(session: pytest.Session, wanted: Sequence[str]) -> list[pytest.Item]:
    """The tests of these machines, each machine once. ``UsageError`` for one that cannot be found."""
    machines = dict.fromkeys(spec for origin in wanted for spec in _declared(origin))
    names = [f"{spec.name}@{spec.version}" for spec in machines]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise pytest.UsageError(f"nutstate machines: there are two different machines {twice[0]}")
    several = {spec.name for spec in machines if sum(other.name == spec.name for other in machines) > 1}
    items: list[pytest.Item] = []
    for spec in machines:
        name = f"{spec.name}@{spec.version}" if spec.name in several else spec.name
        tests = MachineTests.from_parent(session, name=name, nodeid=f"nutstate::{name}")
        tests.spec = spec
        items += session.genitems(tests)
    return items


def _declared(origin: str) -> tuple[Machine[Any], ...]:
    try:
        return declared(origin)
    except NotImportable as error:
        hint = "It is imported as your tests are; see pytest's setting pythonpath."
        raise pytest.UsageError(f"nutstate machines: {error}. {hint}") from None
    except NotDeclared as error:
        raise pytest.UsageError(f"nutstate machines: {error}") from None


def _cell(spec: Machine[Any], machine: Machine[Any], cell: Cell) -> Check:
    def check() -> Sequence[str]:
        found = contradictions(spec, cell, machine)
        more = len(found) - DIFFERENCES_SHOWN_MAX
        return (*found[:DIFFERENCES_SHOWN_MAX], f"and {more} more") if more > 0 else found

    return check


def _unreached(spec: Machine[Any]) -> Sequence[str]:
    return [f"no path from the pseudo-state reaches {name}" for name in unreached(spec)]


def _endless(spec: Machine[Any]) -> Sequence[str]:
    if not any(state.kind == "final" for state in spec.states):
        pytest.skip(f"{spec.name} declares no final state")
    return [f"from {name} no final state can be reached" for name in endless(spec)]


def _lint(spec: Machine[Any]) -> Sequence[str]:
    return [
        f"{finding.code} {finding.where}: {finding.sentence}"
        for finding in lint((spec,))
        if finding.severity == "error"
    ]
