"""Effect of a deposit: the proofs that were handed in become a token."""

from __future__ import annotations

from ...loop.effect_context import EffectContext, new_token
from ...tokens.token_ids import deposit_id


def store_deposit(context: EffectContext) -> None:
    token = new_token(
        context, deposit_id(context.draft.operation.id), "received", "p2p", context.evidence.proofs or ()
    )
    context.draft.create_token("deposit", token, context.now)
