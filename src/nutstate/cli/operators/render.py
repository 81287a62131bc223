"""An operation for people: headline, numbers, conservation, timeline."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import attrs

from ...engine.api.handle import Handle
from ...engine.operations.mint.follow_up import can_look_again
from ...machines.melt.table import MELT
from ...machines.record.table import RECORD
from ...machines.spec import Ends, Machine, State
from ...storage.records import AuditRecord
from ..ends import Exit
from ..money.mints import is_simulated
from ..output import Output, Part, brief_age, duration
from ..session import Session

_GENERATED = re.compile(r"tx_([a-z]+)_\d{10,}_[0-9a-f]{20}([0-9a-f]{4})")
COMMANDS: Mapping[str, str] = {
    "record": "record-melt --file FILE",
    "unhold": "unhold {id}",
    "cancel": "cancel {id}",
    "resume": "resume {id} --reason WHY",
    "release": "release {id} --reason WHY",
    "write_off": "write-off {id} --reason WHY",
    "resolve": "resolve {id} --reason WHY",
}
"""The commands by which a caller or an operator sends an event, in the order in which they are offered."""

OUTCOMES = {
    "paid": "paid",
    "unpaid": "unpaid: nothing was paid; a new attempt is allowed",
    "open": "open: not known yet; pay nothing elsewhere",
    "parked": "parked: a person must look; pay nothing elsewhere",
}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def shorten(entity_id: str) -> str:
    """A generated id with only the end of its random part: enough to tell it from its neighbours."""
    return _GENERATED.sub(r"\1_…\2", entity_id)


def meaning(handle: Handle) -> str:
    """The meaning of the state in the table of its machine, or that this program does not have the
    machine."""
    ref = handle.record.machine
    if not handle.kinds.knows(handle.record):
        return f"this program does not have its machine {ref.name}@{ref.version}, so it cannot go on with it"
    return handle.kinds.state_of(handle.record).meaning


def style_of(machine: Machine[Any] | None, state: str) -> str:
    """The colour of a state of the machine; None is one that this program does not have."""
    found = None if machine is None else machine.by_name.get(state)
    return "cyan" if found is None else _colour(found)


def _colour(state: State) -> str:
    if state.kind == "parked":
        return "red"
    return {"good": "green", "lost": "red", "unpaid": "yellow"}.get(state.ends, "cyan")


def style_of_state(handle: Handle) -> str:
    """The colour of the operation's state."""
    return _colour(handle.kinds.state_of(handle.record))


def exit_code(handle: Handle, *ends: Ends, waiting: bool = False) -> Exit:
    """How a command ends with this operation: well at one of these ``ends`` (by default a good one), with
    ``waiting`` also where the operation waits for its caller."""
    if handle.record.ends in (ends or ("good",)) or (
        waiting and handle.kinds.waits_for_caller(handle.record)
    ):
        return Exit.DONE
    return Exit.REFUSED if handle.is_final else Exit.OPEN


# -- money ---------------------------------------------------------------------------------------


def conservation(handle: Handle, records: Sequence[AuditRecord]) -> dict[str, Any] | None:
    """The parts into which the value of the sources went, and whether they add up. None: not decided yet."""
    parts = handle.kinds.sums_of(handle.record, records)
    if parts is None:
        return None
    sources = handle.account.sources
    return {"sources": sources, **parts, "holds": sources == sum(parts.values())}


def conservation_line(terms: Mapping[str, Any]) -> list[Part]:
    """``sources 1000 = amount 100 + …`` with its verdict."""
    right = " + ".join(
        f"{name.replace('_', ' ')} {value}"
        for name, value in terms.items()
        if name not in ("sources", "holds")
    )
    verdict = ("  holds", "green") if terms["holds"] else ("  DOES NOT HOLD", "bold red")
    return [f"sources {terms['sources']} = {right}", verdict]


# -- one operation -------------------------------------------------------------------------------


def as_document(handle: Handle, *, preimage: bool = False) -> dict[str, Any]:
    """The operation as JSON; the preimage only if it was asked for."""
    document = {
        **handle.as_dict(),
        "meaning": meaning(handle),
        "simulated": is_simulated(handle.record.mint_url),
    }
    if preimage:
        document["preimage"] = handle.preimage.reveal() if handle.preimage else None
    invoice = handle.kinds.to_pay(handle.record)
    if invoice is not None:
        document["invoice"] = invoice.reveal()  # the reader is to pay it
    return document


def headline(out: Output, handle: Handle) -> None:
    """``melt reconciled: paid, change stored, …``"""
    out.line(f"{handle.kind} ", (handle.state, f"bold {style_of_state(handle)}"), f": {meaning(handle)}")


def mint_words(mint_url: str) -> str:
    return f"{mint_url} (not real money)" if is_simulated(mint_url) else mint_url


def numbers(handle: Handle, *, preimage: bool = False) -> list[tuple[str, str]]:
    """Names and values of one operation, for people."""
    op, unit, account = handle.record, handle.unit, handle.account
    rows = [
        ("operation", op.id),
        ("mint", mint_words(op.mint_url)),
        ("amount", f"{op.amount} {unit}"),
    ]
    if handle.kinds.is_own(op):
        rows.insert(1, ("outcome", handle.outcome))
    if op.kind in (MELT.name, RECORD.name):
        rows.insert(1, ("outcome", OUTCOMES[handle.outcome]))
        if account.proven_by == "caller":
            rows.append(("fee", f"{handle.fee_paid} {unit}, as the caller recorded it"))
        elif handle.lightning_fee is not None:
            rows.append(("lightning fee", f"{handle.lightning_fee} {unit} of {account.fee_reserve} reserved"))
        elif op.quote is not None:
            rows.append(("fee reserve", f"{account.fee_reserve} {unit} at most"))
        if op.inputs:
            rows += [
                ("input fee", f"{account.input_fee} {unit}"),
                ("inputs", f"{handle.inputs} {unit}"),
                ("change", f"{handle.change} {unit}"),
                ("kept", f"{handle.kept} {unit} of the sources stayed untouched"),
            ]
        rows += _preimage_row(handle, preimage)
        if account.fence_fee:
            rows.append(("cost", f"{handle.cost} {unit}: the mint's fee for taking the inputs back"))
    if account.made:
        rows += [
            ("input fee", f"{account.input_fee} {unit}"),
            *(("new token", name) for name in account.made),
        ]
        if op.inputs:  # coins of the wallet
            rows += [
                ("rest", f"{account.change} {unit} in new coins"),
                ("kept", f"{account.kept} {unit} of the sources stayed untouched"),
            ]
    if op.parent_id is not None:
        rows.append(("parent", op.parent_id))
    if account.stranded:
        rows.append(("stranded", f"{account.stranded} {unit}: set aside, in no payment"))
    if account.loss:
        rows.append(("loss", f"{account.loss} {unit}"))
    if op.reason is not None:
        label = "on the way" if handle.record.ends == "good" else "reason"
        rows.append((label, f"{op.reason.message} [{op.reason.code}]"))
    return rows


def _preimage_row(handle: Handle, shown: bool) -> list[tuple[str, str]]:
    payment = handle.account.payment
    if payment is None or handle.account.proven_by == "caller":
        return []
    if payment.preimage is None:
        return [("preimage", "the mint gave none")]
    if shown:
        return [("preimage", payment.preimage.reveal())]
    checked = "matches the invoice" if payment.preimage_matches else "does NOT match the invoice"
    return [("preimage", f"{checked}; --show-preimage shows it")]


def next_steps(session: Session, handle: Handle) -> list[str]:
    """The commands that make sense now."""
    command, about = session.command, handle.id
    if not handle.kinds.knows(handle.record):
        declared = handle.kind in handle.kinds.names  # then it is a version that this program lacks
        return [command(f"show {about}" if declared else f"show {about} --from MODULE")]
    if can_look_again(handle.record):
        return [command(f"show {about}"), command(f"resume {about} --reason 'it was paid late'")]
    if handle.is_final:
        retry = [command("retry-stranded --reason WHY")] if handle.account.stranded else []
        return [command(f"show {about}"), *retry]
    offered = [command(words) for words in _offered(handle)]
    if handle.is_parked:
        return [command(f"show {about} --verbose"), *offered]
    if handle.kinds.waits_for_confirmation(handle.record):
        return [command(f"confirm {about}"), *offered]
    if handle.kinds.waits_for_caller(handle.record):
        return offered
    going_on = [command("recover --wait 60"), command(f"show {about}")]
    return [*going_on, *offered] if handle.kinds.is_own(handle.record) else going_on


def _offered(handle: Handle) -> list[str]:
    """The commands whose event has an edge in the operation's state. A payment is recorded once; a kind that
    ``Engine.start`` starts is told by ``tell``."""
    machine = handle.kinds.machine_of(handle.record)
    if handle.kinds.is_own(handle.record):
        by_operator = machine.offered(handle.state, "operator")
        return [
            f"tell {handle.id} {event}" + (" --reason WHY" if event in by_operator else "")
            for event in machine.offered(handle.state, "caller", "operator")
        ]
    cells = machine.cells
    said = {"record"} if handle.account.payment is not None else set()
    return [
        words.format(id=handle.id)
        for event, words in COMMANDS.items()
        if (handle.state, event) in cells and event not in said
    ]


def step_rows(steps: Sequence[str]) -> list[tuple[str, str]]:
    """The commands that make sense now, the one to begin with first."""
    return [("or" if n else "next", step) for n, step in enumerate(steps)]


def result(session: Session, handle: Handle, code: Exit, *, preimage: bool = False, note: str = "") -> Exit:
    """Print the operation at the end of a command, and return the exit code."""
    out, steps = session.out, next_steps(session, handle)
    if out.as_json:
        document = {"operation": as_document(handle, preimage=preimage), "note": note or None, "next": steps}
        out.document(document)
        return code
    headline(out, handle)
    out.pairs([*numbers(handle, preimage=preimage), *step_rows(steps)])
    if note:
        out.line(note, wrap=True)
    if code is Exit.OPEN:
        out.line("It stays open; nothing is lost.")
    return code


# -- the audit trail -----------------------------------------------------------------------------


def record_document(record: AuditRecord) -> dict[str, Any]:
    document = attrs.asdict(record, recurse=False)
    return {**document, "verdicts": dict(record.verdicts), "data": dict(record.data)}


def entity_words(record: AuditRecord) -> str:
    """The kind of an operation, or a token by the end of its name."""
    kind, _, name = record.entity.partition(":")
    if kind == "operation":
        return record.machine.partition("@")[0]
    return shorten(name.replace(record.operation_id, "…") if name.startswith(record.operation_id) else name)


def timeline(session: Session, records: Sequence[AuditRecord], verbose: bool) -> None:
    """The audit trail for people: one line per transition, tokens under their operation."""
    out = session.out
    start = records[0].at if records else 0
    for record in records:
        is_token = record.entity.startswith("token:")
        when = "" if is_token else f"+{duration(record.at - start)}"
        name: Part = (f"  token {entity_words(record)}", "dim") if is_token else ""
        arrow: list[Part] = [
            f"{record.from_state} → ",
            (
                record.to_state,
                style_of(session.known.labelled(record.machine), record.to_state) if not is_token else "",
            ),
        ]
        by = _by(record)
        out.line(f"  {when:>12}  ", name, "  " if name else "", *arrow, (f"  {record.event}{by}", "dim"))
        if verbose:
            for guard, held in record.verdicts.items():
                mark: Part = ("yes", "green") if held else ("no", "red")
                out.line(
                    " " * (22 if is_token else 18), mark, f" {guard.rpartition(':')[2].replace('_', ' ')}"
                )


def _by(record: AuditRecord) -> str:
    """The person or part that decided, where it is not the caller or the engine, and the reason."""
    actor = record.actor.partition(":")[0]
    words = "" if actor in ("caller", "engine") else f" by {actor}"
    if isinstance(record.data.get("operator"), str):
        words += f" {record.data['operator']}"
    reason = record.data.get("operator_reason")
    return f"{words}: {reason}" if isinstance(reason, str) else words


def stamp(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def age(ms: int) -> str:
    return brief_age(now_ms() - ms)


def listed(session: Session, handles: Sequence[Handle]) -> None:
    """Operations as a table, one in each line."""
    narrow = session.out.is_narrow
    rows: list[list[Part]] = []
    for handle in handles:
        state = (handle.state, style_of_state(handle))
        row: list[Part] = [handle.id, state, f"{handle.amount} {handle.unit}", age(handle.record.created_at)]
        if not narrow:
            fee = "" if handle.fee_paid is None else str(handle.fee_paid)
            row[1:1] = [handle.kind]
            row[4:4] = [fee, str(handle.change or "")]
        rows.append(row)
    short = ("operation", "state", "amount", "age")
    if narrow and not session.out.fits((short, *rows)):
        for name, *rest in rows:  # an id that is whole can be copied
            session.out.line(name)
            session.out.line("  ", *(part for cell in rest for part in (cell, "  ")))
    elif narrow:
        session.out.table(short, rows, right=(2, 3))
    else:
        headers = ("operation", "kind", "state", "amount", "fee", "change", "age")
        session.out.table(headers, rows, right=(3, 4, 5, 6))
