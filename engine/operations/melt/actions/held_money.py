"""Money of a wallet beside its free coins: money that its other operations hold, and change owed to it."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
from attrs import frozen

from .....machines.money import owed_max
from .....machines.token.states import RESERVED
from .....storage.port import Reader, TokenQuery
from .....storage.records import Operation, Token
from ....loop.effect_context import inputs_total_of
from ....loop.kinds import Kinds
from ..data import melt_of
from .owed import without_change

HOLDERS_MAX = 100
_PAGE = 1000


@frozen
class HeldMoney:
    """Tokens that other operations of the wallet reserve, change that its paid melts wait for (in the
    unit), and the ids of all these operations."""

    tokens: tuple[Token, ...]
    owed: int
    holders: tuple[str, ...]


def held_money(moment: Reader, op: Operation) -> HeldMoney:
    """The money of this operation's wallet that cannot be spent at this moment."""
    tokens = tuple(_reserved(moment, op))
    waiting = [paid for paid in without_change(moment, op) if paid.id != op.id]
    holders = {token.reserved_by for token in tokens} | {paid.id for paid in waiting}
    owed = sum(owed_max(inputs_total_of(paid), paid.amount, melt_of(paid).input_fee) for paid in waiting)
    return HeldMoney(tokens, owed, tuple(sorted(name for name in holders if name is not None)))


def expected_release(reader: Reader, kinds: Kinds, holders: tuple[str, ...], now: int) -> int | None:
    """When the first of these operations may let go of its money (epoch ms): one that waits for its caller
    at its end, a running one when it is looked at next. None if all of them wait for a person."""
    found = [reader.operation(name) for name in holders[:HOLDERS_MAX]]
    moments = [_release_of(op, kinds, now) for op in found if op is not None]
    return min((moment for moment in moments if moment is not None), default=None)


def _release_of(op: Operation, kinds: Kinds, now: int) -> int | None:
    state = kinds.state_of(op)
    if state.kind == "parked":
        return None
    if state.waits_for == "caller":
        return kinds.waits_until(op)
    if state.waits_for == "confirmation" and op.quote is not None:
        return op.quote.expires_at
    return max(now, op.next_check_at or now)


def _reserved(moment: Reader, op: Operation) -> Iterator[Token]:
    query = TokenQuery(
        npub=op.npub, wallet_id=op.wallet_id, mint_url=op.mint_url, unit=op.unit,
        states=(RESERVED,), limit=_PAGE,
    )  # fmt: skip
    while True:
        page = moment.tokens(query)
        yield from (token for token in page if token.reserved_by != op.id)
        if len(page) < query.limit:
            return
        query = attrs.evolve(query, after=page[-1].transaction_id)
