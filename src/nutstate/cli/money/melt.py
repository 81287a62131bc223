"""``melt``: pay an invoice, in one step or two."""

from __future__ import annotations

import sys

import click

from ...engine import arguments
from ...engine.admission.melt_request import ON_DUPLICATE
from ...engine.api.engine import Engine
from ...engine.api.handle import Handle
from ...engine.errors import InvalidArgument
from ...engine.settings import ON_UNPAID, Settings
from ..context import chosen_mint, mint_options, npub_option, wait_option, with_session
from ..operators.render import exit_code, now_ms, result
from ..operators.who import named, operator_option
from ..output import Working, duration
from ..session import Session

show_preimage = click.option(
    "--show-preimage",
    is_flag=True,
    help="Show the proof of payment. Every reader of it can claim to have paid.",
)


def follow_states(session: Session, working: Working) -> None:
    """Let the moving sign name each state when it is committed."""
    session.observers.append(
        lambda event: working.now(f"{event.to_state} …") if event.entity.startswith("operation:") else None
    )


def _read_invoice(text: str) -> str:
    if text != "-":
        return text
    try:
        return sys.stdin.readline(20_000)
    except UnicodeDecodeError:
        raise InvalidArgument("not a BOLT-11 invoice: not text", code="INVALID_INVOICE") from None


def _prime(session: Session, engine: Engine, invoice: str, unit: str, npub: str) -> None:
    """Remember the operation of this owner that pays this invoice already: an interruption can name it."""
    try:
        _, decoded, _ = arguments.invoice(invoice, unit)
    except InvalidArgument:
        return  # the engine will say so
    holder = engine.store.operation_by_claim(decoded.payment_hash)
    session.seen.found(holder if holder is not None and holder.npub == npub else None)


def _earlier(session: Session, handle: Handle) -> str:
    if session.seen.requested:
        return ""
    ago = duration(max(0, now_ms() - handle.record.created_at))
    return f"The same request was made {ago} ago: this is that operation, nothing was paid twice."


@click.command(
    short_help="Pay a Lightning invoice.",
    epilog="""\b
Examples:
  nutstate melt lnbc1… --npub npub1… --mint https://mint.example
  nutstate melt lnbc1… --prepare        then: nutstate confirm ID
  nutstate melt - --key order-17 --wait 10 --json < invoice.txt""",
)
@click.argument("invoice")
@npub_option
@mint_options
@click.option("--unit", default="sat", show_default=True, metavar="UNIT", help="sat or msat.")
@click.option("--prepare", is_flag=True, help="Only quote, choose and reserve; `nutstate confirm ID` pays.")
@wait_option(60, "How long to wait for the end; the operation goes on afterwards.")
@click.option(
    "--source", "sources", multiple=True, metavar="TOKEN-ID",
    help="Pay with this token only. Repeat it for several tokens.  [default: the engine chooses]",
)  # fmt: skip
@click.option("--wallet", metavar="ID", help="Wallet id inside the store.  [default: the npub]")
@click.option("--id", "transaction_id", metavar="ID", help="Your own id for the operation.")
@click.option(
    "--key",
    metavar="TEXT",
    help="Idempotency key: however often you run the command, the same key never pays twice.",
)
@click.option(
    "--on-duplicate", type=click.Choice(ON_DUPLICATE), default="return", show_default=True,
    help="The same request within five minutes: return the first operation, or fail.",
)  # fmt: skip
@click.option(
    "--on-unpaid", type=click.Choice(ON_UNPAID),
    help="The way back after a failed payment. fast: free the inputs at once if the mint itself answered "
    "with an error, else as fence. fence: swap the inputs first, so that a late payment is impossible. "
    "retry_then_fence: send the same request once more before that. trust: free the inputs on the mint's "
    "word.  [default: fast]",
)  # fmt: skip
@click.option(
    "--fee-max", type=int, metavar="AMOUNT",
    help="The highest cost beside the amount, in the unit. Above it nothing is reserved.  "
    f"[default: {Settings().fee_max_percent:g} % of the amount, at least {Settings().fee_max_floor_sat} sat]",
)  # fmt: skip
@show_preimage
@with_session
def melt(
    session: Session,
    invoice: str,
    npub: str,
    mint: str | None,
    simulated: bool,
    unit: str,
    prepare: bool,
    wait: float,
    sources: tuple[str, ...],
    wallet: str | None,
    transaction_id: str | None,
    key: str | None,
    on_duplicate: str,
    on_unpaid: str | None,
    fee_max: int | None,
    show_preimage: bool,
) -> int:
    """Pay a Lightning INVOICE (BOLT-11; - reads it from standard input) with ecash.

    It is safe to run the same command again: an invoice is never paid twice. Within five minutes (with the
    same --key at any time) the command finds the first operation and goes on with it. Ends with 3 if the
    outcome is not known after --wait; the operation stays open and `nutstate recover` goes on with it.
    """
    url = chosen_mint(mint, simulated)
    text = _read_invoice(invoice)
    arguments.seconds(wait, "wait")
    with session.engine(mint_url=url) as (engine, _):
        _prime(session, engine, text, unit, npub)
        with session.out.working("asking for a quote …") as working:
            follow_states(session, working)
            begin = engine.prepare_melt if prepare else engine.melt
            handle = begin(
                npub=npub,
                mint_url=url,
                invoice=text,
                unit=unit,
                wallet_id=wallet,
                sources=sources or None,
                transaction_id=transaction_id,
                idempotency_key=key,
                on_duplicate=on_duplicate,
                on_unpaid=on_unpaid,
                fee_max=fee_max,
                wait_s=wait,
            )
        code = exit_code(handle, waiting=prepare)
        return result(session, handle, code, preimage=show_preimage, note=_earlier(session, handle))


@click.command(
    short_help="Pay a prepared melt.",
    epilog="\b\nExample:\n  nutstate confirm tx_melt_1732264000000_0123456789abcdef01234567",
)
@click.argument("operation_id", metavar="ID")
@wait_option(60, "How long to wait for the end; the operation goes on afterwards.")
@show_preimage
@with_session
def confirm(session: Session, operation_id: str, wait: float, show_preimage: bool) -> int:
    """Pay a melt that `nutstate melt --prepare` prepared. Confirming again only shows the operation."""
    with session.engine() as (engine, _):
        session.seen.found(engine.operation(operation_id).record)
        with session.out.working("paying …") as working:
            follow_states(session, working)
            handle = engine.confirm(operation_id, wait_s=wait)
        return result(session, handle, exit_code(handle), preimage=show_preimage)


@click.command(
    short_help="Stop an operation before its request is sent.",
    epilog="\b\nExample:\n  nutstate cancel tx_melt_1732264000000_0123456789abcdef01234567",
)
@click.argument("operation_id", metavar="ID")
@click.option("--reason", metavar="TEXT", help="Why an operator stops it; it goes into the audit trail.")
@operator_option
@with_session
def cancel(session: Session, operation_id: str, reason: str | None, operator: str | None) -> int:
    """Stop an operation before its request is sent, and free its tokens. Refused (1) once the request may
    have been sent: then only the mint's answer can end the operation. With --reason it is recorded as an
    operator's decision."""
    source = click.get_current_context().get_parameter_source("operator")
    if reason is None and source is click.core.ParameterSource.COMMANDLINE:
        raise click.UsageError("--operator needs --reason")
    who = None if reason is None else named(operator)
    with session.engine() as (engine, _):
        session.seen.found(engine.operation(operation_id).record)
        handle = engine.cancel(operation_id, reason, operator=who)
        return result(session, handle, exit_code(handle, "unpaid"))
