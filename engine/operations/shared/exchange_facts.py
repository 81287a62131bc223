"""The facts that swap and receive gather alike: from the draft, the evidence and the clock."""

from __future__ import annotations

from typing import Any

from ....storage.records import Operation
from ...loop.look import Look, ms
from ...settings import Settings
from .exchange import Exchanging
from .exchanging import clear_refusal


def exchange_facts(look: Look, data: Exchanging) -> dict[str, Any]:
    """The facts of an exchange: the operation as staged, the evidence in hand, and the clock."""
    op, evidence, settings = look.operation, look.evidence, look.settings
    sent = look.elapsed.send_clock
    return {
        "now": look.now,
        "amount": op.amount,
        "amount_max": settings.amount_max,
        "input_count_max": settings.proofs_per_operation_max,
        "preflight_asked": evidence.preflight_spent is not None,
        "preflight_blocked_count": len(evidence.preflight_spent or ()),
        "output_amounts": tuple(output.amount for output in evidence.outputs),
        "mint_can_restore": evidence.mint_can_restore,
        "sendings": op.attempts,
        "sendings_max": settings.swap_tries_max,
        "since_last_send_ms": sent.since_ms,
        "settle_window_ms": sent.window_ms,
        "refusal_kind": clear_refusal(evidence),
        "refused_for": data.refused_for,
        "held_unspent_since": data.held_unspent_since,
        "refusal_window_ms": ms(settings.refusal_window_s),
        "outputs_verified": evidence.proofs_verified,
        "signed_total": sum(proof.amount for proof in evidence.proofs or ()),
        "outputs_total": sum(output.amount for output in data.blanks) if data.blanks else None,
        "restored_none": evidence.restored_none,
        "watch_since": data.watch_since,
        "watch_window_ms": ms(settings.watch_window_h, 3_600_000),
        "failures": op.failures,
        "failures_max": settings.drive_failures_max,
        "discrepancies": len(evidence.discrepancies),
        "checks_performed": evidence.checks_performed,
        "operator_reason": evidence.operator_reason,
        "forced": evidence.forced,
        **_patience(op, data, settings),
        **_said_of_inputs(look, data),
    }


def _patience(op: Operation, data: Exchanging, settings: Settings) -> dict[str, int]:
    """From when patience counts, and how long it lasts: from the beginning, unless an operator sent it back
    to work since; a watch has its own time first. The same bytes sent again do not count it anew."""
    lasts, since = ms(settings.unknown_age_max_h, 3_600_000), op.created_at
    if data.watch_since is not None:
        since, lasts = data.watch_since, lasts + ms(settings.watch_window_h, 3_600_000)
    return {"unresolved_since": max(since, op.resumed_at or 0), "unknown_age_max_ms": lasts}


def _said_of_inputs(look: Look, data: Exchanging) -> dict[str, Any]:
    """The number of proofs in the stored request, and the mint's answer about them."""
    facts: dict[str, Any] = {"input_count": len(data.sent_keys())}
    if look.evidence.states is not None:
        facts["input_states"] = frozenset(state.state for state in look.evidence.states)
        facts["inputs_asked"] = len(look.evidence.states)
    return facts
