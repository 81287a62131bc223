"""Effects of a swap: outputs written ahead, and the new tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ....storage.records import InputRef, Output, Proof
from ....storage.secret import Secret
from ...loop.effect_context import EffectContext, new_token
from ...tokens.token_ids import rest_id, swapped_id
from ..shared import inputs as shared
from .data import SwapData

RELEASED_BY: Mapping[str, str] = {
    "refusal_stands": "refused",
    "give_up": "mint_says_unspent",
    "release": "trusted",
}
"""The proof by which an edge frees the inputs, for the token's machine."""


def write_swap(context: EffectContext) -> None:
    """Store the outputs and the request before it is sent."""
    told = context.evidence
    context.set_data(blanks=told.outputs, request_body=told.request_body)


def release_inputs(context: EffectContext) -> None:
    """Free the tokens that are still reserved."""
    shared.release(context, RELEASED_BY[context.decision.event])


def spend_inputs(context: EffectContext) -> None:
    """Mark the tokens that are still reserved as spent: swapped, or given up."""
    shared.spend(context, "written_off" if context.decision.event == "write_off" else "swapped")


def free_untouched(context: EffectContext) -> None:
    """Free the UNSPENT inputs: a request with one input SPENT elsewhere can never be executed."""
    shared.free_unspent(context, "request_dead")


def record_loss(context: EffectContext) -> None:
    """The inputs that stay given up."""
    context.set_data(loss=shared.inputs_given_up(context))


def store_swapped(context: EffectContext) -> None:
    """Store the new proofs as unspent tokens, one for each wanted amount and one for the rest. Each names the
    operation as its parent."""
    draft, data, op_id = context.draft, context.data, context.operation.id
    draft.set(reason=None)  # what went wrong on the way stays in the audit trail
    opened = {proof.secret: proof for proof in context.evidence.proofs or ()}
    *wanted, rest = _parts(data)
    made: list[InputRef] = []
    for n, outputs in enumerate(wanted, 1):
        made.append(_store(context, swapped_id(op_id, n), _proofs(outputs, opened)))
    context.set_data(swapped=tuple(made))
    if rest:
        left = _store(context, rest_id(op_id), _proofs(rest, opened))
        context.set_data(change_token_id=left.token_id, change_amount=left.amount)


def _store(context: EffectContext, token_id: str, proofs: tuple[Proof, ...]) -> InputRef:
    token = new_token(context, token_id, "change", "change", proofs)
    context.draft.create_token("deposit", token, context.now)
    return InputRef(token_id, token.total_amount, len(proofs))


def _proofs(outputs: tuple[Output, ...], opened: Mapping[Secret, Proof]) -> tuple[Proof, ...]:
    return tuple(opened[output.secret] for output in outputs)


def _parts(data: SwapData) -> Iterator[tuple[Output, ...]]:
    """The outputs of each new token, and at last those of the rest."""
    left = list(data.blanks)
    for amount in data.into:
        part: list[Output] = []
        while sum(output.amount for output in part) < amount:
            part.append(left.pop(0))
        yield tuple(part)
    yield tuple(left)
