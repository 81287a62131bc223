"""``show``, ``history``, and the commands of an operator for a parked operation."""

from __future__ import annotations

from pathlib import Path

import click

from ...engine import arguments
from ...engine.api.handle import Handle
from ...engine.api.report import PerformanceReport
from ...engine.audit.verify import at_one_moment, chain_holds, purged
from ...engine.operations.built_in import BUILT_IN
from ...engine.operations.mint.follow_up import follow_ups
from ...storage.port import OperationQuery
from ..context import wait_option, with_session
from ..drawings.page import write_trail
from ..ends import Exit
from ..machines.choose import near
from ..money.melt import follow_states, show_preimage
from ..output import Part, duration
from ..session import Session
from .render import (
    as_document,
    conservation,
    conservation_line,
    exit_code,
    headline,
    listed,
    next_steps,
    numbers,
    record_document,
    result,
    stamp,
    step_rows,
    style_of,
    timeline,
)
from .who import named, reason_option

CHILDREN_SHOWN_MAX = 100

_ID = "tx_melt_1732264000000_0123456789abcdef01234567"


@click.command(
    short_help="Show one operation and its audit trail.",
    epilog=f"\b\nExamples:\n  nutstate show {_ID}\n  nutstate show {_ID} --verbose"
    f"\n  nutstate show {_ID} --report\n  nutstate show {_ID} --html trail.html",
)
@click.argument("operation_id", metavar="ID")
@click.option(
    "--verbose", "-v", is_flag=True, help="Show also every condition (guard) of each step, and its answer."
)
@click.option(
    "--report", is_flag=True, help="Show the times instead: in each state, in calls to the mint, in commits."
)
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Write a page that replays the trail over the drawing instead. An existing file is replaced.",
)  # fmt: skip
@show_preimage
@with_session
def show(
    session: Session, operation_id: str, verbose: bool, report: bool, html: Path | None, show_preimage: bool
) -> int:
    """Show one operation: its numbers, and its audit trail as a timeline with the hash chain verified."""
    if html is not None and (report or show_preimage):
        raise click.UsageError("--html cannot be combined with --report or --show-preimage")
    with session.engine(drives=False) as (engine, _):
        if report:
            return _reported(session, engine.report(operation_id))
        op, records = at_one_moment(engine.store, engine.operation(operation_id).record)
        tombstone = None if records else purged(engine.store, op.id)
        handle = Handle(engine, op)
        followed = tuple(later.id for later in follow_ups(engine.store, op) if later.id != op.id)
        others = engine.store.operations(OperationQuery(parent_id=op.id, limit=CHILDREN_SHOWN_MAX))
        children = [child for child in others if child.id.startswith(f"{op.id}.")]
    terms, intact = conservation(handle, records), chain_holds(op, records, tombstone)
    if html is not None:
        write_trail(html, op, records, session.known, verified=intact)
        session.out.line(f"{html}: {len(records)} records; open it in a browser")
        if session.out.as_json:
            session.out.document({"file": str(html), "records": len(records), "chain_verified": intact})
        return Exit.DONE if intact else Exit.REFUSED
    if session.out.as_json:
        session.out.document(
            {
                "operation": as_document(handle, preimage=show_preimage),
                "follow_ups": list(followed),
                "children": [child.id for child in children],
                "conservation": terms,
                "chain_verified": intact,
                "audit": [record_document(record) for record in records],
                "next": next_steps(session, handle),
            }
        )
        return Exit.DONE if intact else Exit.REFUSED
    out, op = session.out, handle.record
    headline(out, handle)
    rows = numbers(handle, preimage=show_preimage)
    rows += [("goes on as", name) for name in followed]
    rows += [("child", f"{child.id} ({child.state})") for child in children]
    took = f", took {duration(op.finished_at - op.created_at)}" if op.finished_at else ""
    rows.append(("begun", f"{stamp(op.created_at)}{took}"))
    out.pairs(rows)
    if (invoice := handle.kinds.to_pay(op)) is not None:
        out.line("Pay this invoice:")
        out.line(invoice.reveal())
    if terms is not None:
        out.line(*conservation_line(terms), wrap=True)
    verdict: Part = ("hash chain verified", "green") if intact else ("HASH CHAIN BROKEN", "bold red")
    if tombstone is not None:
        out.line(f"{tombstone.records} records were purged on {stamp(tombstone.purged_at)}")
    out.line(f"timeline: {len(records)} transitions, ", verdict)
    timeline(session, records, verbose)
    if not handle.is_final:
        out.pairs(step_rows(next_steps(session, handle)))
    return Exit.DONE if intact else Exit.REFUSED


def _reported(session: Session, report: PerformanceReport) -> int:
    if session.out.as_json:
        session.out.document(report.as_dict())
        return Exit.DONE
    out = session.out
    out.line(
        f"{report.kind} ",
        (report.state, f"bold {style_of(session.known.labelled(report.machine), report.state)}"),
        f": {report.transaction_id}",
    )
    out.pairs(
        [
            ("total", duration(report.total_ms)),
            ("mint", f"{report.mint_ms} ms in {report.mint_calls} calls"),
            ("store", f"{report.store_ms} ms, {report.commits} commits"),
        ]
    )
    spent: list[list[Part]] = [[f"state {state}", "", str(ms)] for state, ms in report.state_ms.items()]
    spent += [[f"mint {kind}", str(n["calls"]), str(n["ms"])] for kind, n in report.mint.items()]
    out.table(("where", "calls", "ms"), spent, right=(1, 2))
    for sentence in report.recommendations:
        out.line(sentence, wrap=True)
    return Exit.DONE


@click.command(
    short_help="List the operations, newest first.",
    epilog="""\b
Examples:
  nutstate history --limit 10
  nutstate history --kind melt --state pending --state unknown
  nutstate history --state attention --json""",
)
@click.option(
    "--npub",
    envvar="NUTSTATE_NPUB",
    show_envvar=True,
    metavar="NPUB",
    help="Only this wallet.  [default: all]",
)
@click.option("--mint", metavar="URL", help="Only this mint.  [default: every mint]")
@click.option(
    "--kind", metavar="KIND", help="Only this kind of operation, such as melt, mint, or one of your own."
)
@click.option(
    "--state", "states", multiple=True, metavar="STATE",
    help="Only in this state, such as pending, attention or reconciled. Repeat it for several states.",
)  # fmt: skip
@click.option(
    "--limit", type=int, default=20, show_default=True, metavar="N", help="Show at most N operations."
)
@with_session
def history(
    session: Session,
    npub: str | None,
    mint: str | None,
    kind: str | None,
    states: tuple[str, ...],
    limit: int,
) -> int:
    """List the operations in the store, newest first."""
    kinds = session.known.kinds
    for option, names, known in (("--kind", (kind,), kinds.names), ("--state", states, kinds.states)):
        if wrong := [name for name in names if name is not None and name not in known]:
            named = "" if kinds is not BUILT_IN else " (--from names the module of a kind of your own)"
            raise click.UsageError(
                f"{option}: there is no {option[2:]} {wrong[0]!r}{near(wrong[0], known)}{named}"
            )
    with session.engine(drives=False) as (engine, _):
        found = engine.operations(npub, kind=kind, mint_url=mint, states=states, limit=limit)
    if session.out.as_json:
        session.out.document({"operations": [as_document(handle) for handle in found]})
        return Exit.DONE
    if not found:
        given = (("npub", npub), ("mint", mint), ("kind", kind))
        filters = [f"--{option} {value}" for option, value in given if value is not None]
        filters += [f"--state {state}" for state in states]
        found_none = f"No operations with {' '.join(filters)}." if filters else "No operations yet."
        session.out.line(found_none, wrap=True)
        return Exit.DONE
    listed(session, found)
    if len(found) == limit:
        session.out.line((f"The newest {limit}; --limit shows more.", "dim"))
    return Exit.DONE


@click.command(
    short_help="Send a parked operation back to work.",
    epilog=f"\b\nExample:\n  nutstate resume {_ID} --reason 'the mint is back'",
)
@click.argument("operation_id", metavar="ID")
@reason_option
@wait_option(60, "How long to wait for the end; the operation goes on afterwards.")
@with_session
def resume(session: Session, operation_id: str, reason: str, operator: str | None, wait: float) -> int:
    """Send a parked operation (state attention) back to work: the mint is asked again.

    For an expired funding the mint is asked once more. If the invoice was paid late, a new operation issues
    the ecash.
    """
    arguments.seconds(wait, "wait")
    with session.engine() as (engine, _):
        session.seen.found(engine.operation(operation_id).record)
        with session.out.working("asking the mint …") as working:
            follow_states(session, working)
            handle = engine.resume(operation_id, reason, wait_s=wait, operator=named(operator))
        return result(session, handle, exit_code(handle))


@click.command(
    short_help="Free a parked melt's inputs on the mint's word.",
    epilog=f"\b\nExample:\n  nutstate release {_ID} --reason 'the mint refuses the request for good'",
)
@click.argument("operation_id", metavar="ID")
@reason_option
@with_session
def release(session: Session, operation_id: str, reason: str, operator: str | None) -> int:
    """Free the inputs of a parked melt. The mint says that it is unpaid, and refuses to sign its fence.

    The mint must say UNPAID and UNSPENT now, and you trust it: if it executes the old request later, the
    freed inputs are gone. The quote is watched, so such a payment is told. Use this before write-off, which
    gives the inputs up.
    """
    with session.engine() as (engine, _):
        session.seen.found(engine.operation(operation_id).record)
        handle = engine.release(operation_id, reason, operator=named(operator))
        return result(session, handle, exit_code(handle, "unpaid"))


@click.command(
    "write-off",
    short_help="Give a parked operation up as lost.",
    epilog=f"\b\nExample:\n  nutstate write-off {_ID} --reason 'the mint is gone'",
)
@click.argument("operation_id", metavar="ID")
@reason_option
@click.option(
    "--force", is_flag=True, help="End it even if the mint does not answer. Its coins are set aside."
)
@with_session
def write_off(session: Session, operation_id: str, reason: str, operator: str | None, force: bool) -> int:
    """Give the rest of a parked operation up as lost. The loss is recorded and cannot be taken back.

    The mint is asked a last time. Value that the mint still holds for you is kept: a signed fence, issued
    proofs, change, and inputs that a dead request left. Without an answer nothing is given up, unless --force
    is given.
    With --force, inputs that may still be in flight, or that the mint calls unspent, become stranded.
    `retry-stranded` makes them money again, `write-off-stranded` gives them up.
    """
    with session.engine() as (engine, _):
        session.seen.found(engine.operation(operation_id).record)
        handle = engine.write_off(operation_id, reason, force=force, operator=named(operator))
        return result(session, handle, exit_code(handle, "lost", "good", "unpaid"))


@click.command(
    short_help="Declare a contradiction settled.",
    epilog=f"\b\nExample:\n  nutstate resolve {_ID} --reason 'checked by hand, ticket 17'",
)
@click.argument("operation_id", metavar="ID")
@reason_option
@with_session
def resolve(session: Session, operation_id: str, reason: str, operator: str | None) -> int:
    """Declare the contradiction of an operation in state discrepant settled. Nothing else is changed."""
    with session.engine() as (engine, _):
        session.seen.found(engine.operation(operation_id).record)
        handle = engine.resolve(operation_id, reason, operator=named(operator))
        return result(session, handle, exit_code(handle))
