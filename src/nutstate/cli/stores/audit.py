"""``audit``: list, verify, export and purge the records of all transitions."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import click

from ...engine.audit.records import LEVELS
from ...engine.audit.verdicts import VerifyReport
from ...storage.secret import Secret
from ..context import with_session
from ..empty import refuse_empty_variable
from ..ends import Exit
from ..operators.render import entity_words, record_document, shorten, stamp, style_of
from ..output import Part
from ..session import Session

_ID = "tx_melt_1732264000000_0123456789abcdef01234567"
_KEY_VARIABLE = "NUTSTATE_AUDIT_KEY"
_FAULTS_SHOWN_MAX = 50
_LEVEL_STYLES = {"CRITICAL": "bold red", "HIGH": "yellow", "STANDARD": ""}


@click.group(short_help="List, verify, export and purge the audit trail.")
def audit() -> None:
    """List, verify, export and purge the audit trail: one record per transition, chained by hashes, without
    secrets.

    \b
    Examples:
      nutstate audit list --level CRITICAL
      nutstate audit verify
    """


def _date(name: str, text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    formats = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]
    return click.option(name, type=click.DateTime(formats), metavar="DATE", help=f"{text}, UTC.")


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.replace(tzinfo=UTC).timestamp() * 1000)


_operation = click.option("--operation", metavar="ID", help="Only this operation.")
_level = click.option(
    "--level", "levels", type=click.Choice(LEVELS), multiple=True,
    help="Only records of this compliance level. Repeat it for several levels.",
)  # fmt: skip
_since = _date("--since", "Only from this day or moment on, such as 2026-01-31 or 2026-01-31T12:00:00")
_until = _date("--until", "Only before this day or moment")
_key_file = click.option(
    "--key-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
    help=f"The audit key, 16 characters or more in one line.  [env var: {_KEY_VARIABLE}]",
)  # fmt: skip


def _key(file: Path | None) -> Secret | None:
    if file is not None:
        try:
            return Secret(file.read_text().strip())
        except (OSError, UnicodeError):
            raise click.UsageError("--key-file: it cannot be read as text") from None
    refuse_empty_variable(_KEY_VARIABLE)
    given = os.environ.get(_KEY_VARIABLE)
    return Secret(given) if given else None


@audit.command(
    "list",
    short_help="List records, by operation and place in its chain.",
    epilog=f"\b\nExamples:\n  nutstate audit list --operation {_ID}\n"
    "  nutstate audit list --level CRITICAL --since 2026-01-01 --json",
)
@_operation
@click.option("--entity", metavar="NAME", help="Only this token or operation: token:ID or operation:ID.")
@_level
@_since
@_until
@click.option(
    "--limit", type=int, default=100, show_default=True, metavar="N", help="Show at most N records."
)
@with_session
def list_records(
    session: Session,
    operation: str | None,
    entity: str | None,
    levels: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    limit: int,
) -> int:
    """List audit records. With --entity: the history of one token or operation over all operations."""
    with session.engine(drives=False) as (engine, _):
        found = engine.audit(
            operation, entity=entity, levels=levels, since=_ms(since), until=_ms(until), limit=limit
        )
    if session.out.as_json:
        session.out.document({"records": [record_document(record) for record in found]})
        return Exit.DONE
    if not found:
        session.out.line("No such records.")
        return Exit.DONE
    rows: list[list[Part]] = []
    for r in found:
        change = (f"{r.from_state} → {r.to_state}", style_of(session.known.labelled(r.machine), r.to_state))
        level = (r.compliance_level, _LEVEL_STYLES.get(r.compliance_level, ""))
        rows.append(
            [f"{shorten(r.operation_id)}#{r.seq}", stamp(r.at), level, entity_words(r), change, r.event]
        )
    session.out.table(("record", "at", "level", "entity", "change", "event"), rows)
    if len(found) == limit:
        session.out.line((f"The first {limit}; --limit shows more.", "dim"))
    return Exit.DONE


@audit.command(
    short_help="Check that the trail is whole and unchanged.",
    epilog=f"\b\nExamples:\n  nutstate audit verify\n  nutstate audit verify {_ID} --json",
)
@click.argument("operation_id", metavar="ID", required=False)
@_key_file
@with_session
def verify(session: Session, operation_id: str | None, key_file: Path | None) -> int:
    """Compare every record, or those of one operation, with its hash, its chain, and the operations and
    tokens in the store. Ends with 1 if a record was changed, is missing or was added.

    Tombstones of purged records are proven only with the audit key.
    """
    with (
        session.engine(audit_key=_key(key_file), drives=False) as (engine, _),
        session.out.progress("verifying") as bar,
    ):
        report = engine.verify_audit(operation_id, progress=bar)
    if session.out.as_json:
        session.out.document(report.as_dict())
    else:
        _verdict(session, report)
    return Exit.DONE if report.holds else Exit.REFUSED


def _verdict(session: Session, report: VerifyReport) -> None:
    out = session.out
    word: Part = ("audit trail verified", "green") if report.holds else ("AUDIT TRAIL BROKEN", "bold red")
    counts = (
        f"{len(report.changed)} changed, {len(report.missing)} missing, {len(report.added)} added; "
        if report.faults
        else ""
    )
    out.line(word, f": {counts}{report.records} records of {report.operations} operations")
    if report.tombstoned:
        proven = f", {report.unchecked} of them not proven: no audit key" if report.unchecked else ""
        out.line(f"{report.tombstoned} operations were purged{proven}")
    for fault in report.faults[:_FAULTS_SHOWN_MAX]:
        place = f" #{fault.seq}" if fault.seq else ""
        about = f" ({fault.entity})" if fault.entity else ""
        out.line(
            f"  {fault.kind:<8}", (f"{fault.operation_id or '-'}{place}", "bold"), f"  {fault.text}{about}"
        )
    if len(report.faults) > _FAULTS_SHOWN_MAX:
        out.line((f"  and {len(report.faults) - _FAULTS_SHOWN_MAX} more; --json shows them all", "dim"))


@audit.command(
    short_help="Write records as JSON lines, to be verified elsewhere.",
    epilog="\b\nExamples:\n  nutstate audit export --file audit.jsonl\n"
    "  nutstate audit export --since 2026-01-01 > audit.jsonl",
)
@click.option(
    "--file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="A new file, readable by its owner only.  [default: standard output]",
)  # fmt: skip
@_operation
@_level
@_since
@_until
@with_session
def export(
    session: Session,
    file: Path | None,
    operation: str | None,
    levels: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
) -> int:
    """Write one JSON object per line: the hash of a record, then exactly the text that was hashed."""
    lines: list[str] = []
    with session.engine(drives=False) as (engine, _):
        stream = None if file is None else _new_file(file)
        write = stream.write if stream else lines.append if session.out.as_json else sys.stdout.write
        try:
            with session.out.progress("exporting") as bar:
                number = engine.export_audit(
                    write, operation, levels=levels, since=_ms(since), until=_ms(until), progress=bar
                )
        finally:
            if stream is not None:
                stream.close()
    if session.out.as_json:
        content: dict[str, Any] = {"number": number}
        content |= {"file": str(file)} if file else {"records": [json.loads(line) for line in lines]}
        session.out.document(content)
    elif file is not None:
        session.out.line(f"{number} records in {file}")
    return Exit.DONE


def _new_file(path: Path) -> TextIO:
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8")
    except FileExistsError:
        raise click.UsageError("--file: a file of this name exists already") from None
    except OSError as error:
        raise click.UsageError(f"--file: {error.strerror or type(error).__name__}") from None


@audit.command(
    short_help="Delete records whose retention is over.",
    epilog="\b\nExamples:\n  nutstate audit purge --dry-run --key-file audit.key\n"
    f"  {_KEY_VARIABLE}=… nutstate audit purge --before 2030-01-01",
)
@_date("--before", "Only trails that expired before this day or moment")
@click.option("--dry-run", is_flag=True, help="Count the records that would be deleted, and delete nothing.")
@_key_file
@with_session
def purge(session: Session, before: datetime | None, dry_run: bool, key_file: Path | None) -> int:
    """Delete the records of ended operations whose whole trail has expired: 1 year for STANDARD, 7 for
    HIGH, 10 for CRITICAL; the longest time counts for the whole trail. A tombstone takes the place of each
    trail, so that `nutstate audit verify` still holds. Ends with 1 if a trail was kept because it is not
    whole.
    """
    with (
        session.engine(audit_key=_key(key_file), drives=False) as (engine, _),
        session.out.progress("purging") as bar,
    ):
        report = engine.purge_audit(before=_ms(before), dry_run=dry_run, progress=bar)
    code = Exit.REFUSED if report.broken else Exit.DONE
    if session.out.as_json:
        session.out.document(report.as_dict())
        return code
    verb = "would be purged" if dry_run else "purged"
    session.out.line(f"{report.records} records of {len(report.operations)} operations {verb}.")
    for name in report.broken:
        session.out.line(("kept, its trail is not whole: ", "bold red"), name)
    return code
