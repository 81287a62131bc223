"""The data of a melt."""

from __future__ import annotations

from attrs import field, frozen

from ....machines.shown import shown
from ....storage.evolve import evolve
from ....storage.records import Fence, Operation, Output
from ...loop.account import Account
from ...loop.own_data import data_of
from ..shared.data import Paying, number, time


@frozen(kw_only=True, slots=False)
class MeltData(Paying):
    """The fields of a melt beside those that every operation has. ``request_body`` are the bytes of the
    request, stored before it is sent."""

    fee_reserve: int = number()
    blanks: tuple[Output, ...] = field(default=(), repr=False)
    fences: tuple[Fence, ...] = field(default=(), repr=False)
    fenced_token_id: str | None = None
    fence_fee: int = number()  # what the mint took for swapping the inputs to ourselves
    change_empty_since: int | None = time()  # first answer that there is no change
    watch_since: int | None = time()
    refused_for: str | None = None  # the mint refused our only sending: payment | inputs | limit
    surplus: int = number()  # change beyond what was owed

    __repr__ = shown

    def was_taken_late(self) -> bool:
        """Whether the mint paid, or signed a fence, after the inputs had been freed on its word."""
        return self.watch_since is not None and (self.fenced_token_id or self.payment) is not None

    def account(self) -> Account:
        """The numbers of the melt's money."""
        return evolve(super().account(), fee_reserve=self.fee_reserve, fence_fee=self.fence_fee)


def melt_of(op: Operation) -> MeltData:
    """The data of an operation of kind melt."""
    return data_of(op, MeltData)
