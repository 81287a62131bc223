"""Effects that bring the store in line with what the mint says."""

from __future__ import annotations

from ...loop.effect_context import EffectContext, new_token
from ...tokens.token_ids import change_id


def store_late_change(context: EffectContext) -> None:
    """Store the change of a payment that was given up, as change of the check that found it."""
    proofs = context.evidence.proofs or ()
    if proofs:
        token = new_token(context, change_id(context.draft.operation.id), "change", "change", proofs)
        context.draft.create_token("deposit", token, context.now)
        context.set_data(change_token_id=token.transaction_id, change_amount=token.total_amount)


def free_stranded(context: EffectContext) -> None:
    """Every named token that is stranded is money again."""
    for token_id in _stranded(context):
        context.draft.change_token(token_id, "retry", context.now)


def drop_stranded(context: EffectContext) -> None:
    """Every named token that is stranded is given up."""
    for token_id in _stranded(context):
        context.draft.change_token(token_id, "write_off", context.now, consumption="written_off")


def _stranded(context: EffectContext) -> list[str]:
    selection = context.evidence.selection
    if selection is None:
        return []
    context.draft.load(part.token for part in selection.chosen)
    return [part.token.transaction_id for part in selection.chosen if part.token.state == "stranded"]


def record_loss(context: EffectContext) -> None:
    """Stranded coins given up: their amount."""
    context.set_data(loss=context.draft.operation.amount)
