"""The machine a stored operation runs under."""

from __future__ import annotations

from typing import Any, cast

from ...machines.registry import UnknownMachine, released
from ...machines.spec import Machine, State
from ...storage.errors import StoreUnsupported
from ...storage.records import Operation


def is_known(op: Operation) -> bool:
    """Whether this program has the machine that the operation runs under. Only then can it be driven; it can
    be read in any case."""
    try:
        machine_of(op)
    except StoreUnsupported:
        return False
    return True


def machine_of(op: Operation) -> Machine[Any]:
    """Exactly the version that the operation was started under. Code UNKNOWN_MACHINE when this program does
    not have it: another release, or another service, made the operation."""
    ref = op.machine
    try:
        return released(ref.name, ref.version, ref.hash)
    except UnknownMachine as error:
        raise StoreUnsupported(str(error.args[0]), code="UNKNOWN_MACHINE", operation_id=op.id) from None


def state_of(op: Operation) -> State:
    """What is known of the state that the operation is in: what its machine declares, and of a machine that
    this program does not have what the operation stores itself (its kind, and how it ends)."""
    try:
        return machine_of(op).state(op.state)
    except StoreUnsupported:
        return State(op.state, "", cast(Any, op.kind_of_state), ends=cast(Any, op.ends))


def waits_for_confirmation(op: Operation) -> bool:
    """Whether the operation was asked for in two steps and waits for the second one."""
    return op.policy.two_step and state_of(op).waits_for == "confirmation"


def waits_for_caller(op: Operation) -> bool:
    """Whether only the next call of the caller moves the operation."""
    return waits_for_confirmation(op) or state_of(op).waits_for == "caller"
