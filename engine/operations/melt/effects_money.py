"""Effects on the operation's own account: quote, claim, payment, change, fence, loss, reasons and stamps."""

from __future__ import annotations

from typing import Any

import attrs

from ....machines.money import owed_max
from ....storage.records import Payment, Quote, Reason
from ...cashu.bolt11 import expiry_of
from ...cashu.classify import refusal_kind
from ...cashu.port import QUOTE_MAX_MS, named_expiry
from ...loop.effect_context import Scene, inputs_total, new_token, owed_bounds
from ...tokens.proofs import preimage_matches
from ...tokens.token_ids import change_id, fence_id, fenced_id


def store_quote(scene: Scene) -> None:
    """Keep the quote. The mint charges the amount it quotes: of an invoice with millisatoshis that is the
    amount rounded up or down, and all accounts follow it. The invoice of a funding can be paid until the
    later of the mint's expiry and its own; where neither is named, and for a melt without expiry, the
    configured lifetime counts."""
    lifetime_end = scene.now + int(scene.settings.quote_lifetime_s * 1000)
    melt, mint = scene.evidence.quote, scene.evidence.mint_quote
    if melt is not None:
        expires_at = named_expiry(melt.expires_at, scene.now) or lifetime_end
        assert melt.amount is not None and melt.fee_reserve is not None  # the guards asked
        quote = Quote(melt.id, melt.amount, melt.fee_reserve, expires_at)
        scene.draft.set(quote=quote, amount=melt.amount, fee_reserve=melt.fee_reserve)
    elif mint is not None:
        amount = scene.draft.operation.amount
        assert mint.request is not None  # a quote without an invoice is not read as one
        named = [named_expiry(mint.expires_at, scene.now), expiry_of(mint.request.reveal())]
        latest = max((at for at in named if at is not None), default=lifetime_end)
        expires_at = min(latest, scene.now + QUOTE_MAX_MS)
        scene.draft.set(quote=Quote(mint.id, amount, 0, expires_at, mint.request))


def record_reason(scene: Scene) -> None:
    """Keep why: the operator's word where it decides or nothing else says why, else what was found. The
    audit record has both."""
    reason, event = scene.evidence.reason, scene.decision.event
    origins = {known.name: known.origin for known in scene.draft.machine.events}
    decides = reason is None or origins[event] not in ("mint", "clock")
    if scene.evidence.operator_reason and decides:
        reason = Reason(f"OPERATOR_{event.upper()}", scene.evidence.operator_reason)
    scene.draft.set(reason=reason)


def take_claim(scene: Scene) -> None:
    """Claim the payment hash; a recorded payment without one claims nothing."""
    recorded = scene.evidence.recorded
    named = recorded.payment_hash if recorded else None
    scene.draft.set(claim=named or scene.draft.operation.payment_hash)


def drop_claim(scene: Scene) -> None:
    scene.draft.set(claim=None)


def store_payment(scene: Scene) -> None:
    """Keep when and how the payment was proven, once; a wrong preimage is recorded, not refused."""
    op, quote = scene.draft.operation, scene.evidence.quote
    if scene.decision.event == "mint_paid":
        scene.draft.set(reason=None)  # what went wrong on the way stays in the audit trail
    if op.payment is not None:
        return
    preimage = quote.preimage if quote else None
    matches = None if preimage is None else preimage_matches(preimage, op.payment_hash)
    scene.draft.set(payment=Payment(scene.now, preimage, matches), evidence="mint")


def store_change(scene: Scene) -> None:
    """Store the change as unspent money with its parent. What is missing of the most that was owed was the
    Lightning fee; what is more than that is noted as surplus."""
    draft, proofs = scene.draft, scene.evidence.proofs or ()
    op = draft.operation
    if proofs:
        token = new_token(scene, change_id(op.id), "change", "change", proofs)
        draft.create_token("deposit", token, scene.now)
        draft.set(change_token_id=token.transaction_id, change_amount=token.total_amount)
    left = owed_max(inputs_total(scene), op.amount, op.input_fee) - sum(proof.amount for proof in proofs)
    if op.payment is not None:
        draft.set(payment=attrs.evolve(op.payment, lightning_fee=max(0, left)), surplus=max(0, -left))


def write_fence(scene: Scene) -> None:
    if scene.evidence.fence is not None:
        scene.draft.set(fences=(*scene.draft.operation.fences, scene.evidence.fence))


def store_fenced(scene: Scene) -> None:
    """Store what a fence of all inputs, or of a part, brought back, and note that it was signed."""
    draft, fence, proofs = scene.draft, scene.evidence.fence, scene.evidence.proofs or ()
    if fence is None:
        return
    name = fence_id(draft.operation.id, fence.generation) if fence.inputs else fenced_id(draft.operation.id)
    token = new_token(scene, name, "change", "change", proofs)
    draft.create_token("deposit", token, scene.now)
    draft.set(fenced_token_id=token.transaction_id, fence_fee=draft.operation.fence_fee + fence.input_fee)
    _note_fence(scene, fence.generation, end="done")


def end_fence(scene: Scene) -> None:
    """The newest fence will not be signed as it is; it stays restorable."""
    _note_fence(scene, scene.draft.operation.fences[-1].generation, end=scene.evidence.fence_end)


def note_refusal(scene: Scene) -> None:
    newest, now = scene.draft.operation.fences[-1], scene.now
    since = newest.refused_since or now
    changes: dict[str, Any] = {"refusals": newest.refusals + 1, "refused_since": since, "refused_at": now}
    _note_fence(scene, newest.generation, **changes)


def _note_fence(scene: Scene, generation: int, **changes: Any) -> None:
    fences = scene.draft.operation.fences
    noted = (attrs.evolve(f, **changes) if f.generation == generation else f for f in fences)
    scene.draft.set(fences=tuple(noted))


def stamp_empty(scene: Scene) -> None:
    scene.draft.set(change_empty_since=scene.now)


def stamp_unspent(scene: Scene) -> None:
    scene.draft.set(held_unspent_since=scene.now)


def forget_unspent(scene: Scene) -> None:
    scene.draft.set(held_unspent_since=None)


def stamp_watch(scene: Scene) -> None:
    scene.draft.set(watch_since=scene.now)


def count_watch(scene: Scene) -> None:
    watched = scene.evidence.watched_ms
    before = scene.draft.operation.watched_ms
    scene.draft.set(watched_ms=before if watched is None else watched, watch_since=scene.now)


def stamp_refusal(scene: Scene) -> None:
    scene.draft.set(refused_for=refusal_kind(scene.evidence.answer), held_unspent_since=None)


def restart_patience(scene: Scene) -> None:
    scene.draft.set(resumed_at=scene.now)


def reset_tries(scene: Scene) -> None:
    scene.draft.set(attempts=0)


def record_loss(scene: Scene) -> None:
    """Paid: what is missing of the least that was owed. Not paid: the inputs that stay given up.
    Not issued: the amount, if the mint ever said PAID. Stranded coins given up: the amount. Paid by the
    caller: what others have spent of the sources that were used, unless an account of theirs tells it as
    lost; what others still hold they tell when they end. sources = amount + fee + keep + change holds
    without it."""
    draft, op = scene.draft, scene.draft.operation
    if op.kind in ("mint", "check"):
        draft.set(loss=0 if op.kind == "mint" and op.paid_seen_at is None else op.amount)
        return
    if op.evidence == "caller":
        told = scene.evidence.told_by_others
        spent = [part for part in op.contested if draft.token(part.token_id).state == "spent"]
        draft.set(loss=sum(part.amount for part in spent if part.token_id not in told))
        return
    if op.payment is None:
        # what fences of parts spent before is no loss: its value came back
        given_up = [draft.token(part.token_id) for part in op.inputs if not draft.was_spent(part.token_id)]
        lost = (token for token in given_up if (token.state, token.reserved_by) == ("spent", op.id))
        draft.set(loss=sum(token.total_amount for token in lost))
        return
    least, most = owed_bounds(op.amount, op.fee_reserve, op.input_fee, inputs_total(scene))
    missing = max(0, least - op.change_amount)
    fee = max(0, most - op.change_amount - missing)
    draft.set(loss=missing, payment=attrs.evolve(op.payment, lightning_fee=fee))


def alarm(scene: Scene) -> None:
    """Nothing is written here: the effect's name makes the audit record and the log line CRITICAL."""
