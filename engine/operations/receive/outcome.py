"""The outcome of a receive, its cost, and what is told while a person must look."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from ....storage.catalogue import RECEIVE_FAILURE
from ....storage.records import AuditRecord, Operation
from ...loop.account import Account
from .data import receive_of


def cost_of(op: Operation) -> int | None:
    """The mint's input fee, once the token is received; 0 when it was not. None until it is known."""
    data = receive_of(op)
    if data.received:
        return data.input_fee
    return 0 if op.finished_at is not None or data.watch_since is not None else None


def alarm_of(op: Operation) -> str | None:
    """CRITICAL_RECEIVE_FAILURE: the request may have been carried out."""
    return RECEIVE_FAILURE if op.sent_at is not None else None


def account_of(op: Operation) -> Account:
    """The numbers of the token's money, and the token that was made."""
    data = receive_of(op)
    return attrs.evolve(data.account(), made=tuple(part.token_id for part in data.received))


def sums_of(op: Operation, records: Sequence[AuditRecord]) -> dict[str, int] | None:
    """Name and value of each part into which the token went; together they are its value. None while that is
    not decided yet, and for a token that was not received."""
    data = receive_of(op)
    if not data.received:
        return None
    return {"received": sum(part.amount for part in data.received), "input_fee": data.input_fee}
