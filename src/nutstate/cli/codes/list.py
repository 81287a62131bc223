"""``errors``: the meaning of a code."""

from __future__ import annotations

import sys

import attrs
import click

from ...engine.errors import Refused
from ...engine.loop.kinds import Kinds
from ...storage.catalogue import ERRORS, SEVERITIES, Entry
from ..empty import refuse_empty_variables
from ..ends import Exit
from ..errors import HINTS
from ..kinds import kinds_option, known_from
from ..output import Output, Part
from .page import page

_STYLES = {"LOW": "", "MEDIUM": "yellow", "HIGH": "red", "CRITICAL": "bold red"}


@click.command(
    "errors",
    short_help="Explain an error code.",
    epilog="\b\nExamples:\n  nutstate errors CONCURRENT_OPERATION\n  nutstate errors --json"
    "\n  nutstate errors --from shop",
)
@click.argument("code", required=False)
@click.option("--markdown", is_flag=True, help="The whole catalogue as the page docs/errors.md.")
@kinds_option
@click.option("--json", "as_json", is_flag=True, help="Exactly one JSON document on standard output.")
def errors(code: str | None, markdown: bool, origin: str | None, as_json: bool) -> int:
    """Explain every error code, or CODE alone: its family, its severity, whether the same call may succeed
    later, and its meaning. No store is opened. With --from the refusal codes of your own kinds, too."""
    out = Output(as_json)
    refuse_empty_variables(click.get_current_context())
    if markdown:
        if code is not None or as_json:
            raise click.UsageError("--markdown is the whole catalogue, as text")
        sys.stdout.write(page())
        return Exit.DONE
    found = _entries(known_from(origin).to_drive())
    if code is None:
        return _all(out, found)
    wanted = [(entry, kind) for entry, kind in found if entry.code == code.strip().upper()]
    if not wanted:
        raise click.UsageError("CODE: there is no such error code; `nutstate errors` lists them")
    if out.as_json:
        out.document({"errors": [_document(entry, kind) for entry, kind in wanted]})
        return Exit.DONE
    for entry, kind in wanted:
        _explained(out, entry, kind)
    return Exit.DONE


def _entries(kinds: Kinds) -> list[tuple[Entry, str]]:
    """The catalogue, and the codes of kinds of one's own with the name of the kind."""
    own = [
        (Entry(code, Refused.family, severity, False, sentence), kind.name)
        for kind in kinds
        for code, (severity, sentence) in kind.codes.items()
    ]
    return [*((entry, "") for entry in ERRORS.values()), *own]


def _explained(out: Output, entry: Entry, kind: str) -> None:
    rows = [
        ("code", entry.code),
        *([("kind", kind)] if kind else []),
        ("family", entry.family),
        ("severity", entry.severity),
        ("retryable", "yes" if entry.retryable else "no"),
        ("meaning", entry.sentence),
    ]
    hint = HINTS.get(entry.code)
    out.pairs([*rows, ("what to do", hint)] if hint else rows)


def _all(out: Output, entries: list[tuple[Entry, str]]) -> int:
    found = sorted(entries, key=lambda e: (e[0].family, -SEVERITIES.index(e[0].severity), e[0].code, e[1]))
    if out.as_json:
        out.document({"errors": [_document(entry, kind) for entry, kind in found]})
        return Exit.DONE
    own = any(kind for _, kind in found)
    table: list[list[Part]] = [
        [
            entry.code,
            entry.family,
            (entry.severity, _STYLES[entry.severity]),
            "yes" if entry.retryable else "",
            *([kind] if own else []),
        ]
        for entry, kind in found
    ]
    out.table(("code", "family", "severity", "retryable", *(["kind"] if own else [])), table)
    return Exit.DONE


def _document(entry: Entry, kind: str) -> dict[str, object]:
    return {**attrs.asdict(entry), "kind": kind or None, "hint": HINTS.get(entry.code)}
