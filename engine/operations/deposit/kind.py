"""Deposits: proofs that the caller hands in."""

from __future__ import annotations

from ....machines.deposit.table import DEPOSIT
from ...loop.kinds import Kind
from . import reconcile as reconciled
from .effects import store_deposit
from .facts import deposit_facts

DEPOSIT_KIND = Kind(
    machines=(DEPOSIT,),
    started_by="Engine.deposit",
    facts=deposit_facts,
    effects={"store_deposit": store_deposit},
    checks=reconciled.CHECKS,
)
