"""The data of a funding."""

from __future__ import annotations

from attrs import field, frozen

from ....storage.records import Fence, Operation, Output
from ....storage.secret import Secret
from ...loop.own_data import data_of
from ..shared.data import number, time


@frozen(kw_only=True)
class MintData:
    """The fields of a funding beside those that every operation has. ``request_body`` are the bytes of the
    request, stored before it is sent."""

    blanks: tuple[Output, ...] = field(default=(), repr=False)  # the outputs that are sent
    request_body: Secret | None = None
    fences: tuple[Fence, ...] = field(default=(), repr=False)  # outputs of earlier tries
    refusals: int = number()  # of the outputs that are stored now
    paid_seen_at: int | None = time()  # first answer that the invoice is PAID
    watch_since: int | None = time()
    watched_ms: int = number()  # how long a late payment had been watched for at watch_since
    loss: int = number()


def mint_of(op: Operation) -> MintData:
    """The data of an operation of kind mint."""
    return data_of(op, MintData)
