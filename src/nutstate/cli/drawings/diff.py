"""``diagrams diff``: the changes of the machines, for reviewers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ...diagrams import build as drawings
from ...diagrams import diff, svg
from ..ends import Exit
from ..files import make_folder, write_text
from ..machines.choose import chosen, from_option, json_option, near
from ..output import Output

NO_CHECKOUT = (
    "no source checkout of nutstate is here whose revisions could be compared; name two JSON files, as "
    "`nutstate machines export MACHINE --format json` writes them"
)
_STYLES = {"added": "green", "removed": "red", "changed": "yellow", None: "bold"}


@click.command(
    "diff",
    short_help="Show the changes of the machines.",
    epilog="\b\nExamples:\n  nutstate diagrams diff\n  nutstate diagrams diff main . melt --markdown\n"
    "  nutstate diagrams diff v1.json v2.json --svg changes.svg\n"
    "  nutstate diagrams diff v1.json . --from shop",
)
@click.argument("old", default="HEAD", metavar="[A")
@click.argument("new", default=diff.WORKING_TREE, metavar="[B")
@click.argument("names", nargs=-1, metavar="[MACHINE]...]]")
@click.option("--markdown", is_flag=True, help="Tables for a pull request.")
@click.option(
    "--svg", "file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Draw the one machine that changed into this file.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="Draw each machine that changed into this folder, as NAME-changes.svg.",
)  # fmt: skip
@click.option(
    "--theme", type=click.Choice(svg.THEMES), default="auto", show_default=True, help="Of drawings."
)
@from_option
@json_option
def diff_machines(
    old: str,
    new: str,
    names: tuple[str, ...],
    markdown: bool,
    file: Path | None,
    out: Path | None,
    theme: svg.Theme,
    origin: str | None,
    as_json: bool,
) -> int:
    """Show the changes from A to B in the machines: states, edges, guards, effects, precedence, words.

    A and B are git revisions of the checkout, "." (its files as they are) or JSON files with machines as
    data (`machines export --format json`); without them the last commit and the files as they are. Nothing
    is checked out or imported: the machines of a revision are read by a program of their own. With --from,
    "." is that module, and the other side is a JSON file.

    Exit code 0 without a change and 1 with one, as of diff.
    """
    if markdown and as_json:
        raise click.UsageError("--markdown and --json exclude one another")
    output = Output(as_json)
    found = _compared(old, new, names, origin, output)
    changed = [changes for changes in found if changes.changes]
    written = _drawn(changed, file, out, theme, f"{_name(old)} → {_name(new)}")
    if as_json:
        output.document(
            {
                "old": old,
                "new": new,
                "changed": bool(changed),
                "machines": [diff.as_document(changes) for changes in found],
                "written": [str(path) for path in written],
            }
        )
    elif markdown:
        output.line(diff.as_markdown(found, _name(old), _name(new)).rstrip("\n"))
    else:
        _tell(changed, found, written, output)
    return Exit.REFUSED if changed else Exit.DONE


def _compared(
    old: str, new: str, names: tuple[str, ...], origin: str | None, output: Output
) -> tuple[diff.Changes, ...]:
    if origin is not None and not all(_is_file(side) or side == diff.WORKING_TREE for side in (old, new)):
        raise click.UsageError(
            "--from: name the JSON file to compare with, as `nutstate machines export MACHINE --format json "
            f"--from {origin}` wrote it"
        )
    try:
        with output.working("reading both versions"):
            files = origin is not None or (_is_file(old) and _is_file(new))
            checkout = Path.cwd() if files else drawings.checkout()
            found = diff.compare_all(_machines(old, checkout, origin), _machines(new, checkout, origin))
    except drawings.NotACheckout:
        raise click.UsageError(NO_CHECKOUT) from None
    except (diff.NoMachines, diff.NotAMachine) as error:
        raise click.UsageError(str(error)) from None
    known = [changes.machine for changes in found]
    if missing := [name for name in names if name not in known]:
        raise click.UsageError(f"no machine named {missing[0]!r}{near(missing[0], known)}")
    return tuple(changes for changes in found if not names or changes.machine in names)


def _machines(where: str, checkout: Path, origin: str | None) -> list[Any]:
    if origin is not None and where == diff.WORKING_TREE:
        return [machine.as_data() for machine in chosen((), origin)]
    return diff.machines_at(where, checkout)


def _is_file(where: str) -> bool:
    """Whether no checkout is needed to read it, or to say that it is not there."""
    return Path(where).is_file() or Path(where).suffix == ".json"


def _drawn(
    changed: list[diff.Changes], file: Path | None, out: Path | None, theme: svg.Theme, compared: str
) -> list[Path]:
    """Write the drawings that were asked for."""
    if file is not None and len(changed) > 1:
        several = ", ".join(changes.machine for changes in changed)
        raise click.UsageError(f"--svg: {several} changed; name one of them, or use --out DIR")
    places = [("--svg", file, changes) for changes in changed] if file is not None else []
    if out is not None:
        make_folder(out, "--out")
        places += [
            ("--out", out / f"{svg.slug(changes.machine)}-changes.svg", changes) for changes in changed
        ]
    for option, path, changes in places:
        write_text(path, diff.drawing(changes, theme, compared), option)
    return [path for _, path, _ in places]


def _tell(
    changed: list[diff.Changes], found: tuple[diff.Changes, ...], written: list[Path], output: Output
) -> None:
    if not changed:
        output.line(f"No change: {', '.join(changes.machine for changes in found)}.")
    for changes in changed:
        for how, line in diff.as_lines(changes):
            output.line((line, _STYLES[how]))
    for path in written:
        output.line(str(path))


def _name(where: str) -> str:
    return "working tree" if where == diff.WORKING_TREE else where
