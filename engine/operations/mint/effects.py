"""Effects of funding: tokens that are awaited, issued or handed in."""

from __future__ import annotations

import attrs

from ....storage.records import Fence, Quote
from ...cashu.bolt11 import expiry_of
from ...cashu.port import QUOTE_MAX_MS, named_expiry
from ...loop.effect_context import EffectContext, new_token
from ...tokens.token_ids import minted_id
from .data import MintData


def expect_token(context: EffectContext) -> None:
    op = context.draft.operation
    token = new_token(context, minted_id(op.id), "minted", "lightning", ())
    context.draft.create_token("expect", attrs.evolve(token, reserved_by=op.id), context.now)


def fail_token(context: EffectContext) -> None:
    context.draft.change_token(
        minted_id(context.draft.operation.id), "fail", context.now, mint_cannot_issue=True
    )


def write_outputs(context: EffectContext) -> None:
    """Store outputs and request; outputs of an earlier try stay restorable as a generation."""
    data: MintData = context.data
    fences = data.fences
    if data.blanks and data.request_body is not None:
        fences = (*fences, Fence(len(fences) + 1, data.blanks, 0))
    told = context.evidence
    context.set_data(fences=fences, blanks=told.outputs, request_body=told.request_body, refusals=0)


def stamp_paid(context: EffectContext) -> None:
    if context.data.paid_seen_at is None:
        context.set_data(paid_seen_at=context.now)


def count_refusal(context: EffectContext) -> None:
    context.set_data(refusals=context.data.refusals + 1)


def issue_token(context: EffectContext) -> None:
    context.draft.set(reason=None)  # what went wrong on the way stays in the audit trail
    context.draft.fill_token(
        minted_id(context.draft.operation.id), context.evidence.proofs or (), context.now
    )


def store_quote(context: EffectContext) -> None:
    """Keep the quote. The invoice can be paid until the later of the mint's expiry and its own; where neither
    is named, the configured lifetime counts."""
    quote = context.evidence.mint_quote
    assert quote is not None and quote.request is not None  # a quote without an invoice is not read as one
    named = [named_expiry(quote.expires_at, context.now), expiry_of(quote.request.reveal())]
    lifetime_end = context.now + int(context.settings.quote_lifetime_s * 1000)
    latest = max((at for at in named if at is not None), default=lifetime_end)
    expires_at = min(latest, context.now + QUOTE_MAX_MS)
    amount = context.draft.operation.amount
    context.draft.set(quote=Quote(quote.id, amount, 0, expires_at, quote.request))


def count_watch(context: EffectContext) -> None:
    watched = context.evidence.watched_ms
    before = context.data.watched_ms
    context.set_data(watched_ms=before if watched is None else watched, watch_since=context.now)


def record_loss(context: EffectContext) -> None:
    """Not issued: the amount is lost if the mint ever said PAID."""
    paid = context.data.paid_seen_at is not None
    context.set_data(loss=context.draft.operation.amount if paid else 0)
