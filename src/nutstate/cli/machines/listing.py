"""``machines list``."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click

from ...machines.spec import Machine
from ...review.kit import cells, matrix
from ..ends import Exit
from ..output import Output, Part
from .choose import chosen, from_option, json_option

HASH_SHOWN = 12
WIDE_COLUMNS_MIN = 80


@click.command("list", epilog="\b\nExample:\n  nutstate machines list --json")
@click.argument("wanted", metavar="[MACHINE]...", nargs=-1)
@from_option
@json_option
def list_machines(wanted: tuple[str, ...], origin: str | None, as_json: bool) -> int:
    """Every machine: version, content hash and size.

    A cell is a state x event; a case is a cell under one combination of its guards' answers.
    """
    out = Output(as_json)
    found = [_numbers(machine) for machine in chosen(wanted, origin)]
    if as_json:
        out.document({"machines": found})
        return Exit.DONE
    columns = ["name", "version", "states", "events", "edges", "guards", "cells", "cases"]
    if not out.console.is_terminal or out.console.width >= WIDE_COLUMNS_MIN:
        columns.append("content_hash")
    shown = [{**item, "content_hash": item["content_hash"][:HASH_SHOWN]} for item in found]
    rows: list[list[Part]] = [[str(item[name]) for name in columns] for item in shown]
    out.table([name.replace("_", " ") for name in columns], rows, right=range(1, 8))
    return Exit.DONE


def _numbers(machine: Machine[Any]) -> dict[str, Any]:
    outcomes = Counter(row.decision.outcome for row in cells(machine))
    return {
        "name": machine.name,
        "version": machine.version,
        "content_hash": machine.content_hash,
        "states": sum(state.kind != "pseudo" for state in machine.states),
        "events": len(machine.events),
        "edges": len(machine.transitions),
        "guards": len(machine.guards),
        "cells": len(matrix(machine)),
        "cases": sum(outcomes.values()),
        "outcomes": dict(sorted(outcomes.items())),
    }
