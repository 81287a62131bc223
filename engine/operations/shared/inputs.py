"""Steps of several kinds on the tokens that they pay with: reserve, free, spend and strand them."""

from __future__ import annotations

from collections.abc import Sequence

from ....storage.records import InputRef, Proof
from ...loop.effect_context import EffectContext, mark_spent, move_off, new_token
from ...loop.evidence import Chosen
from ...tokens.proofs import name_of
from ...tokens.token_ids import keep_id, split_id


def split_off_keep(context: EffectContext) -> None:
    """Move the untouched proofs of every chosen token into one keep token."""
    selection = context.evidence.selection
    if selection is not None:
        keep_of(context, selection.chosen)


def keep_of(context: EffectContext, chosen: Sequence[Chosen]) -> None:
    """The keep token of these sources: their untouched proofs, moved, and what a caller kept afresh."""
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
        context.set_data(keep_token_id=token.transaction_id, keep_total=token.total_amount)


def reserve_inputs(context: EffectContext) -> None:
    """Lock the chosen tokens for this operation and note what they are worth."""
    selection, draft = context.evidence.selection, context.draft
    if selection is None:
        return
    draft.load(part.token for part in selection.chosen)
    for part in selection.chosen:
        draft.change_token(part.token.transaction_id, "reserve", context.now)
    draft.set(inputs=refs_of(selection.chosen))
    context.set_data(
        input_fee=selection.input_fee,
        sources_total=sum(part.token.total_amount for part in selection.chosen),
    )


def refs_of(chosen: Sequence[Chosen]) -> tuple[InputRef, ...]:
    """The operation's names of these sources: the token, and the used amount and number of proofs."""
    return tuple(InputRef(part.token.transaction_id, part.amount, len(part.proofs)) for part in chosen)


def release(context: EffectContext, why: str) -> None:
    """Free the tokens that are still reserved; ``why`` is the proof for the token's machine. Proofs that the
    mint took meanwhile, for an operation that had freed them on trust, are marked as spent."""
    gone, draft, op = context.evidence.spent_meanwhile, context.draft, context.draft.operation
    for n, part in enumerate(op.inputs, 1):
        if draft.token(part.token_id).state == "reserved":
            draft.change_token(part.token_id, "release", context.now, release=why)
            mark_spent(context, draft.token(part.token_id), gone, split_id(op.id, n))


def spend(context: EffectContext, proof: str) -> None:
    """Mark the tokens that are still reserved as spent; ``proof`` is the proof of the decision."""
    op = context.draft.operation
    for part in op.inputs:
        token = context.draft.token(part.token_id)
        if token.state == "reserved" and token.reserved_by == op.id:
            context.draft.change_token(part.token_id, "spend", context.now, consumption=proof)


def strand_inputs(context: EffectContext) -> None:
    """Put every input that is still held where no payment takes it, until it is known what became of it."""
    op = context.draft.operation
    held = [ref for ref in op.inputs if context.draft.token(ref.token_id).state == "reserved"]
    for ref in held:
        context.draft.change_token(ref.token_id, "strand", context.now, mint_refuses=True)
    left = tuple(ref for ref in op.inputs if ref not in held)
    context.draft.set(inputs=left)
    context.set_data(stranded=(*context.data.stranded, *held))


def free_unspent(context: EffectContext, why: str) -> None:
    """Free the UNSPENT proofs of the inputs that are still reserved; ``why`` is the proof for the token's
    machine. Proofs that the mint took for an operation that had freed them on trust are the cost of that
    operation, and no loss of this one."""
    _correct_taken(context)
    draft = context.draft
    states = {state.Y: state.state for state in context.evidence.states or ()}
    for n, part in enumerate(draft.operation.inputs, 1):
        token = draft.token(part.token_id)
        free = tuple(proof for proof in token.proofs if states.get(name_of(proof)) == "UNSPENT")
        if token.state != "reserved" or not free:
            continue
        if len(free) == len(token.proofs):
            draft.change_token(part.token_id, "release", context.now, release=why)
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


def inputs_given_up(context: EffectContext) -> int:
    """The value of the inputs that this decision gives up. An input that was spent before is no loss."""
    draft, op = context.draft, context.draft.operation
    given_up = [draft.token(part.token_id) for part in op.inputs if not draft.was_spent(part.token_id)]
    return sum(
        token.total_amount for token in given_up if (token.state, token.reserved_by) == ("spent", op.id)
    )
