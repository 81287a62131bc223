"""``hold``, ``unhold`` and ``record-melt``: melts that a service makes at the mint itself."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ...engine import arguments
from ...engine.api.engine import Engine
from ...engine.api.recorded import RecordedMelt
from ...engine.errors import InvalidArgument, Refused
from ..context import chosen_mint, mint_options, npub_option, with_session
from ..ends import Exit
from ..operators.given import load
from ..operators.render import as_document, exit_code, headline, next_steps, numbers, result, step_rows
from ..session import Session

FILE_CHARS_MAX = 10_000_000
NEEDED = ("npub", "mint_url", "keep", "change", "amount", "fee")
OPTIONAL = (
    "sources", "transaction_id", "wallet_id", "unit", "payment_request", "parent_transaction_id",
    "idempotency_key", "hold",
)  # fmt: skip


def _read(file: Path) -> Mapping[str, Any]:
    """The arguments of one recording. Errors never repeat the content of the file: it is money."""
    try:
        if str(file) == "-":
            text = sys.stdin.read(FILE_CHARS_MAX + 1)
        else:
            with file.open(encoding="utf-8") as opened:
                text = opened.read(FILE_CHARS_MAX + 1)
    except OSError as error:
        raise click.UsageError(f"--file: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidArgument("the file is not text", code="INVALID_FORMAT") from None
    try:
        given = load(text) if len(text) <= FILE_CHARS_MAX else None
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise InvalidArgument(
            "the file is not one JSON object that names each field once", code="INVALID_FORMAT"
        )
    missing = [name for name in NEEDED if name not in given]
    if "hold" not in given and "sources" not in given:
        missing.append("sources")
    if missing:
        raise InvalidArgument(f"the file has no {', '.join(missing)}", code="INVALID_FORMAT")
    if set(given) - {*NEEDED, *OPTIONAL}:
        raise InvalidArgument(
            f"the file may only have {', '.join((*NEEDED, *OPTIONAL))}", code="INVALID_FORMAT"
        )
    return given


def _record(session: Session, engine: Engine, given: Mapping[str, Any]) -> RecordedMelt:
    rest = {name: value for name, value in given.items() if name not in ("sources", "keep", "change")}
    try:
        return engine.record_melt(given.get("sources"), given["keep"], given["change"], **rest)
    except Refused as error:
        if (
            error.code == "CONCURRENT_OPERATION" and "operation_id" in error.details
        ):  # stored, also when it was so before
            session.seen.found(engine.operation(str(error.details["operation_id"])).record)
            session.seen.committed = True
        raise


@click.command(
    "record-melt",
    short_help="Store a melt you made at the mint yourself.",
    epilog="""\b
The file, with the names of Engine.record_melt:
  {"npub": "npub1…", "mint_url": "https://mint.example",
   "sources": ["TOKEN-ID"], "amount": 550, "fee": 1,
   "keep":   [{"id": "00…", "amount": 128, "secret": "…", "C": "02…"}],
   "change": [{"id": "00…", "amount": 32, "secret": "…", "C": "02…"}]}
  and, if you like: unit, wallet_id, transaction_id, idempotency_key,
  payment_request, parent_transaction_id, hold (then sources may be left out)

\b
Examples:
  nutstate record-melt --file melt.json
  nutstate record-melt --file - --json < melt.json""",
)
@click.option(
    "--file", required=True, type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    metavar="FILE", help="The melt as JSON; - reads it from standard input.",
)  # fmt: skip
@with_session
def record_melt(session: Session, file: Path) -> int:
    """Store a melt that a program of yours made at the mint itself. In one commit its sources become
    spent, and its kept and returned proofs become money of the wallet.

    The file holds bearer money; delete it afterwards. It is safe to run the same command again. If another
    operation holds or has spent a source, keep and change are stored all the same, and the command ends
    with 3: pay nothing again. `nutstate recover` settles it when the source becomes free.
    """
    given = _read(file)
    with session.engine() as (engine, _):
        done = _record(session, engine, given)
        paid = done.handle.is_paid and not done.handle.is_parked  # its last checks can be made later
        code = Exit.DONE if paid else exit_code(done.handle)
        steps = next_steps(session, done.handle)
        if session.out.as_json:
            session.out.document(
                {"recorded": done.as_dict(), "operation": as_document(done.handle), "next": steps}
            )
            return code
        headline(session.out, done.handle)
        tokens = [(made["type"].replace("_", " "), str(made["token_id"])) for made in done.operations]
        session.out.pairs([*numbers(done.handle), *tokens, *step_rows(steps)])
        return code


@click.command(
    short_help="Reserve tokens for a melt you make yourself.",
    epilog="""\b
Examples:
  nutstate hold tx_mint_1_minted --ttl 300 --npub npub1… --mint https://mint.example
  nutstate hold TOKEN-ID TOKEN-ID --ttl 60 --invoice lnbc1…""",
)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE…")
@click.option(
    "--ttl", type=float, required=True, metavar="SECONDS",
    help="The time you need to pay: 1 second to 24 hours. Its end alone frees nothing.",
)  # fmt: skip
@npub_option
@mint_options
@click.option("--unit", default="sat", show_default=True, metavar="UNIT", help="sat or msat.")
@click.option(
    "--invoice", metavar="INVOICE", help="The invoice you pay; no other operation can pay it meanwhile."
)
@click.option("--wallet", metavar="ID", help="Wallet id inside the store.  [default: the npub]")
@click.option("--id", "transaction_id", metavar="ID", help="Your own id for the operation.")
@with_session
def hold(
    session: Session,
    sources: tuple[str, ...],
    ttl: float,
    npub: str,
    mint: str | None,
    simulated: bool,
    unit: str,
    invoice: str | None,
    wallet: str | None,
    transaction_id: str | None,
) -> int:
    """Reserve the tokens SOURCE… while a program of yours pays with them at the mint itself.

    If you paid, `nutstate record-melt` with "hold" in its file ends the hold. If you did not, `nutstate
    unhold` ends it. After --ttl `nutstate recover` asks the mint, and frees the tokens when the mint calls
    every proof UNSPENT twice.
    """
    url = chosen_mint(mint, simulated)
    with session.engine(mint_url=url) as (engine, _):
        handle = engine.hold(
            sources,
            ttl,
            npub=npub,
            wallet_id=wallet,
            mint_url=url,
            unit=unit,
            transaction_id=transaction_id,
            payment_request=invoice,
        )
        return result(session, handle, exit_code(handle, waiting=True))


@click.command(
    short_help="Free held tokens you did not pay with.",
    epilog="\b\nExample:\n  nutstate unhold tx_melt_1732264000000_0123456789abcdef01234567",
)
@click.argument("operation_id", metavar="ID")
@with_session
def unhold(session: Session, operation_id: str) -> int:
    """Free the tokens that `nutstate hold` reserved. You say that no payment was or will be made with them;
    no mint is asked. If you are not sure, wait until the hold is over: then `nutstate recover` asks the
    mint."""
    arguments.operation_id(operation_id)
    with session.engine() as (engine, _):
        session.seen.found(engine.operation(operation_id).record)
        handle = engine.unhold(operation_id)
        return result(session, handle, exit_code(handle, "unpaid"))
