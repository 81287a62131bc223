"""The data of a swap."""

from __future__ import annotations

from attrs import frozen

from ....machines.shown import shown
from ....storage.records import InputRef, Operation
from ...loop.own_data import data_of
from ..shared.data import input_refs
from ..shared.exchange import Exchanging


@frozen(kw_only=True)
class SwapData(Exchanging):
    """The fields of a swap beside those of every exchange. The change is the value beyond the wanted
    amounts."""

    into: tuple[int, ...] = ()  # the amounts of the new tokens, in the unit
    swapped: tuple[InputRef, ...] = input_refs()  # the new tokens, once the mint has signed them

    __repr__ = shown

    @property
    def is_made(self) -> bool:
        return bool(self.swapped)


def swap_of(op: Operation) -> SwapData:
    """The data of an operation of kind swap."""
    return data_of(op, SwapData)
