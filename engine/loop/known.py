"""The machine a stored operation runs under."""

from __future__ import annotations

from typing import Any

from ...machines.registry import UnknownMachine, released
from ...machines.spec import Machine
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
