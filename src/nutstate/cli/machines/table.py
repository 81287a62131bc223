"""``machines table``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click

from ...diagrams import build, mermaid, table
from ...machines.spec import Machine
from ...review.kit import cells, matrix
from ..ends import Exit
from ..output import Output
from .choose import from_option, json_option, machine_named

SIGNS: Mapping[str, str] = {"accepted": "A", "absorbed": "b", "refused": "r", "undefined": "."}
"""One letter per outcome, in this order where a cell has several."""


@click.command(
    "table",
    short_help="A MACHINE as a Markdown page, or as a matrix.",
    epilog="\b\nExample:\n  nutstate machines table melt --cells",
)
@click.argument("machine")
@click.option(
    "--cells",
    "as_cells",
    is_flag=True,
    help="A matrix instead: the outcome of each event in each state, as one letter.",
)
@from_option
@json_option
def show_table(machine: str, as_cells: bool, origin: str | None, as_json: bool) -> int:
    """A MACHINE as a Markdown page: drawing, states, transitions, events, codes.

    With --cells a matrix: A accepted, b absorbed, r refused, . undefined; several letters where the
    guards decide.
    """
    out = Output(as_json)
    spec = machine_named(machine, origin)
    if not as_cells:
        page = table.page(spec, _drawing(spec))
        if as_json:
            out.document({"machine": spec.name, "version": spec.version, "page": page})
        else:
            click.echo(page, nl=False)
        return Exit.DONE
    outcomes = _outcomes(spec)
    if as_json:
        out.document({"machine": spec.name, "version": spec.version, "cells": outcomes})
    else:
        _matrix(out, spec, outcomes)
    return Exit.DONE


def _drawing(spec: Machine[Any]) -> str:
    """The drawing, in the form of the committed pages."""
    large = len(spec.transitions) >= build.FLOWCHART_EDGES_MIN
    return mermaid.flowchart(spec) if large else mermaid.state_diagram(spec)


def _outcomes(spec: Machine[Any]) -> dict[str, dict[str, list[str]]]:
    """State to event to all outcomes some valuation of the guards gives."""
    found: dict[tuple[str, str], set[str]] = {(cell.state, cell.event): set() for cell in matrix(spec)}
    for row in cells(spec):
        found[row.cell.state, row.cell.event].add(row.decision.outcome)
    return {
        state.name: {
            event.name: [outcome for outcome in SIGNS if outcome in found[state.name, event.name]]
            for event in spec.events
        }
        for state in spec.states
    }


def _matrix(out: Output, spec: Machine[Any], outcomes: Mapping[str, Mapping[str, Iterable[str]]]) -> None:
    """Events as rows, for there are more of them; the states above are numbered."""
    states = list(outcomes)
    for number, name in enumerate(states, 1):
        out.line((f"{number:>4}  ", "dim"), name)
    out.line()
    width = max((len(event.name) for event in spec.events), default=0)
    out.line((" " * width + "".join(f"{number:>4}" for number in range(1, len(states) + 1)), "dim"))
    for event in spec.events:
        signs = ("".join(SIGNS[outcome] for outcome in outcomes[state][event.name]) for state in states)
        out.line(event.name.ljust(width) + "".join(f"{sign:>4}" for sign in signs))
    out.line()
    out.line((", ".join(f"{sign} {outcome}" for outcome, sign in SIGNS.items()), "dim"))
