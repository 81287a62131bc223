"""The outcome of a swap, its cost, and the amount at stake while a person must look."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from ....machines.swap.table import SWAP
from ....storage.catalogue import SWAP_FAILURE
from ....storage.errors import NutstateError
from ....storage.records import AuditRecord, Operation
from ...admission.rejected import rejected_error
from ...loop.account import Account
from ...loop.effect_context import inputs_total_of
from .data import swap_of


def cost_of(op: Operation) -> int | None:
    """The wallet's loss to fees: the input fee once the mint has signed, 0 when nothing was swapped. None
    until it is known."""
    data, state = swap_of(op), SWAP.by_name.get(op.state)
    if data.swapped:
        return data.input_fee
    known = op.finished_at is not None or (state is not None and state.frees)
    return 0 if known else None


def alarm_of(op: Operation) -> str | None:
    """CRITICAL_SWAP_FAILURE: the request may have been carried out."""
    return SWAP_FAILURE if op.sent_at is not None else None


def account_of(op: Operation) -> Account:
    """The numbers of the swap's money, and the tokens that it made."""
    data = swap_of(op)
    return attrs.evolve(data.account(), made=tuple(part.token_id for part in data.swapped))


def raises(op: Operation) -> NutstateError | None:
    """The stored reason of a refusal: nothing was sent."""
    return rejected_error(op) if op.state == "rejected" else None


def sums_of(op: Operation, records: Sequence[AuditRecord]) -> dict[str, int] | None:
    """Name and value of each part into which the sources went; together they are the sources. None while that
    is not decided yet, and for a swap that never had inputs."""
    data = swap_of(op)
    if data.swapped:
        made = sum(part.amount for part in data.swapped)
        parts = {"swapped": made, "input_fee": data.input_fee, "kept": data.keep_total}
        return parts | {"change": data.change_amount}
    if op.finished_at is None or not (op.inputs or data.stranded):
        return None
    parts = {"returned": inputs_total_of(op) - data.loss, "kept": data.keep_total}
    if data.stranded:
        parts["stranded"] = sum(part.amount for part in data.stranded)
    if data.loss:
        parts["loss"] = data.loss
    return parts
