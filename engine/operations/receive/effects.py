"""Effects of a receive: outputs written ahead, and the new token."""

from __future__ import annotations

from ....storage.records import InputRef
from ...loop.effect_context import EffectContext, new_token
from ...tokens.token_ids import received_id
from ..shared.handed_in import claim_of


def claim_token(context: EffectContext) -> None:
    """Claim the token by the set of its proofs. The store's unique key decides between two callers."""
    context.draft.set(claim=claim_of(context.data.proofs_hash))


def let_token_go(context: EffectContext) -> None:
    """Drop the claim: nothing was credited, and a new attempt is allowed."""
    context.draft.set(claim=None)


def write_receive(context: EffectContext) -> None:
    """Store the outputs and the request, with its witnesses, before it is sent."""
    told = context.evidence
    context.set_data(blanks=told.outputs, request_body=told.request_body)


def store_received(context: EffectContext) -> None:
    """Store the new proofs as one unspent token of the wallet."""
    draft, op_id = context.draft, context.operation.id
    draft.set(reason=None)  # what went wrong on the way stays in the audit trail
    token = new_token(context, received_id(op_id), "received", "p2p", context.evidence.proofs or ())
    draft.create_token("deposit", token, context.now)
    made = InputRef(token.transaction_id, token.total_amount, len(token.proofs))
    context.set_data(received=(made,))
