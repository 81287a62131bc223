"""``diagrams``: draw the machines, and compare the committed drawings with the machines."""

from __future__ import annotations

from pathlib import Path

import click

from ...diagrams import build as drawings
from ...diagrams import svg
from ..ends import Exit
from ..files import unwritable
from ..machines.choose import chosen, from_option, json_option
from ..output import Output
from .diff import diff_machines
from .page import diagrams_page, write_counted

PAGE = "machines.html"


@click.group()
def diagrams() -> None:
    """Draw the machines; check committed drawings; compare versions."""


@diagrams.command(
    "build",
    epilog="\b\nExamples:\n  nutstate diagrams build --out drawings --theme dark"
    "\n  nutstate diagrams build --from shop --out drawings",
)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help=f"Write there instead.  [default: {drawings.OUT} of the checkout, and the README's diagram]",
)  # fmt: skip
@click.option(
    "--theme", type=click.Choice(svg.THEMES), default="auto", show_default=True,
    help="Colours of the SVG files: as the reader prefers, or one of both. Only with --out: committed "
    "files follow the reader.",
)  # fmt: skip
@click.option(
    "--store", metavar="URL",
    help="Also write machines.html, the review page with what is in each state of this store now. Only with "
    "--out: it changes with every payment.",
)  # fmt: skip
@from_option
@json_option
def build(out: Path | None, theme: svg.Theme, store: str | None, origin: str | None, as_json: bool) -> int:
    """Write every drawing and table anew. The same machines always give the same bytes.

    The checkout's folder is the drawings' own: other files in it are removed. A folder named with
    --out must not hold other Markdown, Mermaid or SVG files.
    """
    output = Output(as_json)
    if out is None and origin is not None:
        raise click.UsageError(
            "--from: needs --out DIR; what is committed shows the machines of this release"
        )
    machines = chosen((), origin)
    if out is not None and drawings.generated(out) - drawings.render(machines).keys():
        raise click.UsageError("--out: the folder holds .md, .mmd or .svg files that are not drawings")
    if out is None and theme != "auto":
        raise click.UsageError("--theme: needs --out DIR; the committed drawings follow the reader")
    if out is None and store is not None:
        raise click.UsageError("--store: needs --out DIR; committed files say nothing about a store")
    readme = False
    try:
        root = drawings.checkout() if out is None else None
    except drawings.NotACheckout as error:
        raise click.UsageError(str(error)) from None
    folder = out if root is None else root / drawings.OUT
    assert folder is not None
    try:
        written = drawings.build(folder, theme, machines)
    except OSError as error:
        raise unwritable("--out", folder, error) from None
    if store is not None:
        if (code := write_counted(folder / PAGE, store, machines, output)) is not Exit.DONE:
            return code
        written = (*written, PAGE)
    if root is not None:
        readme = drawings.build_readme(root)
    if as_json:
        output.document({"folder": str(folder), "written": list(written), "readme": readme})
        return Exit.DONE
    for name in written:
        output.line(str(folder / name))
    if readme and root is not None:
        output.line(str(root / drawings.README))
    return Exit.DONE


@diagrams.command(
    "check",
    short_help="Compare drawings with the machines.",
    epilog="\b\nExamples:\n  nutstate diagrams check\n  nutstate diagrams check --from shop --out drawings",
)
@click.option(
    "--out", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR",
    help="Compare the files of this folder instead, which `diagrams build --out` wrote.  "
    f"[default: {drawings.OUT} of the checkout, and the README's diagram]",
)  # fmt: skip
@from_option
@json_option
def check(out: Path | None, origin: str | None, as_json: bool) -> int:
    """Compare the committed drawings, tables and the README's diagram with the machines.

    Exit code 1 and a unified diff when one differs, is missing or is not ours.
    """
    output = Output(as_json)
    if out is None and origin is not None:
        raise click.UsageError(
            "--from: needs --out DIR; what is committed shows the machines of this release"
        )
    how_to_fix = drawings.HOW_TO_FIX
    if out is not None:
        found = drawings.check_folder(out, str(out), chosen((), origin))
        how_to_fix = f"run `nutstate diagrams build{_spelled(origin)} --out {out}`"
    else:
        try:
            found = drawings.check(drawings.checkout())
        except drawings.NotACheckout as error:
            raise click.UsageError(str(error)) from None
    if as_json:
        differences = [{"path": d.path, "problem": d.problem, "diff": d.diff} for d in found]
        fix = how_to_fix if found else None
        output.document({"current": not found, "differences": differences, "fix": fix})
        return Exit.REFUSED if found else Exit.DONE
    for difference in found:
        output.line(difference.diff.rstrip("\n") or f"{difference.path}: {_PROBLEMS[difference.problem]}")
    if found:
        output.error(("error: ", "bold red"), f"{len(found)} file(s) differ from the machines")
        output.error(f"  To fix it, {how_to_fix}.")
        return Exit.REFUSED
    output.line("The drawings and tables are those of the machines.")
    return Exit.DONE


diagrams.add_command(diff_machines)
diagrams.add_command(diagrams_page, "page")

_PROBLEMS = {
    "missing": "missing",
    "extra": "not generated from any machine; remove it",
    "unmarked": "has no pair of <!-- diagram:melt --> and <!-- /diagram --> lines",
}


def _spelled(origin: str | None) -> str:
    return "" if origin is None else f" --from {origin}"
