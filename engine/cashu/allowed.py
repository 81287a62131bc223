"""Which mints may be asked because a token names them."""

from __future__ import annotations

from collections.abc import Callable

from ...storage.port import OperationQuery, Reader, TokenQuery
from ..errors import Refused
from .port import MintPort
from .wire.address import is_neighbour

Judge = Callable[[str], bool]


def check_allowed(
    reader: Reader,
    mint: MintPort,
    named: frozenset[str],
    judge: Judge | None,
    npub: str,
    mint_url: str,
) -> None:
    """Refuse a mint that only a token names (code MINT_NOT_ALLOWED). Nothing is asked.

    The maker of a token chooses the address in it, and so the host this program would connect to. Allowed are
    the addresses that are ``named`` in the settings, mints of which this wallet has tokens or operations, and
    mints that the program asked before with the same HTTP client: a caller named all these once. A ``judge``
    (``Engine(mint_allowed=…)``) may allow others, but never a private, loopback or link-local address."""
    if mint_url in named or _is_known(reader, mint, npub, mint_url):
        return
    neighbour = is_neighbour(mint_url)
    if judge is not None and not neighbour and judge(mint_url):
        return
    kind = "a private or local address" if neighbour else "not a mint this wallet has or the settings allow"
    raise Refused(
        f"the token names {mint_url}: {kind}; pass mint_url= if you want it to be asked",
        code="MINT_NOT_ALLOWED",
        mint_url=mint_url,
    )


def _is_known(reader: Reader, mint: MintPort, npub: str, mint_url: str) -> bool:
    has_asked = getattr(mint, "has_asked", None)
    if has_asked is not None and has_asked(mint_url):
        return True
    return bool(
        reader.tokens(TokenQuery(npub=npub, mint_url=mint_url, limit=1))
        or reader.operations(OperationQuery(npub=npub, mint_url=mint_url, limit=1))
    )
