"""Effect that brings the store in line with what the mint calls SPENT."""

from __future__ import annotations

from collections.abc import Sequence

from .....storage.batch import proof_key
from .....storage.records import Token
from .....storage.secret import Secret
from ....loop.effect_context import EffectContext, consumed_tokens, mark_spent
from ....tokens.proofs import name_of
from ....tokens.token_ids import part_id, split_id
from ..fences import keys_of


def correct_spent(context: EffectContext) -> None:
    """Split proofs that the mint calls SPENT off their token and mark them spent; the rest stays money."""
    draft, fence = context.draft, context.evidence.fence
    tokens, spent = _spent(context)
    for n, token in enumerate(tokens, 1):
        if token.state in ("unspent", "stranded"):
            op_id = draft.operation.id
            new_id = split_id(op_id, n) if fence is None else f"{part_id(op_id, fence.generation)}_{n}"
            mark_spent(context, token, spent, new_id)


def _spent(context: EffectContext) -> tuple[Sequence[Token], frozenset[Secret]]:
    """The tokens to look at, and the secrets of what is spent."""
    draft, op, fence = context.draft, context.draft.operation, context.evidence.fence
    said, selection = context.evidence.preflight_spent or frozenset(), context.evidence.selection
    if fence is not None:
        # a fence of ours came late: it took these, which were freed and may have been moved since
        keys, held = keys_of(op, fence), draft.all_tokens()
        spent = frozenset(p.secret for t in held for p in t.proofs if proof_key(p.secret) in keys)
        return consumed_tokens(held, spent), spent
    if draft.machine.state(context.decision.state).frees:
        # PAID: the mint took every proof we sent; they were freed and may have been moved since
        data = context.data
        if data.stranded:
            draft.set(inputs=(*op.inputs, *data.stranded))
            context.set_data(stranded=())
        spent = data.sent_secrets()
        return consumed_tokens(draft.all_tokens(), spent), spent
    if selection is not None:
        draft.load(part.token for part in selection.chosen)
        tokens = [draft.token(part.token.transaction_id) for part in selection.chosen]
        return tokens, frozenset(proof.secret for proof in selection.proofs if name_of(proof) in said)
    tokens = [draft.token(part.token_id) for part in op.inputs]
    return tokens, frozenset(p.secret for token in tokens for p in token.proofs if name_of(p) in said)
