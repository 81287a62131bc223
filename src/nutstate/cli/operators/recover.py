"""``recover``: go on with every open operation."""

from __future__ import annotations

import time
from collections.abc import Callable

import click

from ...engine import arguments
from ...engine.api.handle import Recovered
from ...engine.recovery.numbers import RecoveryNumbers
from ..context import wait_option, with_session
from ..ends import Exit
from ..output import Bar, duration
from ..session import Session
from .render import as_document, listed, now_ms

WORKERS_ON_MONGODB, WORKERS_ELSEWHERE = 4, 2
LINES_MAX = 20
"""Operations in a table, and ids behind it; --json names a thousand."""


@click.command(
    short_help="Go on with every open operation.",
    epilog="""\b
Examples:
  nutstate recover
  nutstate recover --wait 60 --json
  nutstate recover --workers 8
  nutstate recover --force""",
)
@wait_option(0, "How long to wait for each operation: until its next look is due, and then for its end.")
@click.option("--force", is_flag=True, help="Ask at once about every open operation, due or not.")
@click.option(
    "--workers",
    type=int,
    metavar="N",
    help=f"How many operations to drive at once.  [default: {WORKERS_ON_MONGODB} on MongoDB, else "
    f"{WORKERS_ELSEWHERE}]",
)
@with_session
def recover(session: Session, wait: float, force: bool, workers: int | None) -> int:
    """Go on with every open operation that is due or whose program died: ask the mints about it, and
    finish it.

    An operation that the mint was asked about a moment ago is due a little later. --wait 60 waits for that
    time, --force asks at once. It is safe to run the command twice, or in two places at once: they share the
    work. Ctrl-C ends it in order; the rest stays open for the next time. Ends with 3 if an operation is still
    open. Prepared melts that wait for `nutstate confirm`, and holds whose time is not over, do not count.
    """
    arguments.seconds(wait, "wait")
    with session.engine() as (engine, _):
        if workers is None:
            on_mongodb = engine.store.url.startswith("mongodb")
            workers = WORKERS_ON_MONGODB if on_mongodb else WORKERS_ELSEWHERE
        with session.out.progress("recovering") as bar:
            found = engine.recover(wait_s=wait, force=force, workers=workers, progress=_shown(session, bar))
    if session.out.as_json:
        session.out.document(
            {
                "operations": [as_document(handle) for handle in found],
                "open": list(found.open_ids),
                "parked": list(found.parked_ids),
                "failing": list(found.failed_ids),
                "numbers": found.numbers.as_dict(),
                **({"unreadable": list(found.unreadable)} if found.unreadable else {}),
            }
        )
    else:
        _told(session, found)
    numbers = found.numbers
    return Exit.OPEN if numbers.open or numbers.parked or numbers.unreadable else Exit.DONE


def _shown(session: Session, bar: Bar) -> Callable[[RecoveryNumbers], None]:
    """The numbers so far as a bar; what is done already is told when Ctrl-C ends the command."""
    began = time.monotonic()

    def show(numbers: RecoveryNumbers) -> None:
        rate = numbers.looked_after / max(0.001, time.monotonic() - began)
        bar(
            numbers.gone_over,
            max(numbers.total, numbers.gone_over),
            f"{rate:.0f}/s, {numbers.ended} ended, {numbers.parked} parked",
        )

    return show


def _told(session: Session, found: Recovered) -> None:
    numbers, out = found.numbers, session.out
    for message in found.unreadable[:LINES_MAX]:
        out.line(f"Left out: {message}.")
    still = numbers.open + numbers.parked
    if not numbers.looked_after and not still:
        if not numbers.unreadable:
            words = f"; {numbers.waiting} prepared or held and waiting for you" if numbers.waiting else ""
            out.line(f"Nothing is open{words}.")
        return
    if numbers.looked_after:
        listed(session, found[:LINES_MAX])
        if numbers.looked_after > LINES_MAX:
            out.line((f"The first {LINES_MAX} of {numbers.looked_after}.", "dim"))
        words = f", {numbers.waiting} prepared or held and waiting for you" if numbers.waiting else ""
        left = still - numbers.not_due
        out.line(f"{numbers.ended} of {numbers.looked_after} ended, {left} still open{words}.")
        if numbers.left:
            out.line(f"{numbers.left} were left for the next time, because their mint answers nothing.")
        if numbers.failed:
            out.line(f"{numbers.failed} could not be driven; the log says why.")
    _not_due(session, found)
    out.pairs([("next", session.command(f"show {name}")) for name in found.open_ids[:LINES_MAX]])
    if still > LINES_MAX:
        out.line((f"{still} are open; `{session.command('history')}` lists them.", "dim"))


def _not_due(session: Session, found: Recovered) -> None:
    """Name the operations that were not asked about, because they are not due."""
    number = found.numbers.not_due
    if not number:
        return
    listed(session, found.others[:LINES_MAX])
    words = "1 open operation is" if number == 1 else f"{number} open operations are"
    session.out.line(
        f"{words} not due yet; the next look is in {duration(max(0, (found.first_due_at or 0) - now_ms()))}. "
        f"`{session.command('recover --force')}` asks now.",
        wrap=True,
    )
