"""The data of a swap."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import field, frozen

from ....machines.shown import shown
from ....storage.records import InputRef, Operation, Output
from ...loop.own_data import data_of
from ..shared.data import Paying, input_refs, time


@frozen(kw_only=True)
class SwapData(Paying):
    """The fields of a swap beside those that every operation has. ``request_body`` are the bytes of the
    request, stored before it is sent. The change is the value beyond the wanted amounts."""

    blanks: tuple[Output, ...] = field(default=(), repr=False)  # the outputs, in the order of the new tokens
    into: tuple[int, ...] = ()  # the amounts of the new tokens, in the unit
    swapped: tuple[InputRef, ...] = input_refs()  # the new tokens, once the mint has signed them
    refused_for: str | None = None  # the mint refused the only sending: coin | keyset | request
    watch_since: int | None = time()

    __repr__ = shown

    def was_taken_late(self) -> bool:
        """Whether the mint carried the request out after the inputs had been freed on its word."""
        return self.watch_since is not None and bool(self.swapped)


def swap_of(op: Operation) -> SwapData:
    """The data of an operation of kind swap."""
    return data_of(op, SwapData)


def as_sent(outputs: Sequence[Output]) -> tuple[Output, ...]:
    """The outputs in the order in which they are sent. It is that of their amounts (NUT-03), so that the mint
    cannot tell the wanted coins from the rest."""
    return tuple(sorted(outputs, key=lambda output: (output.amount, output.B_)))
