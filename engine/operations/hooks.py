"""What each kind of operation answers when the engine asks about one: its checks, its cost, its alarm.

A kind that is not listed here has none of these."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ...machines.check.table import CHECK
from ...machines.deposit.table import DEPOSIT
from ...machines.melt.table import MELT
from ...machines.mint.table import MINT
from ...storage.records import AuditRecord, Operation
from ...storage.secret import Secret
from ..checks.tally import NO_CHECKS, KindChecks
from ..loop.known import is_known
from .check import reconcile as check_reconcile
from .deposit import reconcile as deposit_reconcile
from .melt import outcome as melt_outcome
from .melt import reconcile as melt_reconcile
from .melt import sums as melt_sums
from .mint import outcome as mint_outcome
from .mint import reconcile as mint_reconcile

CHECKS: Mapping[str, KindChecks] = {
    MELT.name: melt_reconcile.CHECKS,
    MINT.name: mint_reconcile.CHECKS,
    DEPOSIT.name: deposit_reconcile.CHECKS,
    CHECK.name: check_reconcile.CHECKS,
}
COSTS: Mapping[str, Callable[[Operation], int | None]] = {MELT.name: melt_outcome.cost_of}
ALARMS: Mapping[str, Callable[[Operation], str | None]] = {
    MELT.name: melt_outcome.alarm_of,
    MINT.name: mint_outcome.alarm_of,
}

SUMS: Mapping[str, Callable[[Operation, Sequence[AuditRecord]], dict[str, int] | None]] = {
    MELT.name: melt_sums.sums_of
}
TO_PAY: Mapping[str, Callable[[Operation], Secret | None]] = {MINT.name: mint_outcome.to_pay}


def checks_of(op: Operation) -> KindChecks:
    """What the operation's kind adds to the checks of a reconciliation; nothing for an operation of a machine
    that this program does not have."""
    return NO_CHECKS if not is_known(op) else CHECKS.get(op.kind, NO_CHECKS)


def cost_of(op: Operation) -> int | None:
    """What the wallet lost to fees; None until that is known. 0 for a kind that costs nothing."""
    cost = COSTS.get(op.kind)
    return 0 if cost is None else cost(op)


def alarm_of(op: Operation) -> str | None:
    """The code of what is at stake while the operation is parked; None where nothing is."""
    alarm = ALARMS.get(op.kind)
    return None if alarm is None else alarm(op)


def sums_of(op: Operation, records: Sequence[AuditRecord]) -> dict[str, int] | None:
    """The parts into which the value of the operation's sources went. None while that is not decided yet, and
    for a kind that has no sources."""
    sums = SUMS.get(op.kind)
    return None if sums is None else sums(op, records)


def to_pay(op: Operation) -> Secret | None:
    """The invoice that a person has to pay now so that the operation goes on; None when there is none."""
    invoice = TO_PAY.get(op.kind)
    return None if invoice is None else invoice(op)
