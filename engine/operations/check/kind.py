"""The kind check: the result of a look at stored documents or proofs."""

from __future__ import annotations

from ....machines.check.table import CHECK
from ....storage.records import Operation
from ...loop.account import Account
from ...loop.kinds import Kind
from ..melt.effects.corrections import correct_spent
from ..shared import effects as shared
from . import effects as own
from . import reconcile as reconciled
from .data import CheckData, check_of
from .facts import check_facts


def _account(op: Operation) -> Account:
    """Change of a payment that was given up, and what was given up."""
    data = check_of(op)
    return Account(change=data.change_amount, loss=data.loss)


CHECK_KIND = Kind(
    machines=(CHECK,),
    started_by="the checks",
    facts=check_facts,
    data=CheckData,
    effects={
        "alarm": shared.alarm,
        "correct_spent": correct_spent,
        "drop_stranded": own.drop_stranded,
        "free_stranded": own.free_stranded,
        "record_loss": own.record_loss,
        "record_reason": shared.record_reason,
        "store_late_change": own.store_late_change,
    },
    account=_account,
    checks=reconciled.CHECKS,
)
