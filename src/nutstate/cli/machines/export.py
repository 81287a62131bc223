"""``machines export``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from ...diagrams.exports import FORMATS, NotExportable, export, file_name
from ...machines.spec import Machine
from ..ends import Exit
from ..files import make_folder, write_text
from ..output import Output
from .choose import chosen, from_option, json_option

ALL = "all"


@click.command(
    "export",
    epilog="\b\nExample:\n  nutstate machines export melt --format dot | dot -Tsvg -o melt.svg\n"
    "  nutstate machines export melt --format all --out exports",
)
@click.argument("machine")
@click.option(
    "--format", "wanted", type=click.Choice([*sorted(FORMATS), ALL]), required=True, help="The notation."
)
@click.option(
    "-o", "--output", "file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Write the one format there.  [default: standard output]",
)  # fmt: skip
@click.option(
    "--out", "folder", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="Write every format asked for there, each as a file of its own.",
)  # fmt: skip
@from_option
@json_option
def export_machine(
    machine: str, wanted: str, file: Path | None, folder: Path | None, origin: str | None, as_json: bool
) -> int:
    """Write MACHINE in the notation of another tool.

    The same machine gives the same bytes. docs/exports.md says what each notation holds and how the
    exports are proven.
    """
    if file is not None and folder is not None:
        raise click.UsageError("give --output or --out, not both")
    if wanted == ALL and folder is None:
        raise click.UsageError("--format all needs --out DIR")
    file = None if file == Path("-") else file
    (declared,) = chosen((machine,), origin)
    names = tuple(FORMATS) if wanted == ALL else (wanted,)
    out = Output(as_json)
    texts = {name: _text(declared, name) for name in names}
    if file is None and folder is None:
        if as_json:
            out.document({**_about(declared), "format": wanted, "text": texts[wanted]})
        else:
            sys.stdout.buffer.write(texts[wanted].encode())  # the same bytes in every locale
            sys.stdout.flush()
        return Exit.DONE
    if folder is not None:
        make_folder(folder, "--out")
    paths = {name: file if file is not None else _under(folder, declared, name) for name in names}
    for name, path in paths.items():
        write_text(path, texts[name], "--output" if folder is None else "--out")
        out.line(str(path))
    if as_json:
        written = [{"format": name, "path": str(path)} for name, path in paths.items()]
        out.document({**_about(declared), "written": written})
    return Exit.DONE


def _text(machine: Machine[Any], name: str) -> str:
    try:
        return export(machine, name)
    except NotExportable as error:
        raise click.UsageError(str(error)) from None


def _about(machine: Machine[Any]) -> dict[str, Any]:
    return {"machine": machine.name, "version": machine.version, "content_hash": machine.content_hash}


def _under(folder: Path | None, machine: Machine[Any], name: str) -> Path:
    assert folder is not None
    return folder / file_name(machine, name)
