"""``errors``: what a code means."""

from __future__ import annotations

import sys

import attrs
import click

from ..storage.catalogue import ERRORS, SEVERITIES, Entry
from .context import Session, with_session
from .errors import HINTS, Exit
from .errors_page import page
from .output import Part

_STYLES = {"LOW": "", "MEDIUM": "yellow", "HIGH": "red", "CRITICAL": "bold red"}


@click.command(
    "errors",
    short_help="What an error code means.",
    epilog="\b\nExamples:\n  nutstate errors CONCURRENT_OPERATION\n  nutstate errors --json",
)
@click.argument("code", required=False)
@click.option("--markdown", is_flag=True, help="The whole catalogue as the page docs/errors.md.")
@with_session
def errors(session: Session, code: str | None, markdown: bool) -> int:
    """Every error code, or CODE alone: its family, how severe it is, whether the same call may succeed
    later, and what it means. No store is opened."""
    if markdown:
        if code is not None or session.out.as_json:
            raise click.UsageError("--markdown is the whole catalogue, as text")
        sys.stdout.write(page())
        return Exit.DONE
    if code is None:
        return _all(session)
    entry = ERRORS.get(code.strip().upper())
    if entry is None:
        raise click.UsageError("CODE: there is no such error code; `nutstate errors` lists them")
    if session.out.as_json:
        session.out.document({"errors": [_document(entry)]})
        return Exit.DONE
    rows = [
        ("code", entry.code),
        ("family", entry.family),
        ("severity", entry.severity),
        ("retryable", "yes" if entry.retryable else "no"),
        ("meaning", entry.sentence),
    ]
    hint = HINTS.get(entry.code)
    session.out.pairs([*rows, ("what to do", hint)] if hint else rows)
    return Exit.DONE


def _all(session: Session) -> int:
    found = sorted(ERRORS.values(), key=lambda e: (e.family, -SEVERITIES.index(e.severity), e.code))
    if session.out.as_json:
        session.out.document({"errors": [_document(entry) for entry in found]})
        return Exit.DONE
    table: list[list[Part]] = [
        [
            entry.code,
            entry.family,
            (entry.severity, _STYLES[entry.severity]),
            "yes" if entry.retryable else "",
        ]
        for entry in found
    ]
    session.out.table(("code", "family", "severity", "retryable"), table)
    return Exit.DONE


def _document(entry: Entry) -> dict[str, object]:
    return {**attrs.asdict(entry), "hint": HINTS.get(entry.code)}
