"""Facts of a melt: from the draft, the evidence and the clock to what its guards may ask."""

from __future__ import annotations

from typing import Any

from ....machines.melt.facts import MeltFacts
from ....storage.batch import proof_key
from ....storage.records import Operation
from ...cashu.bolt11 import InvalidInvoice, known_invoice
from ...cashu.port import Refused, named_expiry
from ...cashu.wire.classify import refusal_kind
from ...loop.draft import Draft
from ...loop.effect_context import owed_bounds
from ...loop.evidence import Evidence
from ...loop.look import Look, ms
from ...settings import Settings
from ...tokens.proofs import name_of
from .data import MeltData, melt_of
from .fences import done, fenced_amount, fenced_keys, generations, keys_of, left_inputs


def fee_max_of(op: Operation, settings: Settings) -> int:
    """The most this payment may cost beside its amount, in its unit: the caller's limit, else the share
    of the amount that the settings allow, and at least their floor."""
    if op.policy.fee_max is not None:
        return op.policy.fee_max
    floor = settings.fee_max_floor_sat * (1000 if op.unit == "msat" else 1)
    return max(floor, int(op.amount * settings.fee_max_percent / 100))


def melt_facts(look: Look) -> MeltFacts:
    """The facts of a melt: from the operation as staged, the evidence in hand, and the clock."""
    draft, evidence, settings, now = look.draft, look.evidence, look.settings, look.now
    op, data, elapsed = draft.operation, melt_of(draft.operation), look.elapsed
    facts: dict[str, Any] = {
        "now": now,
        "unit": op.unit,
        "owner": op.npub,
        "wallet": (op.wallet_id, op.mint_url, op.unit),
        "operation_id": op.id,
        "two_step": op.policy.two_step,
        "policy": op.policy.on_unpaid,
        "amount": op.amount,
        "invoice_amount": op.amount,
        "fee_max": fee_max_of(op, settings),
        "amount_max": settings.amount_max,
        "sent_at": op.sent_at,
        "since_last_send_ms": elapsed.send_clock.since_ms,
        "settle_window_ms": elapsed.send_clock.window_ms,
        "sendings": op.attempts,
        "refusal_kind": refusal_kind(evidence.answer),
        "refused_for": data.refused_for,
        "refusal_window_ms": ms(settings.refusal_window_s),
        "unclear_told": op.reason is not None and op.reason.code == "MINT_STATE_UNKNOWN",
        "claim_held": op.claim is not None,
        "inputs_taken": _inputs_taken(draft, evidence),
        "retries": max(0, op.attempts - 1),
        "retries_max": settings.retries_max,
        **_patience(op, data, settings),
        "failures": op.failures,
        "failures_max": settings.drive_failures_max,
        "held_unspent_since": data.held_unspent_since,
        "watch_since": data.watch_since,
        "watch_window_ms": ms(settings.watch_window_h, 3_600_000),
        "change_window_ms": ms(settings.change_window_s),
        "payment_recorded": data.payment is not None,
        "change_awaited_since": max(data.payment.paid_at, op.resumed_at or 0) if data.payment else None,
        "input_count_max": settings.proofs_per_operation_max,
        "operator_reason": evidence.operator_reason,
        "forced": evidence.forced,
        "checks_performed": evidence.checks_performed,
        "discrepancies": len(evidence.discrepancies),
        "child_ended_unspent": evidence.child_ended_unspent,
        "exact_inputs_wanted": evidence.exact_inputs_wanted,
        **_quote(op, evidence, now),
        **_inputs(draft, evidence),
        **_mint_state(op, evidence),
        **_fence(draft, evidence, settings),
        **_change(op, evidence),
    }
    return MeltFacts(**facts)


def _patience(op: Operation, data: MeltData, settings: Settings) -> dict[str, int]:
    """From when patience counts, and how long it lasts: from the payment, the sending or the beginning,
    unless an operator sent it back to work since; a watch has its own time first. A fence counts the settle
    window anew, not our patience."""
    lasts = ms(settings.unknown_age_max_h, 3_600_000)
    if data.payment is not None:
        since = data.payment.paid_at
    elif data.watch_since is not None:
        since, lasts = data.watch_since, lasts + ms(settings.watch_window_h, 3_600_000)
    else:
        since = op.created_at if op.sent_at is None or data.fences else op.sent_at
    return {"unresolved_since": max(since, op.resumed_at or 0), "unknown_age_max_ms": lasts}


def _quote(op: Operation, evidence: Evidence, now: int) -> dict[str, Any]:
    quote = evidence.quote
    if op.quote is not None:
        return {"quote_expires_at": op.quote.expires_at, "fee_reserve": op.quote.fee_reserve}
    if quote is None:
        return {}
    request = None if quote.request is None else quote.request.reveal().lower()
    return {
        "invoice_amount_floor": _invoice_floor(op),
        "quoted_amount": quote.amount,
        "quoted_unit": quote.unit or op.unit,
        "quote_names_other_request": request is not None
        and op.request is not None
        and request != op.request.reveal(),
        "quote_expires_at": named_expiry(quote.expires_at, now) or 2**62,
        "fee_reserve": -1 if quote.fee_reserve is None else quote.fee_reserve,
    }


def _invoice_floor(op: Operation) -> int | None:
    """The invoice's amount in whole units, rounded down, as a mint quotes it that drops the millisatoshis.
    None for a request that is no invoice with an amount: then only Operation.amount itself is a match."""
    try:
        msat = known_invoice(op.request.reveal()).amount_msat if op.request is not None else None
    except InvalidInvoice:
        return None
    return msat if msat is None or op.unit == "msat" else msat // 1000


def _inputs(draft: Draft, evidence: Evidence) -> dict[str, Any]:
    op, selection = draft.operation, evidence.selection
    if selection is not None and not op.inputs:
        tokens = [part.token for part in selection.chosen]
        return {
            "source_owners": frozenset(token.npub for token in tokens),
            "source_wallets": frozenset((token.wallet_id, token.mint_url, token.unit) for token in tokens),
            "source_states": frozenset(token.state for token in tokens),
            "inputs_total": selection.amount,
            "input_count": len(selection.proofs),
            "input_fee": selection.input_fee,
            "inputs_reserved": all(token.reserved_by == op.id for token in tokens),
            "preflight_asked": evidence.preflight_spent is not None,
            "preflight_blocked_count": len(evidence.preflight_spent or ()),
            "claim_holder": evidence.claim_holder,
        }
    return {
        "inputs_total": sum(part.amount for part in op.inputs),
        "input_count": sum(part.proof_count for part in left_inputs(draft)),
        "input_fee": melt_of(op).input_fee,
        "inputs_reserved": bool(op.inputs)
        and all(
            draft.known(part.token_id) and draft.token(part.token_id).reserved_by == op.id
            for part in op.inputs
        ),
        "claim_holder": op.id if op.claim else evidence.claim_holder,
        "preflight_asked": evidence.preflight_spent is not None,
        "preflight_blocked_count": len(evidence.preflight_spent or ()),
    }


def _mint_state(op: Operation, evidence: Evidence) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if evidence.quote is not None and op.quote is not None and evidence.quote.id == op.quote.id:
        facts["quote_state"] = evidence.quote.state
    if evidence.states is not None:
        facts["input_states"] = frozenset(state.state for state in evidence.states)
        facts["inputs_asked"] = len(evidence.states)
    return facts


def _inputs_taken(draft: Draft, evidence: Evidence) -> bool:
    """Whether the mint calls a freed input SPENT that no operation of ours has spent since, or signed change
    for the payment."""
    if evidence.proofs:
        return True
    spent = {state.Y for state in evidence.states or () if state.state == "SPENT"}
    sent = melt_of(draft.operation).sent_secrets() if spent else frozenset()
    return any(
        proof.secret in sent and name_of(proof) in spent
        for token in draft.all_tokens()
        if token.state != "spent"
        for proof in token.proofs
    )


def _unfenced(draft: Draft) -> frozenset[str]:
    """The keys of the inputs that no fence spent yet and that are not stranded; after a release, when they
    may be anywhere, of all that no fence spent."""
    op = draft.operation
    if op.state in ("watching", "stuck"):
        return frozenset(melt_of(op).sent_keys()) - fenced_keys(op)
    return frozenset(
        proof_key(proof.secret) for ref in left_inputs(draft) for proof in draft.token(ref.token_id).proofs
    )


def _fence(draft: Draft, evidence: Evidence, settings: Settings) -> dict[str, Any]:
    op = draft.operation
    proofs = evidence.proofs or ()
    inputs = sum(part.amount for part in (*op.inputs, *melt_of(op).stranded))
    fence = evidence.fence
    return {
        "mint_can_swap": evidence.mint_can_swap,
        "mint_can_restore": evidence.mint_can_restore,
        "fence_generations": generations(op, fence.inputs or melt_of(op).sent_keys()) if fence else 0,
        "fence_generations_max": settings.fence_generations_max,
        "own_outputs_asked": evidence.fence_outputs_asked,
        "own_outputs_signed": evidence.fence_outputs_signed,
        "fence_outputs_verified": evidence.proofs_verified,
        "fence_total": sum(proof.amount for proof in proofs),
        # a part's outputs were stored with what it is worth
        "fence_owed": None
        if fence is None
        else fenced_amount(fence)
        if fence.inputs
        else inputs - fence.input_fee,
        "fence_takes_all": fence is not None and keys_of(op, fence) >= _unfenced(draft),
        "fence_refused_for_good": evidence.fence_end != "",
        "fence_renewable": evidence.fence_renewable,
        "fences_done": len(done(op)),
        "strands": len(evidence.strand),
        "strands_all": bool(evidence.strand) and frozenset(evidence.strand) >= _unfenced(draft),
        "fence_refusal_means_inputs_gone": evidence.fence_refused_as_gone
        or (isinstance(evidence.answer, Refused) and evidence.answer.code in (11001, 11002)),
    }


def _change(op: Operation, evidence: Evidence) -> dict[str, Any]:
    if not op.inputs:
        return {}
    data, total = melt_of(op), sum(part.amount for part in op.inputs)
    least, most = owed_bounds(op.amount, data.fee_reserve, data.input_fee, total)
    facts: dict[str, Any] = {
        "owed_min": least,
        "owed_max": most,
        "change_empty_since": data.change_empty_since,
        "change_seen_empty": evidence.change_seen_empty,
    }
    if evidence.proofs is not None:
        change = sum(proof.amount for proof in evidence.proofs)
        secrets = {proof.secret for proof in evidence.proofs}
        facts |= {
            "change_total": change,
            "change_verified": evidence.proofs_verified,
            "change_blanks_distinct": len(secrets) == len(evidence.proofs),
            "change_is_complete": evidence.proofs_verified and change > 0 and least <= change <= most,
        }
    return facts
