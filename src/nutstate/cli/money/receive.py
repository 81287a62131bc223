"""``receive``: exchange a token for coins of the wallet."""

from __future__ import annotations

from pathlib import Path

import click

from ...engine import arguments
from ...engine.cashu.coins.token_codec import InvalidToken, decode_token
from ...engine.errors import InvalidArgument
from ...storage.secret import Secret
from ..context import npub_option, wait_option, with_session
from ..operators.render import exit_code, result
from ..session import Session
from .melt import follow_states
from .wallet import check_common, read_token

_KEY_CHARS_MAX = 200


def _lines(file: Path) -> list[Secret]:
    """The lines of a file that holds keys, without comments."""
    try:
        with file.open(encoding="ascii") as opened:
            text = opened.read(_KEY_CHARS_MAX * 20)
    except UnicodeDecodeError:
        raise InvalidArgument(
            "private_keys must be keys of 32 bytes in hex, one a line", code="INVALID_PRIVATE_KEY"
        ) from None
    except OSError as error:
        raise click.UsageError(f"{file}: {error.strerror}") from None
    return [Secret(line.strip()) for line in text.splitlines() if line.strip()]


@click.command(
    short_help="Exchange a Cashu token for coins of the wallet.",
    epilog="""\b
Examples:
  nutstate receive - --npub npub1… < token.txt
  nutstate receive --file token.txt --npub npub1… --mint https://mint.example
  nutstate receive - --private-key-file key.txt --json < locked.txt""",
)
@click.argument("token", required=False)
@click.option(
    "--file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
    help="Read the token from this file.",
)  # fmt: skip
@npub_option
@click.option("--mint", metavar="URL", help="The token's mint; needed when the wallet does not have it yet.")
@click.option(
    "--private-key-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
    help="Private keys that unlock the token (NUT-11), in hex, one a line. They are not stored.",
)  # fmt: skip
@click.option(
    "--preimage-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
    help="The preimage that unlocks the token (NUT-14), in hex.",
)  # fmt: skip
@click.option(
    "--require-dleq", is_flag=True,
    help="Take only proofs that show, without asking the mint, that it signed them (NUT-12).",
)  # fmt: skip
@wait_option(60, "How long to wait for the end; the operation goes on afterwards.")
@click.option("--wallet", metavar="ID", help="Wallet id inside the store.  [default: the npub]")
@click.option("--id", "transaction_id", metavar="ID", help="Your own id for the operation.")
@click.option("--key", metavar="TEXT", help="Idempotency key: the same key receives once.")
@with_session
def receive(
    session: Session,
    token: str | None,
    file: Path | None,
    npub: str,
    mint: str | None,
    private_key_file: Path | None,
    preimage_file: Path | None,
    require_dleq: bool,
    wait: float,
    wallet: str | None,
    transaction_id: str | None,
    key: str | None,
) -> int:
    """Exchange a Cashu TOKEN (cashuA… or cashuB…, also as cashu: or in an address) for coins of the wallet.

    Nothing is credited before the mint has signed new coins, so the giver cannot spend them any more. A token
    is money: as an argument it ends up in the shell's history and in the list of processes, so prefer -
    (standard input) or --file. The mint takes its input fee. An interruption loses nothing: `nutstate
    recover` goes on. The same token again shows the first operation."""
    text = read_token(token, file)
    check_common(npub, wallet, transaction_id, key)
    arguments.seconds(wait, "wait")
    if mint is not None:
        arguments.mint_url(mint)
    keys = [] if private_key_file is None else _lines(private_key_file)
    preimages = [] if preimage_file is None else _lines(preimage_file)
    if preimage_file is not None and len(preimages) != 1:
        raise InvalidArgument("the file must hold one preimage", code="INVALID_PREIMAGE")
    try:
        mint_url = arguments.mint_url(decode_token(text).mint_url)
    except InvalidToken as error:
        raise InvalidArgument(f"not a Cashu token: {error}", code="INVALID_TOKEN") from None
    with session.engine(create=True, mint_url=mint_url) as (engine, _):
        with session.out.working("asking the mint …") as working:
            follow_states(session, working)
            handle = engine.receive(
                npub,
                text,
                mint_url=mint,
                private_keys=keys,
                preimage=preimages[0] if preimages else None,
                require_dleq=require_dleq,
                wallet_id=wallet,
                transaction_id=transaction_id,
                idempotency_key=key,
                wait_s=wait,
            )
        return result(session, handle, exit_code(handle))
