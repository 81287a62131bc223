"""Where a command writes: rich text on a terminal, plain text in a pipe, or one JSON document."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

Part = str | tuple[str, str]
"""Text, or text with a rich style."""

NARROW_COLUMNS_MAX = 100
GAP = 2
"""Spaces between two columns of a table."""


def clean(text: str) -> str:
    """The text without control characters: the words of a mint must not steer a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def duration(ms: float) -> str:
    """Milliseconds as a person says them."""
    if ms < 1000:
        return f"{round(ms)} ms"
    seconds = ms / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def brief_age(ms: float) -> str:
    """The largest whole unit of an age: 12s, 5m, 3h, 8d."""
    seconds = max(0, int(ms / 1000))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


class Output:
    """Standard output for results, standard error for errors and progress."""

    def __init__(self, as_json: bool, logging: bool = False) -> None:
        self.as_json = as_json
        options: dict[str, Any] = {"markup": False, "highlight": False, "emoji": False, "soft_wrap": True}
        self.console = Console(file=sys.stdout, **options)
        self.stderr = Console(file=sys.stderr, **options)
        self._live = not as_json and not logging and self.stderr.is_terminal

    @property
    def is_narrow(self) -> bool:
        """A terminal on which a wide table would have to wrap."""
        return self.console.is_terminal and self.console.width < NARROW_COLUMNS_MAX

    def fits(self, rows: Sequence[Sequence[Part]]) -> bool:
        """Whether a table of these rows needs no line break on this terminal."""
        widths = [max(len(_words(part)) for part in column) for column in zip(*rows, strict=True)]
        return sum(widths) + GAP * len(widths) <= self.console.width

    # -- JSON ------------------------------------------------------------------------------------

    def document(self, content: Mapping[str, Any]) -> None:
        """The one JSON document of a command that was asked for JSON."""
        text = json.dumps(content, indent=2, ensure_ascii=False, default=_plain)
        print(text, file=sys.stdout, flush=True)

    # -- text ------------------------------------------------------------------------------------

    def line(self, *parts: Part, wrap: bool = False) -> None:
        """One line of a result. ``wrap`` breaks sentences between words on a terminal; what shall be
        copied (ids, commands, invoices) is never broken."""
        if not self.as_json:
            _print(self.console, parts, wrap)

    def error(self, *parts: Part, wrap: bool = False) -> None:
        """One line on standard error."""
        _print(self.stderr, parts, wrap)

    def pairs(self, rows: Sequence[tuple[str, str]]) -> None:
        """Names and values, aligned."""
        width = max((len(name) for name, _ in rows), default=0)
        for name, value in rows:
            self.line("  ", (name.ljust(width), "dim"), "  ", value)

    def table(
        self, headers: Sequence[str], rows: Sequence[Sequence[Part]], right: Sequence[int] = ()
    ) -> None:
        """Rows under headers; the columns in ``right`` are numbers."""
        if self.as_json:
            return
        if self.console.is_terminal:
            table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, GAP, 0, 0))
            for n, header in enumerate(headers):
                justify: Any = "right" if n in right else "left"
                table.add_column(header, justify=justify, overflow="fold", no_wrap=n == 0)
            for row in rows:
                table.add_row(*(_text((part,)) for part in row))
            self.console.print(table, soft_wrap=False)
            return
        plain = [[_words(part) for part in row] for row in (headers, *rows)]
        widths = [max(len(row[n]) for row in plain) for n in range(len(headers))]
        for words in plain:
            cells = [
                word.rjust(widths[n]) if n in right else word.ljust(widths[n]) for n, word in enumerate(words)
            ]
            self.console.print(Text("  ".join(cells).rstrip()))

    # -- while something is going on -------------------------------------------------------------

    @contextmanager
    def working(self, what: str) -> Iterator[Working]:
        """A moving sign on a terminal; nothing elsewhere. It ends before results are written."""
        if not self._live:
            yield Working(None)
            return
        with self.stderr.status(Text(clean(what))) as status:
            yield Working(status)

    @contextmanager
    def progress(self, what: str) -> Iterator[Bar]:
        """A progress bar on a terminal; nothing elsewhere."""
        columns = (
            *(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=self.stderr, transient=True, disable=not self._live) as progress:
            yield Bar(progress, progress.add_task(what, total=None, note=""))


class Working:
    """The line that tells the current work."""

    def __init__(self, status: Any) -> None:
        self._status = status

    def now(self, what: str) -> None:
        """Name the work that begins now."""
        if self._status is not None:
            self._status.update(Text(clean(what)))

    def stop(self) -> None:
        """Make room for something that must stay on the screen."""
        if self._status is not None:
            self._status.stop()


class Bar:
    """The progress of long work; call it with (done, total), and words behind them."""

    def __init__(self, progress: Progress, task: Any) -> None:
        self._progress, self._task = progress, task

    def __call__(self, done: int, total: int, note: str = "") -> None:
        self._progress.update(self._task, completed=done, total=total, note=note)


def _print(console: Console, parts: Sequence[Part], wrap: bool) -> None:
    console.print(_text(parts), soft_wrap=not (wrap and console.is_terminal))


def _text(parts: Sequence[Part]) -> Text:
    text = Text()
    for part in parts:
        words, style = (part, "") if isinstance(part, str) else part
        text.append(clean(words), style=style)
    return text


def _words(part: Part) -> str:
    return clean(part if isinstance(part, str) else part[0])


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)  # a Secret shows nothing of itself here either
