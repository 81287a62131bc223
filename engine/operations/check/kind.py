"""The kind check: the result of a look at stored documents or proofs."""

from __future__ import annotations

from ....machines.check.table import CHECK
from ...loop.kinds import Kind
from ..melt.effects.corrections import correct_spent
from ..shared import effects as shared
from . import effects as own
from . import reconcile as reconciled
from .facts import check_facts

CHECK_KIND = Kind(
    machines=(CHECK,),
    started_by="the checks",
    facts=check_facts,
    effects={
        "alarm": shared.alarm,
        "correct_spent": correct_spent,
        "drop_stranded": own.drop_stranded,
        "free_stranded": own.free_stranded,
        "record_loss": own.record_loss,
        "record_reason": shared.record_reason,
        "store_late_change": own.store_late_change,
    },
    checks=reconciled.CHECKS,
)
