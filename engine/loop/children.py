"""Operations that an action of another operation starts and waits for.

The child's id is derived from the parent's, so the commit of the parent that lets the child start names it.
After a crash every driver of the parent finds the same child. The child is an operation of its own: it has
its own lease, and recovery finishes it even if the parent's kind is unknown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Literal

from attrs import field, frozen

from ...storage.records import Operation, Reason
from ..tokens.ids import LENGTH_MAX, validate_transaction_id

Outcome = Literal["paid", "unpaid", "open", "parked"]


def child_id(parent: Operation, name: str) -> str:
    """The transaction id of the child with this name: that of the parent and the name, or a hash of both
    where they are too long for an id. Code INVALID_FORMAT for a name that does not fit into an id."""
    whole = f"{parent.id}.{name}"
    if len(whole) > LENGTH_MAX:
        validate_transaction_id(f"tx_child_.{name}"[:LENGTH_MAX])
        return f"tx_child_{hashlib.sha256(whole.encode()).hexdigest()}"
    return validate_transaction_id(whole)


@frozen
class Child:
    """A child as it stands now.

    ``outcome`` is one of ``paid`` (it did what it was for), ``unpaid`` (it ended, and nothing was paid),
    ``open`` (look again later) and ``parked`` (it waits for a person). ``operation`` is None when nothing was
    stored; ``reason`` says why it is unpaid, or why it cannot start yet. Where another operation has the id
    of the child, the child is unpaid, with code DUPLICATE_TRANSACTION_ID."""

    outcome: Outcome
    operation: Operation | None = field(default=None, repr=False)
    reason: Reason | None = None


@frozen
class Children:
    """Starts children and reads how they stand. Each call returns at once if the mint does."""

    melt_with: Callable[[Operation, str, Mapping[str, Any]], Child]
    start_with: Callable[[Operation, str, str, Mapping[str, Any]], Child]

    def melt(self, parent: Operation, *, invoice: object, name: str = "melt", **options: Any) -> Child:
        """Pay an invoice from the parent's wallet: the child melt as it stands. The same call again returns
        the same child. ``options`` are those of :meth:`Engine.melt` (``fee_max``, ``sources``,
        ``on_unpaid``); owner, mint, unit and wallet are the parent's."""
        return self.melt_with(parent, name, {"invoice": invoice, **options})

    def start(self, parent: Operation, kind: str, *, name: str = "", **options: Any) -> Child:
        """Start an operation of a kind of one's own as a child. ``options`` are those of
        :meth:`Engine.start`."""
        return self.start_with(parent, kind, name or kind, options)
