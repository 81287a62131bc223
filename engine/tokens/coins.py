"""Coins of a wallet whose keyset their mint no longer honours."""

from __future__ import annotations

from collections.abc import Sequence

from ...machines.token.states import STRANDED, UNSPENT
from ...machines.token.table import TOKEN
from ...storage.port import Held, HeldCoins, Reader, Store
from ...storage.records import Operation
from ..cashu.keysets import Keysets, MintSilent

OWNED = tuple(state.name for state in TOKEN.states if state.kind == "live")
"""States of what a wallet owns now. Its spent tokens only grow in number."""


def balance_of(
    store: Store, keysets: Keysets, npub: str, mint_url: str | None, ask_mints: bool, spent: bool
) -> dict[tuple[str, str], dict[str, int]]:
    """Value by mint and unit, and by state. Unspent coins that their mint no longer honours count as
    ``stranded``: as far as is remembered, or, with ``ask_mints``, as the mints say now. Of a mint that does
    not answer what is remembered counts. Without ``spent`` no token is read that is no money any more."""
    with store.snapshot() as moment:
        held = moment.balance(npub, mint_url, () if spent else OWNED)
        mints = {h.mint_url for h in held if h.state == UNSPENT and h.amount}
        telling = ask_mints or any(keysets.knows_refused(name) for name in mints)
        coins = moment.coins_by_keyset(npub, mint_url) if mints and telling else ()
    asked = {name for name in mints if ask_mints and _answers(keysets, name)}
    refused = [
        coin
        for coin in coins
        if coin.state == UNSPENT
        and keysets.known_refused(coin.mint_url, coin.unit, coin.keyset_id, just_read=coin.mint_url in asked)
    ]
    return _by_wallet(held, refused)


def _by_wallet(held: Sequence[Held], refused: Sequence[HeldCoins]) -> dict[tuple[str, str], dict[str, int]]:
    wallets: dict[tuple[str, str], dict[str, int]] = {}
    for h in held:
        states = wallets.setdefault((h.mint_url, h.unit), {})
        states[h.state] = states.get(h.state, 0) + h.amount
    for coin in refused:
        states = wallets[coin.mint_url, coin.unit]
        states[UNSPENT] -= coin.amount
        states[STRANDED] = states.get(STRANDED, 0) + coin.amount
    return wallets


def _answers(keysets: Keysets, mint_url: str) -> bool:
    try:
        keysets.listed(mint_url, refresh=True)
    except MintSilent:
        return False
    return True


def stranded_value(reader: Reader, keysets: Keysets, op: Operation) -> int:
    """The sum of the coins of the operation's wallet that the mint will not take: those in state
    ``stranded``, and unspent ones of keysets it no longer honours. Raises MintSilent."""
    coins = [
        coin for coin in reader.coins_by_keyset(op.npub, op.mint_url, op.wallet_id) if coin.unit == op.unit
    ]
    honoured = keysets.honoured_fees(op.mint_url, op.unit, [coin.keyset_id for coin in coins])
    return sum(coin.amount for coin in coins if coin.state == STRANDED or coin.keyset_id not in honoured)
