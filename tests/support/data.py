"""The data of operations of the built-in kinds, as tests read and forge them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import attrs

from nutstate.engine.loop.own_data import changed
from nutstate.engine.operations.built_in import BUILT_IN
from nutstate.engine.operations.melt.data import MeltData
from nutstate.storage.records import Operation

_DEFAULTS = {
    name: value for kind in BUILT_IN for name, value in attrs.asdict(kind.data(), recurse=False).items()
}


def data_in(op: Operation) -> Any:
    """The data of the operation; a field that only other kinds have is at its default."""
    known = op.kind in BUILT_IN.names
    data = attrs.asdict(BUILT_IN.of(op).data_of(op), recurse=False) if known else {}
    return SimpleNamespace(**_DEFAULTS | data)


def with_fields(op: Operation, /, **changes: Any) -> Operation:
    """The operation with these values of its fields or of its data."""
    return changed(op, BUILT_IN.of(op).data if op.kind in BUILT_IN.names else MeltData, **changes)
