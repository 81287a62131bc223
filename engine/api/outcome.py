"""The outcome of an operation: one of four words, the cost, and the typed errors that say so."""

from __future__ import annotations

from typing import Any

from ...storage.records import Operation
from ..errors import NeedsPerson, NotPaid, StillOpen
from ..loop.kinds import Kinds


def outcome_of(op: Operation, kinds: Kinds) -> str:
    """paid, unpaid, open or parked (see :attr:`Handle.outcome`)."""
    state = kinds.state_of(op)
    if state.ends == "good" or kinds.account_of(op).payment is not None:
        return "paid"
    if state.ends == "unpaid" or (state.kind == "live" and state.frees):
        return "unpaid"  # watched: the engine still looks at the sent request, but its inputs are free
    return "open" if state.kind == "live" else "parked"


def insist_on_paid(op: Operation, outcome: str) -> None:
    """Raise unless the operation is paid. Codes NOT_PAID, OUTCOME_PARKED, OUTCOME_OPEN for every other
    outcome."""
    if outcome == "paid":
        return
    details: dict[str, Any] = {
        "operation_id": op.id,
        "state": op.state,
        "reason": op.reason.code if op.reason is not None else None,
    }
    if outcome == "unpaid":
        raise NotPaid(f"the operation ended {op.state} and paid nothing; a new attempt is allowed", **details)
    if outcome == "parked":
        raise NeedsPerson(f"the operation is {op.state} and needs a person; pay nothing elsewhere", **details)
    raise StillOpen(
        f"the outcome is not known yet (state {op.state}); pay nothing elsewhere: the same call or recover "
        "goes on with it",
        **details,
    )
