"""Effects that the tables of several kinds name."""

from __future__ import annotations

from ....storage.records import Reason
from ...loop.effect_context import EffectContext


def record_reason(context: EffectContext) -> None:
    """Keep why: the operator's word where it decides or nothing else says why, else what was found. The
    audit record has both."""
    reason, event = context.evidence.reason, context.decision.event
    origins = {known.name: known.origin for known in context.draft.machine.events}
    decides = reason is None or origins[event] not in ("mint", "clock")
    if context.evidence.operator_reason and decides:
        reason = Reason(f"OPERATOR_{event.upper()}", context.evidence.operator_reason)
    context.draft.set(reason=reason)


def stamp_sent(context: EffectContext) -> None:
    """Note when the request may leave, and which worker sends it."""
    context.draft.set(
        sent_at=context.now, sent_by=context.worker, attempts=context.draft.operation.attempts + 1
    )


def stamp_watch(context: EffectContext) -> None:
    """Note when the watch for a late payment begins."""
    context.set_data(watch_since=context.now)


def restart_patience(context: EffectContext) -> None:
    context.draft.set(resumed_at=context.now)


def reset_tries(context: EffectContext) -> None:
    context.draft.set(attempts=0)


def drop_claim(context: EffectContext) -> None:
    """Give the payment hash free."""
    context.draft.set(claim=None)


def stamp_unspent(context: EffectContext) -> None:
    """Note when the mint first called every input UNSPENT."""
    context.set_data(held_unspent_since=context.now)


def forget_unspent(context: EffectContext) -> None:
    """Forget when the mint called the inputs UNSPENT."""
    context.set_data(held_unspent_since=None)


def alarm(context: EffectContext) -> None:
    """Nothing is written here: the effect's name makes the audit record and the log line CRITICAL."""
