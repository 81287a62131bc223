"""Effects on the inputs: reserving, freeing and spending them, and the request that spends them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from ....machines.spec import Decision
from ....storage.batch import proof_key
from ....storage.records import InputRef, Proof
from ...loop.effect_context import EffectContext, inputs_total, mark_spent, move_off, new_token
from ...loop.evidence import Chosen
from ...tokens.proofs import name_of
from ...tokens.token_ids import keep_id, part_id, split_id, stranded_id
from .fences import keys_of

RELEASED_BY: Mapping[str, str] = {
    "release": "trusted",
    "refusal_stands": "refused",
    "unhold": "caller_word",
    "hold_over": "mint_says_unspent",
}
"""The proof by which an edge frees a reservation, where it is another one than that nothing was sent."""


def lets_go(decision: Decision) -> bool:
    """Whether inputs become free without the mint having been asked about them."""
    if RELEASED_BY.get(decision.event) in ("trusted", "mint_says_unspent"):
        return False
    return "release_inputs" in decision.effects and "correct_spent" not in decision.effects


def split_off_keep(context: EffectContext) -> None:
    """Move the untouched proofs of every chosen token into one keep token."""
    selection = context.evidence.selection
    if selection is not None:
        keep_of(context, selection.chosen)


def keep_of(context: EffectContext, chosen: Sequence[Chosen]) -> None:
    """The keep token of these sources: their untouched proofs, moved, and the caller's fresh keep proofs."""
    draft = context.draft
    draft.load(part.token for part in chosen)
    left_behind = tuple(proof for part in chosen for proof in part.left_behind)
    moved: dict[str, tuple[Proof, ...]] = {}
    for part in chosen:
        if part.left_behind:
            draft.split_token(part.token.transaction_id, part.left_behind, context.now)
            moved[part.token.transaction_id] = part.left_behind
    kept = (*left_behind, *context.evidence.keep)
    if kept:
        token = new_token(context, keep_id(draft.operation.id), "change", "change", kept)
        draft.create_token("deposit", token, context.now, moved_from=moved)
        draft.set(keep_token_id=token.transaction_id, keep_total=token.total_amount)


def reserve_inputs(context: EffectContext) -> None:
    """Lock the chosen tokens for this operation and note what they are worth."""
    selection, draft = context.evidence.selection, context.draft
    if selection is None:
        return
    draft.load(part.token for part in selection.chosen)
    for part in selection.chosen:
        draft.change_token(part.token.transaction_id, "reserve", context.now)
    draft.set(
        inputs=tuple(
            InputRef(part.token.transaction_id, part.amount, len(part.proofs)) for part in selection.chosen
        ),
        input_fee=selection.input_fee,
        sources_total=sum(part.token.total_amount for part in selection.chosen),
    )


def release_inputs(context: EffectContext) -> None:
    """Free the tokens that are still reserved, and name the proof for the token's machine. Proofs that the
    mint took meanwhile, for an operation that had freed them on trust, are marked as spent."""
    why, gone = RELEASED_BY.get(context.decision.event, "nothing_sent"), context.evidence.spent_meanwhile
    draft, op = context.draft, context.draft.operation
    for n, part in enumerate(op.inputs, 1):
        if draft.token(part.token_id).state == "reserved":
            draft.change_token(part.token_id, "release", context.now, release=why)
            mark_spent(context, draft.token(part.token_id), gone, split_id(op.id, n))


def write_blanks(context: EffectContext) -> None:
    context.draft.set(blanks=context.evidence.blanks)


def write_request(context: EffectContext) -> None:
    context.draft.set(request_body=context.evidence.request_body)


def adopt_split(context: EffectContext) -> None:
    """The child's swap consumed our inputs; its outputs take their place, born reserved."""
    draft, proofs = context.draft, context.evidence.proofs or ()
    for part in draft.operation.inputs:
        draft.change_token(part.token_id, "spend", context.now, consumption="swapped")
    fee = inputs_total(context) - sum(proof.amount for proof in proofs)
    token = new_token(context, split_id(draft.operation.id, 1), "change", "change", proofs)
    draft.create_token("deposit_reserved", attrs.evolve(token, reserved_by=draft.operation.id), context.now)
    selection = context.evidence.selection
    draft.set(
        inputs=(InputRef(token.transaction_id, token.total_amount, len(proofs)),),
        input_fee=selection.input_fee if selection else 0,
        sources_total=draft.operation.sources_total - fee,
    )


def spend_inputs(context: EffectContext) -> None:
    """Mark what is still reserved as spent, naming the proof the decision rests on."""
    event, op = context.decision.event, context.draft.operation
    if event in ("fence_done", "fence_found"):
        proof = "swapped"
    elif event == "write_off" and context.decision.next_state == "written_off":
        proof = "written_off"
    else:
        proof = "paid"
    for part in op.inputs:
        token = context.draft.token(part.token_id)
        if token.state == "reserved" and token.reserved_by == op.id:
            context.draft.change_token(part.token_id, "spend", context.now, consumption=proof)


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
    op = context.draft.operation
    name = stranded_id(op.id, len(op.stranded) + 1)
    left, part = _set_apart(context, frozenset(context.evidence.strand), name)
    for ref in part:
        context.draft.change_token(ref.token_id, "strand", context.now, mint_refuses=True)
    context.draft.set(inputs=left, stranded=(*op.stranded, *part))


def strand_inputs(context: EffectContext) -> None:
    """Put every input that is still held where no payment takes it, until it is known what became of it."""
    op = context.draft.operation
    held = [ref for ref in op.inputs if context.draft.token(ref.token_id).state == "reserved"]
    for ref in held:
        context.draft.change_token(ref.token_id, "strand", context.now, mint_refuses=True)
    left = tuple(ref for ref in op.inputs if ref not in held)
    context.draft.set(inputs=left, stranded=(*op.stranded, *held))


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
        token = attrs.evolve(new_token(context, new_id, "change", "change", proofs), reserved_by=op.id)
        draft.create_token("deposit_reserved", token, context.now, moved_from=moved)
        part.append(InputRef(new_id, token.total_amount, len(proofs)))
    return tuple(left), tuple(part)


def free_untouched(context: EffectContext) -> None:
    """A request with one input SPENT elsewhere can never be executed (the mint takes all inputs or
    none): the UNSPENT ones of the others are freed.
    For a hold without a record there is no request of ours: UNSPENT proofs are freed. Proofs that the mint
    took for an operation that had freed them on trust are the cost of that operation, and no loss of this
    one."""
    _correct_taken(context)
    draft, held = context.draft, context.decision.state == "contested"
    states = {state.Y: state.state for state in context.evidence.states or ()}
    for n, part in enumerate(draft.operation.inputs, 1):
        token = draft.token(part.token_id)
        free = tuple(proof for proof in token.proofs if states.get(name_of(proof)) == "UNSPENT")
        if token.state != "reserved" or not free:
            continue
        if len(free) == len(token.proofs):
            draft.change_token(
                part.token_id, "release", context.now, release="mint_says_unspent" if held else "request_dead"
            )
        else:
            draft.split_token(part.token_id, free, context.now)
            move_off(context, token, free, split_id(draft.operation.id, n))


def _correct_taken(context: EffectContext) -> None:
    """Mark proofs that the mint took meanwhile for another operation as spent, and not as given up."""
    draft, gone, op = context.draft, context.evidence.spent_meanwhile, context.draft.operation
    for n, part in enumerate(op.inputs, 1):
        token = draft.token(part.token_id)
        taken = tuple(proof for proof in token.proofs if proof.secret in gone)
        if not taken or (token.state, token.reserved_by) != ("reserved", op.id):
            continue
        if len(taken) < len(token.proofs):
            draft.split_token(part.token_id, taken, context.now)
            token = move_off(context, token, taken, f"{split_id(op.id, n)}_taken")
        else:
            draft.change_token(part.token_id, "release", context.now, release="request_dead")
        draft.change_token(token.transaction_id, "correct_spent", context.now, mint_spent_count=len(taken))
