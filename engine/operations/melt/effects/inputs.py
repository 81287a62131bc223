"""Effects on the inputs: reserving, freeing and spending them, and the request that spends them."""

from __future__ import annotations

from collections.abc import Mapping

from .....machines.spec import Decision
from .....storage.batch import proof_key
from .....storage.evolve import evolve
from .....storage.records import InputRef, Proof
from ....loop.effect_context import EffectContext, inputs_total, new_token
from ....tokens.token_ids import part_id, split_id, stranded_id
from ...shared import inputs as shared
from ..fences import keys_of

RELEASED_BY: Mapping[str, str] = {"release": "trusted", "refusal_stands": "refused"}
"""The proof by which an edge frees a reservation, where it is another one than that nothing was sent."""


def lets_go(decision: Decision) -> bool:
    """Whether inputs become free without the mint having been asked about them."""
    if RELEASED_BY.get(decision.event) == "trusted":
        return False
    return "release_inputs" in decision.effects and "correct_spent" not in decision.effects


def release_inputs(context: EffectContext) -> None:
    """Free the tokens that are still reserved, and name the proof for the token's machine."""
    shared.release(context, RELEASED_BY.get(context.decision.event, "nothing_sent"))


def write_blanks(context: EffectContext) -> None:
    context.set_data(blanks=context.evidence.blanks)


def write_request(context: EffectContext) -> None:
    context.set_data(request_body=context.evidence.request_body)


def adopt_split(context: EffectContext) -> None:
    """The child's swap consumed our inputs; its outputs take their place, born reserved."""
    draft, proofs = context.draft, context.evidence.proofs or ()
    for part in draft.operation.inputs:
        draft.change_token(part.token_id, "spend", context.now, consumption="swapped")
    fee = inputs_total(context) - sum(proof.amount for proof in proofs)
    token = new_token(context, split_id(draft.operation.id, 1), "change", "change", proofs)
    draft.create_token("deposit_reserved", evolve(token, reserved_by=draft.operation.id), context.now)
    selection = context.evidence.selection
    draft.set(inputs=(InputRef(token.transaction_id, token.total_amount, len(proofs)),))
    context.set_data(
        input_fee=selection.input_fee if selection else 0,
        sources_total=context.data.sources_total - fee,
    )


def spend_inputs(context: EffectContext) -> None:
    """Mark what is still reserved as spent, naming the proof the decision rests on."""
    event = context.decision.event
    if event in ("fence_done", "fence_found"):
        proof = "swapped"
    elif event == "write_off" and context.decision.next_state == "written_off":
        proof = "written_off"
    else:
        proof = "paid"
    shared.spend(context, proof)


def free_untouched(context: EffectContext) -> None:
    """A request with one input SPENT elsewhere can never be executed (the mint takes all inputs or
    none): the UNSPENT ones of the others are freed."""
    shared.free_unspent(context, "request_dead")


def spend_part(context: EffectContext) -> None:
    """Mark the inputs that the fence of a part took as spent; the others stay reserved."""
    fence, op = context.evidence.fence, context.draft.operation
    if fence is None:
        return
    left, part = _set_apart(context, keys_of(op, fence), part_id(op.id, fence.generation))
    for ref in part:
        context.draft.change_token(ref.token_id, "spend", context.now, consumption="swapped")
    context.draft.set(inputs=(*left, *part))


def strand_part(context: EffectContext) -> None:
    """Put inputs that cannot be fenced where no payment takes them; the others stay reserved."""
    before = context.data.stranded
    name = stranded_id(context.operation.id, len(before) + 1)
    left, part = _set_apart(context, frozenset(context.evidence.strand), name)
    for ref in part:
        context.draft.change_token(ref.token_id, "strand", context.now, mint_refuses=True)
    context.draft.set(inputs=left)
    context.set_data(stranded=(*before, *part))


def _set_apart(
    context: EffectContext, keys: frozenset[str], new_id: str
) -> tuple[tuple[InputRef, ...], tuple[InputRef, ...]]:
    """Inputs with none of these proofs, and inputs with nothing else: what lies in a token with others is
    moved to one that is born reserved."""
    draft, op = context.draft, context.draft.operation
    left: list[InputRef] = []
    part: list[InputRef] = []
    moved: dict[str, tuple[Proof, ...]] = {}
    for ref in op.inputs:
        token = draft.token(ref.token_id)
        held = token.state == "reserved" and token.reserved_by == op.id
        gone = tuple(proof for proof in token.proofs if held and proof_key(proof.secret) in keys)
        if not gone:
            left.append(ref)
        elif len(gone) == len(token.proofs):
            part.append(ref)
        else:
            draft.split_token(ref.token_id, gone, context.now)
            moved[ref.token_id] = gone
            rest = draft.token(ref.token_id)
            left.append(InputRef(ref.token_id, rest.total_amount, len(rest.proofs)))
    if moved:
        proofs = tuple(proof for gone in moved.values() for proof in gone)
        token = evolve(new_token(context, new_id, "change", "change", proofs), reserved_by=op.id)
        draft.create_token("deposit_reserved", token, context.now, moved_from=moved)
        part.append(InputRef(new_id, token.total_amount, len(proofs)))
    return tuple(left), tuple(part)
