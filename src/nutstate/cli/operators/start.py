"""``start``: begin an operation of a kind of one's own."""

from __future__ import annotations

from typing import Any

import click

from ...engine import arguments
from ...engine.loop.kinds import Kinds
from ...engine.loop.own_data import data_from
from ..context import chosen_mint, mint_options, npub_option, wait_option, with_session
from ..money.melt import follow_states
from ..session import Session
from .given import STANDARD_INPUT, text_or_json
from .render import exit_code, result


@click.command(
    short_help="Start an operation of your own kind.",
    epilog="""\b
Examples:
  nutstate start approval --amount 100 --data '{"asked_by": "ann"}' --from shop
  nutstate start approval --key order-17 --data - --from shop < approval.json""",
)
@click.argument("kind")
@npub_option
@mint_options
@click.option("--unit", default="sat", show_default=True, metavar="UNIT", help="sat or msat.")
@click.option("--amount", type=int, default=0, show_default=True, metavar="AMOUNT", help="Its amount.")
@click.option(
    "--data",
    metavar="JSON",
    help="The fields of the kind's own data, as a JSON object; the others have their defaults. - reads "
    "standard input.",
)
@click.option(
    "--event",
    metavar="EVENT",
    help="The event that begins it.  [default: the only one by which a caller can]",
)
@click.option(
    "--evidence",
    metavar="TEXT|JSON",
    help='The evidence of the event: a text, or JSON if it begins with {, [ or ". - reads standard input.',
)
@click.option("--wallet", metavar="ID", help="Wallet id inside the store.  [default: the npub]")
@click.option("--id", "transaction_id", metavar="ID", help="Your own id for the operation.")
@click.option(
    "--key",
    "--idempotency-key",
    "key",
    metavar="TEXT",
    help="Idempotency key: however often you run the command, the same key never starts a second one.",
)
@wait_option(60, "How long to wait for the end; the operation goes on afterwards.")
@with_session
def start(
    session: Session,
    kind: str,
    npub: str,
    mint: str | None,
    simulated: bool,
    unit: str,
    amount: int,
    data: str | None,
    event: str | None,
    evidence: str | None,
    wallet: str | None,
    transaction_id: str | None,
    key: str | None,
    wait: float,
) -> int:
    """Start an operation of the KIND, one of your own, and drive it on.

    The same command with the same --id or --key finds the first operation. Ends with 0 if the operation ended
    well or unpaid, or waits for its next event, which `nutstate tell` tells; with 3 if it stays open; with 1
    if it is refused: then nothing is stored.
    """
    url = chosen_mint(mint, simulated)
    arguments.seconds(wait, "wait")
    if data == evidence == STANDARD_INPUT:
        raise click.UsageError("--data and --evidence cannot both be read from standard input")
    fields = None if data is None else text_or_json("--data", data)
    said = None if evidence is None else text_or_json("--evidence", evidence)
    with session.engine(mint_url=url) as (engine, _):
        with session.out.working("starting …") as working:
            follow_states(session, working)
            handle = engine.start(
                kind,
                npub=npub,
                mint_url=url,
                unit=unit,
                amount=amount,
                data=_data(engine.kinds, kind, fields),
                event=event,
                evidence=said,
                wallet_id=wallet,
                transaction_id=transaction_id,
                idempotency_key=key,
                wait_s=wait,
            )
        return result(session, handle, exit_code(handle, "good", "unpaid", waiting=True))


def _data(kinds: Kinds, kind: str, fields: Any) -> object:
    """The kind's own data. None for a kind that the engine does not start: it says so itself."""
    if fields is None or kind not in kinds.names or kinds.named(kind).started_by:
        return None
    return data_from(fields, kinds.named(kind).data)
