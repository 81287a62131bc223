"""``swap``: exchange coins of the wallet at their mint for new ones."""

from __future__ import annotations

import click

from ...engine import arguments
from ...engine.operations.swap.choice import PURPOSES
from ..context import chosen_mint, mint_options, npub_option, wait_option, with_session
from ..operators.render import exit_code, result
from ..session import Session
from .melt import follow_states


@click.command(
    short_help="Exchange coins for new ones at the mint.",
    epilog="""\b
Examples:
  nutstate swap 100 --npub npub1… --mint https://mint.example
  nutstate swap --into 64 --into 64 --into 32     three tokens at once
  nutstate swap --token TOKEN-ID                  all coins of a token
  nutstate swap --purpose rotate                  coins of keysets the mint has stopped signing with
  nutstate swap --purpose consolidate --json      many small coins into few""",
)
@click.argument("amount", type=int, required=False)
@npub_option
@mint_options
@click.option("--unit", default="sat", show_default=True, metavar="UNIT", help="sat or msat.")
@click.option(
    "--into", type=int, multiple=True, metavar="AMOUNT",
    help="Make a token of exactly this amount. Repeat it for several tokens.",
)  # fmt: skip
@click.option(
    "--purpose", type=click.Choice(PURPOSES),
    help="The coins to take. rotate: those of keysets that the mint has stopped signing with. consolidate: "
    "the smallest ones, if half as many or fewer come out.",
)  # fmt: skip
@click.option(
    "--token", "tokens", multiple=True, metavar="TOKEN-ID",
    help="Swap coins of this token only. Repeat it for several tokens.  [default: the engine chooses]",
)  # fmt: skip
@wait_option(60, "How long to wait for the end; the operation goes on afterwards.")
@click.option("--wallet", metavar="ID", help="Wallet id inside the store.  [default: the npub]")
@click.option("--id", "transaction_id", metavar="ID", help="Your own id for the operation.")
@click.option("--key", metavar="TEXT", help="Idempotency key: the same key never swaps twice.")
@with_session
def swap(
    session: Session,
    amount: int | None,
    npub: str,
    mint: str | None,
    simulated: bool,
    unit: str,
    into: tuple[int, ...],
    purpose: str | None,
    tokens: tuple[str, ...],
    wait: float,
    wallet: str | None,
    transaction_id: str | None,
    key: str | None,
) -> int:
    """Exchange coins of the wallet at their mint for new coins of the same wallet.

    With AMOUNT or --into the new tokens hold exactly these amounts; the rest of the coins comes back in a
    token of its own. With --token alone all coins of these tokens are swapped. The mint takes its input fee.
    The outputs are stored before the request is sent, so an interruption loses nothing: `nutstate recover`
    goes on. If the mint does not swap, the coins are free again.
    """
    url = chosen_mint(mint, simulated)
    arguments.seconds(wait, "wait")
    with session.engine(mint_url=url) as (engine, _):
        with session.out.working("choosing coins …") as working:
            follow_states(session, working)
            handle = engine.swap(
                npub=npub,
                mint_url=url,
                amount=amount,
                into=into or None,
                purpose=purpose,
                tokens=tokens or None,
                unit=unit,
                wallet_id=wallet,
                transaction_id=transaction_id,
                idempotency_key=key,
                wait_s=wait,
            )
        return result(session, handle, exit_code(handle))
