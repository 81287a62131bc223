"""Fundings: ecash that the mint issues for a paid invoice."""

from __future__ import annotations

from collections.abc import Iterable

from ....machines.mint.table import MINT
from ....storage.port import Reader
from ....storage.records import Operation
from ...loop.drive import Run
from ...loop.kinds import Kind
from ...tokens.token_ids import minted_id
from ..shared import effects as shared
from . import actions
from . import effects as own
from . import reconcile as reconciled
from .data import MintData, mint_of
from .facts import mint_facts
from .last_look import look_at_outputs
from .outcome import account_of, alarm_of, raises, to_pay


def _awaited(op: Operation, reader: Reader) -> Iterable[str]:
    """The token that waits for the proofs."""
    return (minted_id(op.id),)


def _pause(run: Run, seconds: float) -> float:
    """A late payment is looked for ever more rarely: the longer it is unpaid, the less likely it comes."""
    settings = run.settings
    if run.operation.state != "lapsed":
        return seconds
    slow = max(settings.poll_max_s, actions.watched_ms(run) / 4000)
    return min(slow, max(settings.poll_max_s, settings.late_poll_max_h * 3600)) * run.jitter()


MINT_KIND = Kind(
    machines=(MINT,),
    started_by="Engine.mint_tokens",
    facts=mint_facts,
    data=MintData,
    actions={
        "ask_quote": actions.ask_quote,
        "ask_payment": actions.ask_payment,
        "post_mint": actions.post_mint,
        "restore_outputs": actions.restore_outputs,
    },
    effects={
        "alarm": shared.alarm,
        "count_refusal": own.count_refusal,
        "count_watch": own.count_watch,
        "expect_token": own.expect_token,
        "fail_token": own.fail_token,
        "issue_token": own.issue_token,
        "record_loss": own.record_loss,
        "record_reason": shared.record_reason,
        "reset_tries": shared.reset_tries,
        "restart_patience": shared.restart_patience,
        "stamp_paid": own.stamp_paid,
        "stamp_sent": shared.stamp_sent,
        "stamp_watch": shared.stamp_watch,
        "store_quote": own.store_quote,
        "write_outputs": own.write_outputs,
    },
    tokens=_awaited,
    watch_since=lambda op: mint_of(op).watch_since,
    pause=_pause,
    operator_looks={"write_off": look_at_outputs},
    alarm=alarm_of,
    account=account_of,
    raises=raises,
    to_pay=to_pay,
    checks=reconciled.CHECKS,
)
