"""The machine a stored operation runs under."""

from __future__ import annotations

from typing import Any

from ...machines.registry import UnknownMachine, released
from ...machines.spec import Machine
from ...storage.errors import StoreUnsupported
from ...storage.records import Operation


def machine_of(op: Operation) -> Machine[Any]:
    """Exactly the version the operation was started under. Code UNKNOWN_MACHINE: a newer release made it."""
    ref = op.machine
    try:
        return released(ref.name, ref.version, ref.hash)
    except UnknownMachine as error:
        raise StoreUnsupported(str(error.args[0]), code="UNKNOWN_MACHINE", operation_id=op.id) from None


def waits_for_confirmation(op: Operation) -> bool:
    """Whether the operation was asked for in two steps and waits for the second one."""
    return op.policy.two_step and machine_of(op).state(op.state).waits_for == "confirmation"


def waits_for_caller(op: Operation) -> bool:
    """Whether only the next call of the caller moves the operation."""
    return waits_for_confirmation(op) or machine_of(op).state(op.state).waits_for == "caller"


def ended(op: Operation) -> str:
    """How the operation ended: good, unpaid or lost. Empty while it has not ended, and where its machine does
    not say."""
    return str(machine_of(op).state(op.state).ends)
