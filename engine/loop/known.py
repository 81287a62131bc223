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
