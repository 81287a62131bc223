"""Properties of every machine, checked exhaustively: each answer is a tuple of sentences or names,
empty when all is well."""

from __future__ import annotations

from typing import Any

from ...machines.spec import Machine
from .cells import Cell, Row, decided, switched
from .graph import graph, ways
from .reading import reading

GUARDS_MAX = 16
"""A cell that asks more guards than this has too many combinations to try them all."""


class TooManyGuards(ValueError):
    """A cell asks more than ``GUARDS_MAX`` guards."""


def differences(spec: Machine[Any], row: Row) -> tuple[str, ...]:
    """The differences between the decision of a row and the declaration, as sentences."""
    said = row.decision
    wanted = reading(spec, row.cell.state, row.cell.event, row.valuation)
    pairs: tuple[tuple[str, object, object], ...] = (
        ("outcome", said.outcome, wanted.outcome),
        ("next state", said.next_state, wanted.next_state),
        ("transition", said.transition, wanted.transition),
        ("effects", said.effects, wanted.effects),
        ("codes", sorted({refusal.code for refusal in said.refusals}), sorted(wanted.codes)),
    )
    answers = ", ".join(f"{name}={'yes' if held else 'no'}" for name, held in row.valuation.items())
    where = f"{row.cell.event} in {row.cell.state}" + (f" with {answers}" if answers else "")
    return tuple(
        f"{where}: the machine decides {what} {ours!r}, its declaration says {theirs!r}"
        for what, ours, theirs in pairs
        if ours != theirs
    )


def contradictions(spec: Machine[Any], cell: Cell, machine: Machine[Any] | None = None) -> tuple[str, ...]:
    """The differences of one cell under every valuation of its guards. Who asks about many cells gives
    ``switched(spec)`` as ``machine``, made once. Raises :class:`TooManyGuards`."""
    if len(cell.guards) > GUARDS_MAX:
        combinations = f"{len(cell.guards)} guards: {2 ** len(cell.guards)} combinations"
        raise TooManyGuards(f"{cell.event} in {cell.state} asks {combinations}, too many to try them all")
    machine = switched(spec) if machine is None else machine
    return tuple(sentence for row in decided(machine, cell) for sentence in differences(spec, row))


def unreached(spec: Machine[Any]) -> tuple[str, ...]:
    """The states that no path from the pseudo-state reaches, in order of the table."""
    drawn = graph(spec)
    reached = ways(drawn, drawn.start)
    return tuple(state.name for state in spec.states if state.name not in reached)


def endless(spec: Machine[Any]) -> tuple[str, ...]:
    """The states that can be reached but from which no final state can, in order of the table."""
    drawn = graph(spec)
    reached = ways(drawn, drawn.start)
    finals = {state.name for state in spec.states if state.kind == "final"}
    return tuple(
        state.name
        for state in spec.states
        if state.name in reached and not finals & ways(drawn, state.name).keys()
    )
