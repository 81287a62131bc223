"""``diagrams page``: the review page, and writing such a page to a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import click

from ..._open_store import open_store
from ...diagrams.exports import NotExportable
from ...diagrams.page import Counts, Trail, counted, page, trail_of
from ...engine.audit.records import clean_text, sanitise
from ...engine.loop.log import configure_logging
from ...machines.registry import UnknownMachine
from ...machines.spec import Machine
from ...machines.token.table import TOKEN
from ...storage.records import AuditRecord, Operation
from ..ends import Exit
from ..errors import guarded
from ..files import write_text
from ..kinds import Known
from ..machines.choose import chosen, from_option, json_option
from ..operators.render import now_ms
from ..output import Output
from ..session import Session

DEFAULT = "nutstate-machines.html"


@click.command(
    short_help="Write the machines as one page to walk through.",
    epilog="\b\nExamples:\n  nutstate diagrams page\n  nutstate diagrams page melt token -o review.html"
    "\n  nutstate diagrams page --from myservice.machines"
    "\n  nutstate diagrams page --store sqlite:///wallet.db -o today.html",
)
@click.argument("names", nargs=-1, metavar="[MACHINE]...")
@click.option(
    "-o", "--output", "file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    default=DEFAULT, show_default=True, help="The file to write. An existing file is replaced.",
)  # fmt: skip
@from_option
@click.option(
    "--store", metavar="URL",
    help="Also show how many operations and tokens are in each state of this store now. The page is then "
    "readable by its owner only.",
)  # fmt: skip
@json_option
def diagrams_page(
    names: tuple[str, ...], file: Path, origin: str | None, store: str | None, as_json: bool
) -> int:
    """Write one HTML file for the browser: drawings to walk through, every state, event and guard to
    try, and the answers of the machine. It loads nothing from anywhere and sends nothing.
    """
    machines = chosen(names, origin)
    out = Output(as_json)
    if store is None:
        return _write(out, file, machines, None)
    configure_logging("off")
    session = Session(store, True, None, out)
    return guarded(session, lambda: _write(out, file, machines, counts_of(session)))


def counts_of(session: Session) -> Counts:
    """The numbers of the session's store, from one snapshot. Raises StorageError."""
    with (
        open_store(session.store_url, create=False) as store,
        session.out.progress("counting") as bar,
        store.snapshot() as reader,
    ):
        return counted(reader, store=session.store_shown, at=now_ms(), progress=lambda done: bar(done, done))


def write_counted(file: Path, store: str, machines: Sequence[Machine[Any]], out: Output) -> int:
    """The page of the machines with the numbers of a store. The exit code; errors are told."""
    configure_logging("off")
    session = Session(store, True, None, out)

    def write() -> Exit:
        write_page(file, "--out", machines, counts=counts_of(session))
        return Exit.DONE

    return guarded(session, write)


def write_trail(
    file: Path, operation: Operation, records: Sequence[AuditRecord], known: Known, *, verified: bool
) -> None:
    """The page with the replay of one operation, readable by its owner only; it replaces the file. The
    page holds nothing that is money or opens it: the records are sanitised once more. UsageError when the
    file cannot be written, UnknownMachine for an operation of a machine that is not known."""
    ref = operation.machine
    machine = known.machine(ref)
    if machine is None:
        raise UnknownMachine(f"machine {ref.name}@{ref.version} is not known here, or has another content")
    machines = [machine, *([TOKEN] if any(r.entity.startswith("token:") for r in records) else [])]
    trail = trail_of(_clean_operation(operation), [_clean(record) for record in records], machines,
                     verified=verified, note="" if records else "The records were purged.")  # fmt: skip
    write_page(file, "--html", machines, trail=trail)


def write_page(
    file: Path,
    option: str,
    machines: Sequence[Machine[Any]],
    *,
    trail: Trail | None = None,
    counts: Counts | None = None,
) -> None:
    """Replace the file by the page; a page about a store is readable by its owner only. UsageError, which
    names ``option``, when it cannot be written."""
    try:
        text = page(machines, trail=trail, counts=counts)
    except NotExportable as error:
        raise click.UsageError(str(error)) from None
    write_text(file, text, option, private=trail is not None or counts is not None)


def _write(out: Output, file: Path, machines: Sequence[Machine[Any]], counts: Counts | None) -> Exit:
    write_page(file, "--output", machines, counts=counts)
    if out.as_json:
        written: dict[str, Any] = {"file": str(file), "machines": [machine.name for machine in machines]}
        if counts is not None:
            written |= {"counted_at": counts.at, "counts": counts.numbers}
        out.document(written)
        return Exit.DONE
    out.line(f"{file}: open it in a browser")
    return Exit.DONE


def _clean(record: AuditRecord) -> AuditRecord:
    return attrs.evolve(
        record,
        entity=clean_text(record.entity),
        actor=clean_text(record.actor),
        event=clean_text(record.event),
        transition=clean_text(record.transition),
        data=sanitise(record.data),
    )


def _clean_operation(operation: Operation) -> Operation:
    reason = operation.reason
    if reason is not None:
        reason = attrs.evolve(reason, message=clean_text(reason.message), code=clean_text(reason.code))
    return attrs.evolve(
        operation, id=clean_text(operation.id), mint_url=clean_text(operation.mint_url), reason=reason
    )
