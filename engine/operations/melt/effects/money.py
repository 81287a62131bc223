"""Effects on the operation's own account: quote, claim, payment, change, fence, loss, reasons and stamps."""

from __future__ import annotations

from typing import Any

from .....machines.money import owed_max
from .....storage.evolve import evolve
from .....storage.records import Payment, Quote
from ....cashu.port import named_expiry
from ....cashu.wire.classify import refusal_kind
from ....loop.effect_context import EffectContext, inputs_total, new_token, owed_bounds
from ....tokens.proofs import preimage_matches
from ....tokens.token_ids import change_id, fence_id, fenced_id
from ...shared.inputs import inputs_given_up
from ..data import melt_of


def take_claim(context: EffectContext) -> None:
    """Claim the payment hash, and the quote with it."""
    context.draft.set(claim=context.draft.operation.payment_hash, quote_let_go=False)


def drop_claim(context: EffectContext) -> None:
    """Give the payment hash free. A payment that the mint refused lets go of the quote as well: the mint may
    answer another attempt with the same one."""
    refused = melt_of(context.operation).refused_for is not None
    context.draft.set(claim=None, quote_let_go=refused)


def store_payment(context: EffectContext) -> None:
    """Keep when and how the payment was proven, once; a wrong preimage is recorded, not refused."""
    op, quote = context.draft.operation, context.evidence.quote
    if context.decision.event == "mint_paid":
        context.draft.set(reason=None)  # what went wrong on the way stays in the audit trail
    if melt_of(op).payment is not None:
        return
    preimage = quote.preimage if quote else None
    matches = None if preimage is None else preimage_matches(preimage, op.payment_hash)
    context.set_data(payment=Payment(context.now, preimage, matches), proven_by="mint")


def store_change(context: EffectContext) -> None:
    """Store the change as unspent money with its parent. The Lightning fee is the most that was owed less the
    change; change above the most that was owed is noted as surplus."""
    draft, proofs = context.draft, context.evidence.proofs or ()
    op, data = draft.operation, melt_of(draft.operation)
    if proofs:
        token = new_token(context, change_id(op.id), "change", "change", proofs)
        draft.create_token("deposit", token, context.now)
        context.set_data(change_token_id=token.transaction_id, change_amount=token.total_amount)
    left = owed_max(inputs_total(context), op.amount, data.input_fee) - sum(proof.amount for proof in proofs)
    if data.payment is not None:
        paid = evolve(data.payment, lightning_fee=max(0, left))
        context.set_data(payment=paid, surplus=max(0, -left))


def write_fence(context: EffectContext) -> None:
    if context.evidence.fence is not None:
        context.set_data(fences=(*context.data.fences, context.evidence.fence))


def store_fenced(context: EffectContext) -> None:
    """Store what a fence of all inputs, or of a part, brought back, and note that it was signed."""
    draft, fence, proofs = context.draft, context.evidence.fence, context.evidence.proofs or ()
    if fence is None:
        return
    name = fence_id(draft.operation.id, fence.generation) if fence.inputs else fenced_id(draft.operation.id)
    token = new_token(context, name, "change", "change", proofs)
    draft.create_token("deposit", token, context.now)
    fee = melt_of(draft.operation).fence_fee + fence.input_fee
    context.set_data(fenced_token_id=token.transaction_id, fence_fee=fee)
    _note_fence(context, fence.generation, end="done")


def end_fence(context: EffectContext) -> None:
    """The newest fence will not be signed as it is; it stays restorable."""
    _note_fence(context, melt_of(context.operation).fences[-1].generation, end=context.evidence.fence_end)


def note_refusal(context: EffectContext) -> None:
    newest, now = melt_of(context.operation).fences[-1], context.now
    since = newest.refused_since or now
    changes: dict[str, Any] = {"refusals": newest.refusals + 1, "refused_since": since, "refused_at": now}
    _note_fence(context, newest.generation, **changes)


def _note_fence(context: EffectContext, generation: int, **changes: Any) -> None:
    fences = melt_of(context.operation).fences
    noted = (evolve(f, **changes) if f.generation == generation else f for f in fences)
    context.set_data(fences=tuple(noted))


def stamp_empty(context: EffectContext) -> None:
    context.set_data(change_empty_since=context.now)


def stamp_refusal(context: EffectContext) -> None:
    context.set_data(refused_for=refusal_kind(context.evidence.answer), held_unspent_since=None)


def store_quote(context: EffectContext) -> None:
    """Keep the quote. The mint charges the amount it quotes: of an invoice with millisatoshis that is the
    amount rounded up or down, and all accounts follow it. Without expiry the configured lifetime counts."""
    quote = context.evidence.quote
    assert (
        quote is not None and quote.amount is not None and quote.fee_reserve is not None
    )  # the guards asked
    lifetime_end = context.now + int(context.settings.quote_lifetime_s * 1000)
    expires_at = named_expiry(quote.expires_at, context.now) or lifetime_end
    kept = Quote(quote.id, quote.amount, quote.fee_reserve, expires_at)
    context.draft.set(quote=kept, amount=quote.amount)
    context.set_data(fee_reserve=quote.fee_reserve)


def record_loss(context: EffectContext) -> None:
    """Paid: what is missing of the least that was owed. Not paid: the inputs that stay given up; what fences
    of parts spent before came back and is no loss."""
    data = melt_of(context.operation)
    if data.payment is None:
        context.set_data(loss=inputs_given_up(context))
        return
    least, most = owed_bounds(
        context.operation.amount, data.fee_reserve, data.input_fee, inputs_total(context)
    )
    missing = max(0, least - data.change_amount)
    fee = max(0, most - data.change_amount - missing)
    context.set_data(loss=missing, payment=evolve(data.payment, lightning_fee=fee))
