"""``errors``: the meaning of a code."""

from __future__ import annotations

import sys

import attrs
import click

from ..storage.catalogue import ERRORS, SEVERITIES, Entry
from .errors import HINTS, Exit
from .errors_page import page
from .output import Output, Part

_STYLES = {"LOW": "", "MEDIUM": "yellow", "HIGH": "red", "CRITICAL": "bold red"}


@click.command(
    "errors",
    short_help="Explain an error code.",
    epilog="\b\nExamples:\n  nutstate errors CONCURRENT_OPERATION\n  nutstate errors --json",
)
@click.argument("code", required=False)
@click.option("--markdown", is_flag=True, help="The whole catalogue as the page docs/errors.md.")
@click.option("--json", "as_json", is_flag=True, help="Exactly one JSON document on standard output.")
def errors(code: str | None, markdown: bool, as_json: bool) -> int:
    """Explain every error code, or CODE alone: its family, its severity, whether the same call may succeed
    later, and its meaning. No store is opened."""
    out = Output(as_json)
    if markdown:
        if code is not None or as_json:
            raise click.UsageError("--markdown is the whole catalogue, as text")
        sys.stdout.write(page())
        return Exit.DONE
    if code is None:
        return _all(out)
    entry = ERRORS.get(code.strip().upper())
    if entry is None:
        raise click.UsageError("CODE: there is no such error code; `nutstate errors` lists them")
    if out.as_json:
        out.document({"errors": [_document(entry)]})
        return Exit.DONE
    rows = [
        ("code", entry.code),
        ("family", entry.family),
        ("severity", entry.severity),
        ("retryable", "yes" if entry.retryable else "no"),
        ("meaning", entry.sentence),
    ]
    hint = HINTS.get(entry.code)
    out.pairs([*rows, ("what to do", hint)] if hint else rows)
    return Exit.DONE


def _all(out: Output) -> int:
    found = sorted(ERRORS.values(), key=lambda e: (e.family, -SEVERITIES.index(e.severity), e.code))
    if out.as_json:
        out.document({"errors": [_document(entry) for entry in found]})
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
    out.table(("code", "family", "severity", "retryable"), table)
    return Exit.DONE


def _document(entry: Entry) -> dict[str, object]:
    return {**attrs.asdict(entry), "hint": HINTS.get(entry.code)}
