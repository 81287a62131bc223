"""Rules for a recording with a hold: everything that is said twice must agree."""

from __future__ import annotations

from collections.abc import Iterable

from ....machines.record.table import RECORD
from ....storage.records import Operation, Token
from ....storage.secret import Secret
from ... import arguments
from ...errors import Refused
from .data import record_of

Request = tuple[Secret | None, str | None, int | None]


def named_sources(sources: object, hold: str | None, most: int) -> tuple[str, ...]:
    """The sources as they were named; with a hold they may be left out."""
    left_out = sources is None or (isinstance(sources, list | tuple) and not sources)
    if hold is not None and left_out:
        return ()
    return arguments.source_ids(() if sources is None else sources, most)


def checked_hold(op: Operation) -> Operation:
    """The operation, if it is a hold. Code NOT_HELD for any other operation."""
    if op.kind != RECORD.name or record_of(op).hold_until is None:
        raise Refused("this operation is not a hold", code="NOT_HELD", hold=op.id)
    return op


def in_wallet(op: Operation, wallet: str, url: str, unit: str) -> Operation:
    """The operation, if it is a hold of this wallet, mint and unit. Codes NOT_HELD, MINT_OR_UNIT_MISMATCH."""
    checked_hold(op)
    if (op.wallet_id, op.mint_url, op.unit) != (wallet, url, unit):
        raise Refused("the hold is of another wallet, mint or unit", code="MINT_OR_UNIT_MISMATCH")
    return op


def check_covers(tokens: Iterable[Token], asked: int | None) -> None:
    """A hold claims the invoice it names against all other operations, so it must be able to pay it."""
    total = sum(token.total_amount for token in tokens)
    if asked is not None and total < asked:
        raise Refused(
            f"the sources hold {total}, the invoice asks for {asked}",
            code="INSUFFICIENT_BALANCE",
            required=asked,
            available=total,
            shortfall=asked - total,
        )


def sources_of_hold(held: Operation, named: tuple[str, ...], transaction_id: str | None) -> tuple[str, ...]:
    """The sources of the hold; everything else that was said must agree with it."""
    if named and sorted(named) != sorted(held.policy.sources):
        raise Refused(
            "the sources are not exactly those that are held",
            code="HOLD_MISMATCH",
            hold=held.id,
            held=sorted(held.policy.sources),
        )
    if transaction_id not in (None, held.id):
        raise Refused("a recorded hold keeps its own transaction id", code="HOLD_MISMATCH", hold=held.id)
    return held.policy.sources


def request_of_hold(held: Operation, given: Request, unit: str) -> Request:
    """The invoice of the hold, unless it has none."""
    if held.payment_hash is None:
        return given
    if given[1] not in (None, held.payment_hash):
        raise Refused("the hold is for another invoice", code="HOLD_MISMATCH", hold=held.id)
    return arguments.payment_request(held.request, unit)


def same_hold(stored: Operation, op: Operation) -> bool:
    """Whether this very hold was made before: a replay after a lost answer."""
    one, other = (
        (o.npub, o.wallet_id, o.mint_url, o.unit, o.payment_hash, sorted(o.policy.sources))
        for o in (stored, op)
    )
    return stored.state == "held" and one == other
