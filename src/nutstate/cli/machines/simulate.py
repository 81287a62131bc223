"""``machines simulate``."""

from __future__ import annotations

from typing import TextIO

import click

from ...review.kit import ScriptError, Trace, Unwritable
from ...review.kit import simulate as played
from ..ends import Exit
from ..output import Output
from .choose import from_option, json_option, machine_named, wrong

STEPS_MAX = 100_000


@click.command(
    "simulate",
    epilog="\b\nExample:\n  nutstate machines simulate melt --seed 7 --steps 20 > walk.txt\n"
    "  nutstate machines simulate melt --script walk.txt",
)
@click.argument("machine")
@click.option("--seed", type=int, metavar="N", help="A random walk; the same number gives the same walk.")
@click.option(
    "--steps",
    type=click.IntRange(1, STEPS_MAX),
    metavar="K",
    help="At most so many steps of the walk.  [default: 100]",
)
@click.option(
    "--script", type=click.File(encoding="utf-8"), metavar="FILE",
    help="Play these lines, one `EVENT [GUARD=yes|no]...` each; - is standard input.",
)  # fmt: skip
@from_option
@json_option
def play(
    machine: str,
    seed: int | None,
    steps: int | None,
    script: TextIO | None,
    origin: str | None,
    as_json: bool,
) -> int:
    """Play a MACHINE: a script, or a random walk.

    Every guard is a switch; a guard that a line does not name says no. The output is a script again. Only
    the machine runs: no store, no mint, no money.
    """
    out = Output(as_json)
    spec = machine_named(machine, origin)
    if (seed is None) == (script is None):
        raise click.UsageError("give --seed or --script")
    if script is not None and steps is not None:
        raise click.UsageError("--steps goes with --seed; a script ends with its last line")
    try:
        if script is not None:
            trace = played(spec, script=script.read())
        else:
            trace = played(spec, seed=seed, steps=100 if steps is None else steps)
    except ScriptError as error:
        raise wrong(error) from None
    except UnicodeDecodeError:
        raise click.UsageError("--script: the file is not UTF-8 text") from None
    _show(out, trace)
    return Exit.DONE


def _show(out: Output, trace: Trace) -> None:
    if out.as_json:
        out.document(trace.as_data())
        return
    try:
        text = trace.text()
    except Unwritable as error:
        raise click.UsageError(f"{error}; --json can tell it") from None
    for line in text.splitlines():
        words, sign, comment = line.partition("#")
        out.line(words, (sign + comment, "dim"))
