"""The numbers of an operation's money, whatever its kind."""

from __future__ import annotations

from attrs import field, frozen

from ...storage.records import Payment


@frozen(kw_only=True)
class Account:
    """The numbers of one operation, in its unit. 0 or None where its kind has no such number."""

    sources: int = 0  # value of the whole tokens that were chosen
    fee_reserve: int = 0
    input_fee: int = 0
    kept: int = 0  # untouched proofs of the sources, in a token of their own
    change: int = 0
    fence_fee: int = 0  # what the mint took for swapping the inputs to ourselves
    stranded: int = 0  # inputs that the mint will not take
    loss: int = 0
    made: tuple[str, ...] = ()  # ids of the tokens that it made for its caller
    payment: Payment | None = field(default=None, repr=False)  # set once it is proven that it was paid
    proven_by: str | None = None  # who says that it was paid: mint | caller


NOTHING = Account()
