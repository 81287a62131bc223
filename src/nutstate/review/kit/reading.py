"""A second reading of a declaration: without ``step``, the library or the machine's own index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from ...machines.spec import Machine, Outcome


@frozen
class Reading:
    """The answer of the tables to one state, event and valuation. ``codes`` are those of a refusal."""

    outcome: Outcome
    next_state: str
    transition: str | None = None
    effects: tuple[str, ...] = ()
    codes: frozenset[str] = frozenset()


def reading(spec: Machine[Any], state: str, event: str, answers: Mapping[str, bool]) -> Reading:
    """The first agreeing edge of the cell wins; then what the state absorbs; then what it always
    refuses; then the refusal of an edge that did not agree; everything else is undefined."""
    here = [edge for edge in spec.transitions if edge.source == state and edge.event == event]
    said_no: set[str] = set()
    for edge in here:
        no = {guard.code for guard in edge.requires if not answers[guard.name]}
        no |= {guard.code for guard in edge.forbids if answers[guard.name]}
        if not no:
            return Reading("accepted", edge.dest, edge.id, edge.effects)
        said_no |= no
    declared = next(found for found in spec.states if found.name == state)
    if event in declared.absorbs:
        return Reading("absorbed", state)
    for fixed in declared.refuses:
        if fixed.event == event:
            return Reading("refused", state, codes=frozenset({fixed.code}))
    return Reading("refused", state, codes=frozenset(said_no)) if here else Reading("undefined", state)
