"""Which steps from state to state exist, derived from the machines: what every store holds its
documents to, so that an illegal edge cannot be stored by any program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ...machines.registry import RELEASED
from ...machines.spec import Machine
from ...machines.token.table import TOKEN

Step = tuple[str, str]


def _steps(machines: list[Machine[Any]]) -> frozenset[Step]:
    return frozenset((t.source, t.dest) for machine in machines for t in machine.transitions)


TOKEN_STEPS: Final[frozenset[Step]] = _steps([m for m in RELEASED if m.name == TOKEN.name])
"""(from, to) of every edge of every released token machine; a birth comes from ``none``."""

OPERATION_STEPS: Final[Mapping[str, frozenset[Step]]] = {
    name: _steps([m for m in RELEASED if m.name == name])
    for name in sorted({m.name for m in RELEASED} - {TOKEN.name})
}
"""The same for each kind of operation."""
