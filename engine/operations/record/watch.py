"""The actions that watch held proofs and contested sources."""

from __future__ import annotations

from ....machines.send_clock import SendClock
from ....storage.records import Reason
from ...cashu.answers import reason_of
from ...cashu.port import Failure
from ...loop.drive import Happened, Pause, Result, Run
from ...loop.evidence import Evidence
from ...loop.look import ms
from ..shared.asked import ask_inputs
from .data import record_of


def watch_hold(run: Run) -> Result:
    """Nothing until the hold ends. Then the mint's word about the held proofs decides: SPENT parks it,
    UNSPENT twice and a settle window apart frees them, anything else waits."""
    data = record_of(run.operation)
    assert data.hold_until is not None
    left = (data.hold_until - run.judged_at()) / 1000
    if left > 0:
        return Pause(left)
    asked = ask_inputs(run)
    if isinstance(asked, Failure):
        reason = reason_of(asked, "held proofs")
        return Happened("mint_unreachable", Evidence(answer=asked, reason=reason))
    said = {state.state for state in asked}
    if "SPENT" in said:
        reason = Reason(
            "HOLD_SPENT",
            "the mint calls proofs of the hold SPENT, but no payment was recorded",
        )
        return Happened("hold_spent", Evidence(states=asked, reason=reason))
    evidence = Evidence(states=asked)
    if said != {"UNSPENT"}:
        return Happened("hold_seen_pending", evidence)
    for event in ("hold_over", "hold_seen_unspent"):
        if run.decide(event, evidence).accepted:
            return Happened(event, evidence)
    window, now = ms(run.settings.settle_window_s), run.judged_at()
    return Pause(SendClock.stamped(window, data.held_unspent_since or now, now).left_s + 0.01)


def watch_sources(run: Run) -> Result:
    """Whether everything a recorded payment needs has become free. Reads the store only."""
    op = run.operation
    holder = run.store.operation_by_claim(op.payment_hash) if op.payment_hash else None
    evidence = Evidence(claim_holder=holder.id if holder else None)
    if run.decide("sources_free", evidence).accepted:
        return Happened("sources_free", evidence)
    return Pause(run.back_off())
