"""Change that the mint owes: its payment is proven, and the change is not stored yet."""

from __future__ import annotations

from collections.abc import Iterator

from .....machines.melt.table import MELT
from .....storage.errors import CorruptRecord
from .....storage.port import OperationQuery, Reader
from .....storage.records import Operation
from ..data import melt_of

_PAGE = 1000


def without_change(moment: Reader, op: Operation) -> Iterator[Operation]:
    """Melts of the operation's wallet that the mint has proven paid and whose change is not stored yet: their
    inputs are spent, and their change is no token yet."""
    query = OperationQuery(
        npub=op.npub, kind=MELT.name, mint_url=op.mint_url, states=("paid", "attention"), limit=_PAGE
    )
    for paid in moment.operations(query):
        if (paid.wallet_id, paid.unit) != (op.wallet_id, op.unit):
            continue
        try:
            data = melt_of(paid)
        except CorruptRecord:
            continue  # of a newer release, or told of by a sweep
        if data.payment is not None and data.change_token_id is None:
            yield paid
