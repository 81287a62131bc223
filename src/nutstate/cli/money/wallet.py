"""``mint``, ``deposit`` and ``balance``: paying money in, and counting it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ...engine import arguments
from ...engine.api.engine import Engine
from ...engine.api.handle import owned_of
from ...engine.cashu.coins.token_codec import TOKEN_CHARS_MAX, InvalidToken, decode_token
from ...engine.errors import InvalidArgument
from ...engine.loop.log import TransitionEvent
from ...engine.tokens.ids import validate_transaction_id
from ...machines.token.states import RESERVED, STRANDED, UNSPENT
from ..context import chosen_mint, mint_options, npub_option, wait_option, with_session
from ..operators.render import exit_code, mint_words, result
from ..output import Part, Working
from ..session import Session
from .melt import follow_states
from .mints import is_simulated

SHOWN_STATES = (UNSPENT, RESERVED, STRANDED)


def check_common(npub: str, wallet: str | None, transaction_id: str | None, key: str | None) -> None:
    """The checks of the engine, made before a store is created for nothing."""
    arguments.npub(npub)
    arguments.wallet_id(wallet, npub)
    arguments.idempotency_key(key)
    if transaction_id is not None:
        validate_transaction_id(transaction_id)


@click.command(
    short_help="Fund the wallet by paying an invoice.",
    epilog="""\b
Examples:
  nutstate mint 1000 --npub npub1… --mint https://mint.example
  nutstate mint 1000 --npub npub1… --simulated
  nutstate mint 1000 --wait 0 --json      prints the invoice and ends with 3
  nutstate recover --wait 60              fetches the ecash once the invoice is paid""",
)
@click.argument("amount", type=int)
@npub_option
@mint_options
@click.option("--unit", default="sat", show_default=True, metavar="UNIT", help="sat or msat.")
@wait_option(600, "How long to wait for the payment of the invoice.")
@click.option("--wallet", metavar="ID", help="Wallet id inside the store.  [default: the npub]")
@click.option("--id", "transaction_id", metavar="ID", help="Your own id for the operation.")
@click.option("--key", metavar="TEXT", help="Idempotency key: the same key never asks for two invoices.")
@with_session
def mint(
    session: Session,
    amount: int,
    npub: str,
    mint: str | None,
    simulated: bool,
    unit: str,
    wait: float,
    wallet: str | None,
    transaction_id: str | None,
    key: str | None,
) -> int:
    """Fund the wallet with AMOUNT: show an invoice, wait until it is paid, and store the ecash.

    Pay the invoice with any Lightning wallet. If it is paid after --wait is over, `nutstate recover`
    fetches the ecash.
    """
    url = chosen_mint(mint, simulated)
    arguments.amount(amount)
    arguments.unit(unit)
    arguments.mint_url(url)
    arguments.seconds(wait, "wait")
    check_common(npub, wallet, transaction_id, key)
    with session.engine(create=True, mint_url=url) as (engine, _):
        with session.out.working("asking for an invoice …") as working:
            show_invoice_when_quoted(session, engine, working)
            follow_states(session, working)
            handle = engine.mint_tokens(
                npub=npub,
                mint_url=url,
                amount=amount,
                unit=unit,
                wallet_id=wallet,
                transaction_id=transaction_id,
                idempotency_key=key,
                wait_s=wait,
            )
        if not session.seen.requested and (invoice := handle.kinds.to_pay(handle.record)) is not None:
            session.out.line("Pay this invoice:")
            session.out.line(invoice.reveal())
        return result(session, handle, exit_code(handle))


def show_invoice_when_quoted(session: Session, engine: Engine, working: Working) -> None:
    """Print the invoice to be paid once it is stored, not before."""
    shown: list[str] = []

    def show(event: TransitionEvent) -> None:
        if shown or not event.entity.startswith("operation:"):
            return
        handle = engine.operation(event.operation_id)
        invoice = handle.kinds.to_pay(handle.record)
        if invoice is None:
            return
        shown.append(handle.id)
        working.stop()
        own = "; the simulated mint pays it itself" if is_simulated(handle.record.mint_url) else ""
        # with --json standard output is for the one document, which comes too late to pay
        say = session.out.error if session.out.as_json else session.out.line
        say(f"Pay this invoice over {handle.amount} {handle.unit}{own}:")
        say(invoice.reveal())

    session.observers.append(show)


def read_token(token: str | None, file: Path | None) -> str:
    """The token: the argument, standard input (``-``), or the file."""
    if (token is None) == (file is None):
        raise click.UsageError("give the token in one way: as TOKEN, as - (standard input), or with --file")
    try:
        if token == "-":
            return sys.stdin.read(TOKEN_CHARS_MAX + 1)
        if file is not None:
            with file.open(encoding="ascii") as opened:
                return opened.read(TOKEN_CHARS_MAX + 1)
    except UnicodeDecodeError:
        raise InvalidArgument("not a Cashu token: not text", code="INVALID_TOKEN") from None
    except OSError as error:
        raise click.UsageError(f"--file: {error.strerror}") from None
    return token or ""


@click.command(
    short_help="Store a Cashu token.",
    epilog="""\b
Examples:
  nutstate deposit - --npub npub1… < token.txt
  nutstate deposit --file token.txt --npub npub1…""",
)
@click.argument("token", required=False)
@click.option(
    "--file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
    help="Read the token from this file.",
)  # fmt: skip
@npub_option
@click.option("--mint", metavar="URL", help="The token's mint; needed when the wallet does not have it yet.")
@click.option("--wallet", metavar="ID", help="Wallet id inside the store.  [default: the npub]")
@click.option("--id", "transaction_id", metavar="ID", help="Your own id for the operation.")
@click.option("--key", metavar="TEXT", help="Idempotency key: the same key stores once.")
@click.option(
    "--allow-unverified",
    is_flag=True,
    help="Take proofs without DLEQ too: you trust the giver of the token.",
)
@with_session
def deposit(
    session: Session,
    token: str | None,
    file: Path | None,
    npub: str,
    mint: str | None,
    wallet: str | None,
    transaction_id: str | None,
    key: str | None,
    allow_unverified: bool,
) -> int:
    """Store the proofs of a Cashu TOKEN (cashuA… or cashuB…) after asking its mint about them.

    A token is money: as an argument it ends up in the shell's history and in the list of processes, so
    prefer - (standard input) or --file. A holder of a copy can still spend it, so
    `nutstate receive` is for tokens of others. Proofs that do not show
    that the mint signed them (DLEQ) are refused: one bad coin spoils every payment that uses it.
    """
    text = read_token(token, file)
    check_common(npub, wallet, transaction_id, key)
    if mint is not None:
        arguments.mint_url(mint)
    try:
        mint_url = arguments.mint_url(decode_token(text).mint_url)
    except InvalidToken as error:
        raise InvalidArgument(f"not a Cashu token: {error}", code="INVALID_TOKEN") from None
    with session.engine(create=True, mint_url=mint_url) as (engine, _):
        with session.out.working("asking the mint …"):
            handle = engine.deposit(
                npub=npub,
                token=text,
                mint_url=mint,
                wallet_id=wallet,
                transaction_id=transaction_id,
                idempotency_key=key,
                allow_unverified=allow_unverified,
            )
        return result(session, handle, exit_code(handle))


@click.command(
    short_help="Show the money in the wallet.", epilog="\b\nExample:\n  nutstate balance --npub npub1…"
)
@npub_option
@click.option("--mint", metavar="URL", help="Only this mint.  [default: every mint]")
@click.option("--ask-mints", is_flag=True, help="Ask the mints which coins they still take.")
@with_session
def balance(session: Session, npub: str, mint: str | None, ask_mints: bool) -> int:
    """Show the money by mint and unit: spendable, held by open operations, refused by the mint."""
    with session.engine() as (engine, _):
        every = engine.balance(npub, mint, ask_mints=ask_mints, spent=session.out.as_json).by_wallet
        wallets = {where: states for where, states in every.items() if any(states.values())}
        if session.out.as_json:
            rows = [
                {
                    "mint_url": url,
                    "unit": unit,
                    "simulated": is_simulated(url),
                    "owned": owned_of([states]),
                    "states": states,
                }
                for (url, unit), states in sorted(wallets.items())
            ]
            session.out.document({"npub": npub, "wallets": rows})
            return 0
        if not wallets:
            session.out.line("This wallet is empty. Fund it: nutstate mint AMOUNT, or nutstate deposit -")
            return 0
        table: list[list[Part]] = []
        for (url, unit), states in sorted(wallets.items()):
            spendable, *others = (str(states.get(state, 0)) for state in SHOWN_STATES)
            table.append([(spendable, "bold green"), *others, unit, mint_words(url)])
        session.out.table(("spendable", *SHOWN_STATES[1:], "unit", "mint"), table, right=(0, 1, 2))
        return 0
