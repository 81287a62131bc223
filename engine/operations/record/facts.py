"""Facts of a melt that the caller makes itself, from the draft, the evidence and the clock."""

from __future__ import annotations

from typing import Any

from ....machines.record.facts import RecordFacts
from ....storage.records import Operation
from ...loop.draft import Draft
from ...loop.effect_context import consumed_tokens, is_free
from ...loop.evidence import Evidence
from ...loop.look import Look, ms
from ...settings import Settings
from .data import RecordData, record_of


def record_facts(look: Look) -> RecordFacts:
    """The facts of the record machine: the operation as staged, the evidence in hand, and the clock."""
    draft, evidence, settings = look.draft, look.evidence, look.settings
    op, data = draft.operation, record_of(draft.operation)
    facts: dict[str, Any] = {
        "now": look.now,
        "operation_id": op.id,
        "owner": op.npub,
        "wallet": (op.wallet_id, op.mint_url, op.unit),
        "claim_holder": op.id if op.claim else evidence.claim_holder,
        "payment_recorded": data.payment is not None,
        "hold_until": data.hold_until,
        "hold_max_ms": ms(settings.hold_max_h, 3_600_000),
        "held_unspent_since": data.held_unspent_since,
        "settle_window_ms": ms(settings.settle_window_s),
        "failures": op.failures,
        "failures_max": settings.drive_failures_max,
        "checks_performed": evidence.checks_performed,
        "discrepancies": len(evidence.discrepancies),
        "operator_reason": evidence.operator_reason,
        "forced": evidence.forced,
        **_patience(op, data, settings),
        **_sources(draft, evidence),
        **_told(draft, evidence),
    }
    return RecordFacts(**facts)


def _patience(op: Operation, data: RecordData, settings: Settings) -> dict[str, int]:
    """From when patience counts, and how long it lasts: from the payment, or the beginning. A hold has its
    own time first."""
    lasts = ms(settings.unknown_age_max_h, 3_600_000)
    if data.payment is not None:
        return {"unresolved_since": data.payment.paid_at, "unknown_age_max_ms": lasts}
    held = max(0, data.hold_until - op.created_at) if data.hold_until is not None else 0
    return {"unresolved_since": op.created_at, "unknown_age_max_ms": lasts + held}


def _sources(draft: Draft, evidence: Evidence) -> dict[str, Any]:
    """The owners of the named sources, whether they are free, and the caller's report of the payment."""
    op, recorded, selection = draft.operation, evidence.recorded, evidence.selection
    if selection is None:
        return {"sources_contested": _still_contested(draft)} if op.state == "contested" else {}
    tokens = [part.token for part in selection.chosen]
    facts: dict[str, Any] = {
        "source_owners": frozenset(token.npub for token in tokens),
        "source_wallets": frozenset((token.wallet_id, token.mint_url, token.unit) for token in tokens),
        "source_states": frozenset(token.state for token in tokens),
    }
    if recorded is None:
        return facts
    parts = (*selection.proofs, *selection.left_behind, *evidence.keep, *(evidence.proofs or ()))
    kept = (*selection.left_behind, *evidence.keep)
    return facts | {
        "amount": recorded.amount,
        "sources_total": sum(token.total_amount for token in tokens),
        "keep_total": sum(proof.amount for proof in kept),
        "recorded_fee": recorded.fee,
        "recorded_change": sum(proof.amount for proof in evidence.proofs or ()),
        "secrets_distinct": len({proof.secret for proof in parts}) == len(parts),
        "sources_touched": all(part.proofs for part in selection.chosen),
        "sources_are_the_held": sorted(token.transaction_id for token in tokens)
        == sorted(part.token_id for part in op.inputs),
        "sources_contested": sum(not is_free(token, op) for token in tokens),
    }


def _still_contested(draft: Draft) -> int:
    """How many tokens with consumed proofs are not free; consumed proofs in no known token count too."""
    op = draft.operation
    secrets = record_of(op).sent_secrets()
    found = consumed_tokens(draft.all_tokens(), secrets)
    seen = {proof.secret for token in found for proof in token.proofs}
    return sum(not is_free(token, op) for token in found) + len(secrets - seen)


def _told(draft: Draft, evidence: Evidence) -> dict[str, Any]:
    """The number of the held proofs, and the mint's answer about them."""
    facts: dict[str, Any] = {"input_count": sum(part.proof_count for part in draft.operation.inputs)}
    if evidence.states is not None:
        facts["input_states"] = frozenset(state.state for state in evidence.states)
        facts["inputs_asked"] = len(evidence.states)
    return facts
