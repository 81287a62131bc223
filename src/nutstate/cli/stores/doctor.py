"""``doctor``: checks that a store is fit for money."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import click

from ...storage.doctor import examine
from ...storage.findings import Finding, Report, Status
from ..context import with_session
from ..ends import Exit
from ..output import Part
from ..session import Session

if TYPE_CHECKING:
    from ...storage.mongo.doctor.shard import ShardReport

_MARKS: Final[Mapping[Status, tuple[str, str]]] = {
    "ok": ("✓ ok", "green"),
    "info": ("i info", "cyan"),
    "warning": ("! warning", "yellow"),
    "error": ("✗ error", "bold red"),
    "unknown": ("? unknown", "yellow"),
}


@click.command(
    short_help="Check that the store is fit for money.",
    epilog="""\b
Examples:
  nutstate doctor
  nutstate doctor --store 'mongodb://db1,db2,db3/nutstate?replicaSet=rs0'
  nutstate doctor --fix --json
  nutstate doctor --shard plan --store 'mongodb://mongos1,mongos2/nutstate'""",
)
@click.option(
    "--fix", is_flag=True,
    help="Make missing collections, indexes and rules, set the file mode, then look again. A "
    "store of an older schema is copied (SQLite) and migrated. Otherwise no document is changed.",
)  # fmt: skip
@click.option(
    "--shard", type=click.Choice(["plan", "apply", "verify"]),
    help="Move a MongoDB from one replica set to a sharded cluster: tell the way, go it (through "
    "mongos, with every program stopped), or check that the cluster is as it must be.",
)  # fmt: skip
@with_session
def doctor(session: Session, fix: bool, shard: str | None) -> int:
    """Check that the store, and its server or disk, is fit for money.

    Without --fix nothing is changed. Exit code 0: fit, perhaps with warnings; 1: not fit. A fact
    that this user may not read is shown as unknown.
    """
    if shard is not None:
        if fix:
            raise click.UsageError("--fix and --shard are two jobs: run one after the other")
        return _sharding(session, shard)
    with session.out.working("looking at the store"):
        report = examine(session.store_url, fix=fix, machines=session.machines)
    code = Exit.DONE if report.healthy else Exit.REFUSED
    verdict = _verdict(report)
    if session.out.as_json:
        session.out.document({**report.as_dict(), "verdict": verdict})
        return code
    session.out.line((report.url, "bold"))
    session.out.table(("", "looked at", "found"), _rows(report.findings))
    _migration(session, report)
    for what in report.fixed:
        session.out.line(("fixed", "green"), f": {what}")
    if fix and not report.fixed:
        session.out.line("Nothing was fixed.")
    if not fix and any(finding.fixable for finding in report.findings):
        session.out.line(_what_fix_would_do(session, report))
    session.out.line((verdict, "green" if report.healthy else "bold red"), wrap=True)
    return code


def _sharding(session: Session, action: str) -> int:
    """Plan, apply or verify the sharding of a MongoDB. Except for a plan the verdict comes first; the way is
    shown as far as something is left to do on a cluster."""
    from ...storage.mongo.doctor.shard import shard  # pymongo is loaded for it alone

    with session.out.working(f"sharding: {action}"):
        report = shard(session.store_url, action, session.machines)
    code = Exit.DONE if report.healthy else Exit.REFUSED
    if session.out.as_json:
        session.out.document(report.as_dict())
        return code
    out = session.out
    if action != "plan":
        verdict = "The cluster is as it must be." if report.healthy else "The cluster is not as it must be."
        out.line((verdict, "green" if report.healthy else "bold red"))
    out.line((report.url, "bold"), f": {report.state}")
    for text in report.faults:
        out.line(("✗ wrong", "bold red"), f": {text}", wrap=True)
    for text in report.done:
        out.line(("done", "green"), f": {text}")
    if action != "verify" or report.state != "replica set":
        _way(session, report, whole=action == "plan")
    for text in report.needs:
        out.line(("apply needs", "yellow"), f": {text}", wrap=True)
    return code


def _way(session: Session, report: ShardReport, *, whole: bool) -> None:
    """The collections with steps that are left to do; ``whole``: the finished ones too."""
    for collection in report.collections:
        steps = [*(f"✗ {text}" for text in collection.wrong), *collection.steps]
        if steps or whole:
            session.out.line((collection.name, "bold"), "" if steps else ": nothing to do")
        for text in steps:
            session.out.line(f"  {text}")


def _migration(session: Session, report: Report) -> None:
    """The way to the schema of this release, gone or still to be gone."""
    migration = report.migration
    if migration is None:
        return
    words = "migrated" if migration.done else "`--fix` migrates it"
    session.out.line(f"Schema {migration.start} to {migration.end}, {words}:")
    for number, text in enumerate(migration.steps, 1):
        session.out.line(f"  {number}. {text}")
    if migration.copy is not None:
        kept = "the store as it was before" if migration.done else "a copy is made first"
        session.out.line(f"  {migration.copy}: {kept}")


def _rows(findings: tuple[Finding, ...]) -> list[list[Part]]:
    """A row per finding, and one for its hint unless the same was given before."""
    rows: list[list[Part]] = []
    said: set[str] = set()
    for finding in findings:
        word, style = _MARKS[finding.status]
        rows.append([(word, style), finding.check, finding.text])
        if finding.hint and finding.hint not in said:
            said.add(finding.hint)
            rows.append(["", "", (f"  → {finding.hint}", "dim")])
    return rows


def _what_fix_would_do(session: Session, report: Report) -> str:
    fixable, errors = sum(f.fixable for f in report.findings), len(report.of("error"))
    command = f"`{session.command('doctor --fix')}`"
    if fixable == errors:
        return f"{command} puts {'it' if fixable == 1 else 'all of it'} right."
    return f"{command} puts {fixable} of these errors right, unless another one is in the way."


def _verdict(report: Report) -> str:
    errors, unknown = report.of("error"), report.of("unknown")
    if errors:
        names = ", ".join(dict.fromkeys(finding.check for finding in errors))
        return f"Not fit to keep money in. {_counted(len(errors), 'error')}: {names}."
    notes = [_counted(len(found), "warning") for found in (report.of("warning"),) if found]
    if unknown:
        notes.append(f"{len(unknown)} not known")
    return f"Fit to keep money in{' (' + ', '.join(notes) + ')' if notes else ''}."


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
