"""``retry-stranded`` and ``write-off-stranded``: an operator decides about coins that their mint refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from ...engine import arguments
from ...engine.api.engine import Engine
from ...engine.api.handle import Handle
from ..context import chosen_mint, mint_options, npub_option, with_session
from ..ends import Exit
from ..session import Session
from .render import as_document
from .who import named, reason_option

_TOKEN = "tx_melt_1732264000000_0123456789abcdef01234567_stranded_2"


def _which(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that choose stranded coins."""
    for option in (
        click.option("--token", "tokens", multiple=True, metavar="TOKEN",
                     help="Only this token. Repeat it for several tokens.  [default: all of the wallet]"),
        click.option("--wallet", metavar="ID", help="Wallet id inside the store.  [default: the npub]"),
        click.option("--unit", default="sat", show_default=True, metavar="UNIT", help="sat or msat."),
        reason_option,
        mint_options,
        npub_option,
    ):  # fmt: skip
        command = option(command)
    return command


@click.command(
    "retry-stranded",
    short_help="Make refused coins spendable again.",
    epilog=f"""\b
Examples:
  nutstate retry-stranded --npub npub1… --mint https://mint.example --reason 'the mint was repaired'
  nutstate retry-stranded --npub npub1… --simulated --reason 'tried by hand' --token {_TOKEN}""",
)
@_which
@with_session
def retry_stranded(session: Session, /, **given: Any) -> int:
    """Make stranded coins spendable again. The mint must call them UNSPENT.

    A coin that the mint still refuses is stranded again by the next payment that meets it.
    """
    return _done(session, "retried", lambda engine, more: engine.retry_stranded(**more), given)


@click.command(
    "write-off-stranded",
    short_help="Give refused coins up as lost.",
    epilog="""\b
Example:
  nutstate write-off-stranded --npub npub1… --mint https://mint.example --reason 'the mint is gone'""",
)
@_which
@with_session
def write_off_stranded(session: Session, /, **given: Any) -> int:
    """Give stranded coins up as lost. The loss is recorded and cannot be taken back."""
    return _done(session, "given up", lambda engine, more: engine.write_off_stranded(**more), given)


def _done(
    session: Session,
    word: str,
    call: Callable[[Engine, dict[str, Any]], tuple[Handle, ...]],
    given: dict[str, Any],
) -> int:
    url = arguments.mint_url(chosen_mint(given["mint"], given["simulated"]))
    arguments.npub(given["npub"])
    with session.engine(mint_url=url) as (engine, _):
        ended = call(
            engine,
            {
                "npub": given["npub"],
                "mint_url": url,
                "reason": given["reason"],
                "operator": named(given["operator"]),
                "tokens": given["tokens"] or None,
                "wallet_id": given["wallet"],
                "unit": given["unit"],
            },
        )
    amount = sum(handle.amount for handle in ended)
    if session.out.as_json:
        rows = [as_document(handle) for handle in ended]
        session.out.document({"amount": amount, "unit": given["unit"], "operations": rows})
        return Exit.DONE
    session.out.line(f"{amount} {given['unit']} {word}")
    session.out.pairs([("operation", handle.id) for handle in ended])
    return Exit.DONE
