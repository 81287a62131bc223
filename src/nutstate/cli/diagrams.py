"""``diagrams``: draw the machines, and compare the committed drawings with the machines."""

from __future__ import annotations

from pathlib import Path

import click

from ..diagrams import build as drawings
from .diagrams_page import diagrams_page
from .errors import Exit
from .output import Output


@click.group()
def diagrams() -> None:
    """Draw the machines; check committed drawings."""


@diagrams.command("build")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help=f"Write there instead.  [default: {drawings.OUT} of the checkout, and the README's diagram]",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Exactly one JSON document on standard output.")
def build(out: Path | None, as_json: bool) -> int:
    """Write every drawing and table anew. The same machines always give the same bytes.

    The checkout's folder is the drawings' own: whatever else it holds is removed. A folder named with
    --out must not hold other Markdown or Mermaid files.
    """
    output = Output(as_json)
    if out is not None and _holds_other_files(out):
        raise click.UsageError("--out: the folder holds .md or .mmd files that are not drawings")
    readme = False
    try:
        root = drawings.checkout() if out is None else None
    except drawings.NotACheckout as error:
        raise click.UsageError(str(error)) from None
    folder = out if root is None else root / drawings.OUT
    assert folder is not None
    written = drawings.build(folder)
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


@diagrams.command("check")
@click.option("--json", "as_json", is_flag=True, help="Exactly one JSON document on standard output.")
def check(as_json: bool) -> int:
    """Compare the committed drawings, tables and the README's diagram with the machines.

    Exit code 1 and a unified diff when one differs, is missing or is not ours.
    """
    output = Output(as_json)
    try:
        root = drawings.checkout()
    except drawings.NotACheckout as error:
        raise click.UsageError(str(error)) from None
    found = drawings.check(root)
    if as_json:
        differences = [{"path": d.path, "problem": d.problem, "diff": d.diff} for d in found]
        fix = drawings.HOW_TO_FIX if found else None
        output.document({"current": not found, "differences": differences, "fix": fix})
        return Exit.REFUSED if found else Exit.DONE
    for difference in found:
        output.line(difference.diff.rstrip("\n") or f"{difference.path}: {_PROBLEMS[difference.problem]}")
    if found:
        output.error(("error: ", "bold red"), f"{len(found)} file(s) differ from the machines")
        output.error(f"  To fix it, {drawings.HOW_TO_FIX}.")
        return Exit.REFUSED
    output.line("The committed drawings and tables are those of the machines.")
    return Exit.DONE


_PROBLEMS = {
    "missing": "missing",
    "extra": "not generated from any machine; remove it",
    "unmarked": "has no pair of <!-- diagram:melt --> and <!-- /diagram --> lines",
}


def _holds_other_files(folder: Path) -> bool:
    names = {path.name for path in folder.glob("*") if path.suffix in (".md", ".mmd")}
    return bool(names - drawings.render().keys())


diagrams.add_command(diagrams_page, "page")
