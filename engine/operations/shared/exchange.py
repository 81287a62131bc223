"""The data of a request that exchanges inputs for outputs at the mint (NUT-03): a swap, or a receive."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import field, frozen

from ....machines.shown import shown
from ....storage.records import Output
from .data import Paying, time


@frozen(kw_only=True, slots=False)
class Exchanging(Paying):
    """The fields of an exchange. ``request_body`` are the bytes of the request, stored before it is sent."""

    blanks: tuple[Output, ...] = field(default=(), repr=False)  # the outputs, in the order of the new tokens
    refused_for: str | None = None  # the mint refused the only sending: coin | keyset | request
    watch_since: int | None = time()

    __repr__ = shown

    @property
    def is_made(self) -> bool:
        """Whether the new tokens are stored."""
        return False

    def was_taken_late(self) -> bool:
        """Whether the mint carried the request out after it was told that it would not."""
        return self.watch_since is not None and self.is_made


def as_sent(outputs: Sequence[Output]) -> tuple[Output, ...]:
    """The outputs in the order in which they are sent. It is that of their amounts (NUT-03), so that the mint
    cannot tell one new token from another."""
    return tuple(sorted(outputs, key=lambda output: (output.amount, output.B_)))
