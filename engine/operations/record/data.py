"""The data of a melt that the caller makes itself."""

from __future__ import annotations

from attrs import frozen

from ....storage.records import InputRef, Operation
from ...loop.own_data import data_of
from ..shared.data import Paying, input_refs, time


@frozen(kw_only=True)
class RecordData(Paying):
    """The fields of such a melt beside those that every operation has. ``request_body`` names the consumed
    proofs of a payment whose sources were not free."""

    contested: tuple[InputRef, ...] = input_refs()  # sources of a recorded payment that were not free
    hold_until: int | None = time()  # sources are held for a payment that the caller makes
    recorded_hash: str | None = None  # fingerprint of what a recorded payment kept and got back


def record_of(op: Operation) -> RecordData:
    """The data of an operation of kind record."""
    return data_of(op, RecordData)
