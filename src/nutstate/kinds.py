"""For kinds of operation of one's own: what a room of the engine is made of, in one place.

    from nutstate.kinds import BUILT_IN, Kind
    from nutstate.machines.spec import Machine, State, edges

docs/own-operation.md is the guide, and ``examples/own_operation.py`` a whole kind.
"""

from __future__ import annotations

from .engine.errors import KindInvalid
from .engine.loop.children import Child, Children
from .engine.loop.drive import CommitFirst, Happened, Pause, Result, Run
from .engine.loop.effect_context import EffectContext, new_token
from .engine.loop.evidence import Evidence
from .engine.loop.foreseen import Foreseen
from .engine.loop.kinds import Kind, Kinds
from .engine.loop.look import Elapsed, Look
from .engine.loop.own_data import NoData
from .engine.operations.built_in import BUILT_IN
from .engine.operations.shared.effects import alarm, record_reason, restart_patience
from .machines.common_guards import drives_fail, operator_gave_reason
from .machines.common_words import ALARM, RECORD_REASON, RESTART_PATIENCE
from .storage.errors import NotAsWritten
from .storage.read_back import ReadBack
from .storage.records import Reason

__all__ = [
    "ALARM",
    "BUILT_IN",
    "RECORD_REASON",
    "RESTART_PATIENCE",
    "Child",
    "Children",
    "CommitFirst",
    "EffectContext",
    "Elapsed",
    "Evidence",
    "Foreseen",
    "Happened",
    "Kind",
    "KindInvalid",
    "Kinds",
    "Look",
    "NoData",
    "NotAsWritten",
    "Pause",
    "ReadBack",
    "Reason",
    "Result",
    "Run",
    "alarm",
    "drives_fail",
    "new_token",
    "operator_gave_reason",
    "record_reason",
    "restart_patience",
]
