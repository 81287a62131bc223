"""``machines explain``."""

from __future__ import annotations

import click

from ...review.kit import UnknownName
from ...review.kit import explain as explained
from ...review.kit.script import answer
from ..ends import Exit
from ..output import Output
from .choose import from_option, json_option, machine_named, wrong


@click.command(
    "explain",
    epilog="\b\nExample:\n  nutstate machines explain melt fencing fence_refused own_outputs_not_signed=yes",
)
@click.argument("machine")
@click.argument("state")
@click.argument("event")
@click.argument("answers", metavar="[GUARD=yes|no]...", nargs=-1)
@from_option
@json_option
def explain_cell(
    machine: str, state: str, event: str, answers: tuple[str, ...], origin: str | None, as_json: bool
) -> int:
    """Explain the answer to an EVENT in a STATE of a MACHINE.

    Every edge and guard in a sentence: the edge that is taken, or the codes of the refusal, or absorbed, or
    undefined; and the next action. A guard without an answer stays open: then every possibility is told.
    """
    out = Output(as_json)
    spec = machine_named(machine, origin)
    try:
        told = explained(spec, state, event, _parsed(answers))
    except UnknownName as error:
        raise wrong(error) from None
    if as_json:
        out.document(told.as_data())
    else:
        for line in told.text().splitlines():
            out.line(line)
    return Exit.DONE


def _parsed(answers: tuple[str, ...]) -> dict[str, bool]:
    found: dict[str, bool] = {}
    for word in answers:
        try:
            name, held = answer(word)
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        if name in found:
            raise click.UsageError(f"{name} is answered twice")
        found[name] = held
    return found
