"""``machines paths`` and ``machines tours``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import click

from ...machines.spec import Machine
from ...review.kit import TooManySequences, Unwritable, script_of
from ...review.kit import paths as paths_of
from ...review.kit import tours as tours_of
from ...review.kit.graph import Path
from ...review.kit.paths import LENGTH_MAX, Cover
from ..ends import Exit
from ..output import Output
from .choose import from_option, json_option, machine_named

_script_option = click.option(
    "--script",
    "as_script",
    is_flag=True,
    help="Print scripts that `nutstate machines simulate` plays, an empty line between them.",
)


def _cover(context: click.Context, parameter: click.Parameter, value: str) -> Cover:
    if value in ("states", "edges", "pairs"):
        return cast(Cover, value)
    if value.isascii() and value.isdecimal() and 1 <= int(value[:9]) <= LENGTH_MAX:
        return int(value)
    raise click.BadParameter(f"states, edges, pairs or a number from 1 to {LENGTH_MAX}", context, parameter)


@click.command(
    "paths",
    short_help="Few short paths that cover a MACHINE.",
    epilog="\b\nExample:\n  nutstate machines paths melt --cover pairs --json",
)
@click.argument("machine")
@click.option(
    "--cover", callback=_cover, default="edges", show_default=True, metavar="states|edges|pairs|N",
    help="The paths together cover this: all states, all edges, all pairs of edges that follow one another, "
    "or all sequences of up to N edges.",
)  # fmt: skip
@_script_option
@from_option
@json_option
def list_paths(machine: str, cover: Cover, as_script: bool, origin: str | None, as_json: bool) -> int:
    """Few short paths through a MACHINE that cover all of it, as test cases.

    Guards count as switches of their own. Exit code 1 when something cannot be covered.
    """
    out = Output(as_json)
    spec = machine_named(machine, origin)
    try:
        found = paths_of(spec, cover)
    except TooManySequences as error:
        raise click.UsageError(str(error)) from None
    missing = [" > ".join(target) for target in found.unreachable]
    if as_json:
        out.document(found.as_data())
        return Exit.REFUSED if missing else Exit.DONE
    _walks(out, spec, found.paths, as_script)
    steps = sum(len(path) for path in found.paths)
    what = found.cover if isinstance(cover, str) else f"sequences of up to {cover} edges"
    _ended(out, as_script, f"{len(found.paths)} paths, {steps} steps: {len(found.covered)} {what} covered")
    return _missed(out, missing)


@click.command("tours", epilog="\b\nExample:\n  nutstate machines tours melt")
@click.argument("machine")
@_script_option
@from_option
@json_option
def list_tours(machine: str, as_script: bool, origin: str | None, as_json: bool) -> int:
    """Few long walks that together take every edge of a MACHINE.

    Each goes from the beginning to an end. Exit code 1 when an edge cannot be taken.
    """
    out = Output(as_json)
    spec = machine_named(machine, origin)
    found = tours_of(spec)
    if as_json:
        out.document(found.as_data())
        return Exit.REFUSED if found.unreachable else Exit.DONE
    _walks(out, spec, found.tours, as_script)
    covered = len(spec.transitions) - len(found.unreachable)
    _ended(out, as_script, f"{len(found.tours)} tours, {found.steps} steps: {covered} edges taken")
    return _missed(out, found.unreachable)


def _walks(out: Output, spec: Machine[Any], walks: Iterable[Path], as_script: bool) -> None:
    for number, walk in enumerate(walks, 1):
        if as_script:
            out.line(_script(spec, walk))
            continue
        out.line((f"{number:>4}  ", "dim"), walk[0].source, *_steps(walk))


def _script(spec: Machine[Any], walk: Path) -> str:
    try:
        return script_of(spec, walk)
    except Unwritable as error:
        raise click.UsageError(f"{error}; --json can tell it") from None


def _steps(walk: Path) -> Iterable[str | tuple[str, str]]:
    for edge in walk:
        yield (f" -{edge.event}-> ", "dim")
        yield edge.dest


def _ended(out: Output, as_script: bool, sentence: str) -> None:
    out.line(("# " if as_script else "") + sentence)


def _missed(out: Output, missing: Iterable[str]) -> int:
    names = list(missing)
    for name in names:
        out.error(("unreachable: ", "bold red"), name)
    return Exit.REFUSED if names else Exit.DONE
