"""The data of a receive."""

from __future__ import annotations

from attrs import frozen

from ....machines.shown import shown
from ....storage.records import InputRef, Operation
from ...loop.own_data import data_of
from ..shared.data import input_refs
from ..shared.exchange import Exchanging


@frozen(kw_only=True)
class ReceiveData(Exchanging):
    """The fields of a receive beside those of every exchange. ``request_body`` holds the proofs of the token
    with their witnesses; ``sources_total`` is their value."""

    proofs_hash: str = ""  # hash of the set of proofs: the same for every spelling of the token
    received: tuple[InputRef, ...] = input_refs()  # the new token, once the mint has signed it

    __repr__ = shown

    @property
    def is_made(self) -> bool:
        return bool(self.received)


def receive_of(op: Operation) -> ReceiveData:
    """The data of an operation of kind receive."""
    return data_of(op, ReceiveData)
