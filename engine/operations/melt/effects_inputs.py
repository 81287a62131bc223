"""Effects on the inputs: reserving, freeing and spending them, and what is sent with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from ....machines.spec import Decision
from ....storage.batch import proof_key
from ....storage.records import InputRef, Proof
from ...loop.effect_context import Scene, inputs_total, mark_spent, move_off, new_token
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
"""What frees a reservation, where it is not that nothing was sent."""


def lets_go(decision: Decision) -> bool:
    """Whether inputs become free without the mint having been asked about them."""
    if RELEASED_BY.get(decision.event) in ("trusted", "mint_says_unspent"):
        return False
    return "release_inputs" in decision.effects and "correct_spent" not in decision.effects


def split_off_keep(scene: Scene) -> None:
    """Move the untouched proofs of every chosen token into one keep token."""
    selection = scene.evidence.selection
    if selection is not None:
        keep_of(scene, selection.chosen)


def keep_of(scene: Scene, chosen: Sequence[Chosen]) -> None:
    """The keep token of these sources: their untouched proofs, moved, and what a caller kept afresh."""
    draft = scene.draft
    draft.load(part.token for part in chosen)
    left_behind = tuple(proof for part in chosen for proof in part.left_behind)
    moved: dict[str, tuple[Proof, ...]] = {}
    for part in chosen:
        if part.left_behind:
            draft.split_token(part.token.transaction_id, part.left_behind, scene.now)
            moved[part.token.transaction_id] = part.left_behind
    kept = (*left_behind, *scene.evidence.keep)
    if kept:
        token = new_token(scene, keep_id(draft.operation.id), "change", "change", kept)
        draft.create_token("deposit", token, scene.now, moved_from=moved)
        draft.set(keep_token_id=token.transaction_id, keep_total=token.total_amount)


def reserve_inputs(scene: Scene) -> None:
    """Lock the chosen tokens for this operation and note what they are worth."""
    selection, draft = scene.evidence.selection, scene.draft
    if selection is None:
        return
    draft.load(part.token for part in selection.chosen)
    for part in selection.chosen:
        draft.change_token(part.token.transaction_id, "reserve", scene.now)
    draft.set(
        inputs=tuple(
            InputRef(part.token.transaction_id, part.amount, len(part.proofs)) for part in selection.chosen
        ),
        input_fee=selection.input_fee,
        sources_total=sum(part.token.total_amount for part in selection.chosen),
    )


def release_inputs(scene: Scene) -> None:
    """Free what is still reserved, naming what the token's machine takes as proof. What the mint took
    meanwhile, for an operation that had freed it on trust, is marked as spent."""
    why, gone = RELEASED_BY.get(scene.decision.event, "nothing_sent"), scene.evidence.spent_meanwhile
    for n, part in enumerate(scene.draft.operation.inputs, 1):
        if scene.draft.token(part.token_id).state == "reserved":
            scene.draft.change_token(part.token_id, "release", scene.now, release=why)
            mark_spent(scene, scene.draft.token(part.token_id), gone, split_id(scene.draft.operation.id, n))


def write_blanks(scene: Scene) -> None:
    scene.draft.set(blanks=scene.evidence.blanks)


def write_request(scene: Scene) -> None:
    scene.draft.set(request_body=scene.evidence.request_body)


def adopt_split(scene: Scene) -> None:
    """The child's swap consumed our inputs; its outputs take their place, born reserved."""
    draft, proofs = scene.draft, scene.evidence.proofs or ()
    for part in draft.operation.inputs:
        draft.change_token(part.token_id, "spend", scene.now, consumption="swapped")
    fee = inputs_total(scene) - sum(proof.amount for proof in proofs)
    token = new_token(scene, split_id(draft.operation.id, 1), "change", "change", proofs)
    draft.create_token("deposit_reserved", attrs.evolve(token, reserved_by=draft.operation.id), scene.now)
    selection = scene.evidence.selection
    draft.set(
        inputs=(InputRef(token.transaction_id, token.total_amount, len(proofs)),),
        input_fee=selection.input_fee if selection else 0,
        sources_total=draft.operation.sources_total - fee,
    )


def stamp_sent(scene: Scene) -> None:
    scene.draft.set(sent_at=scene.now, attempts=scene.draft.operation.attempts + 1)


def spend_inputs(scene: Scene) -> None:
    """Mark what is still reserved as spent, naming the proof the decision rests on."""
    event, op = scene.decision.event, scene.draft.operation
    if event in ("fence_done", "fence_found"):
        proof = "swapped"
    elif event == "write_off" and scene.decision.next_state == "written_off":
        proof = "written_off"
    else:
        proof = "paid"
    for part in op.inputs:
        token = scene.draft.token(part.token_id)
        if token.state == "reserved" and token.reserved_by == op.id:
            scene.draft.change_token(part.token_id, "spend", scene.now, consumption=proof)


def spend_part(scene: Scene) -> None:
    """Mark the inputs that the fence of a part took as spent; the others stay reserved."""
    fence, op = scene.evidence.fence, scene.draft.operation
    if fence is None:
        return
    left, part = _set_apart(scene, keys_of(op, fence), part_id(op.id, fence.generation))
    for ref in part:
        scene.draft.change_token(ref.token_id, "spend", scene.now, consumption="swapped")
    scene.draft.set(inputs=(*left, *part))


def strand_part(scene: Scene) -> None:
    """Put inputs that cannot be fenced where no payment takes them; the others stay reserved."""
    op = scene.draft.operation
    name = stranded_id(op.id, len(op.stranded) + 1)
    left, part = _set_apart(scene, frozenset(scene.evidence.strand), name)
    for ref in part:
        scene.draft.change_token(ref.token_id, "strand", scene.now, mint_refuses=True)
    scene.draft.set(inputs=left, stranded=(*op.stranded, *part))


def strand_inputs(scene: Scene) -> None:
    """Put every input that is still held where no payment takes it, until it is known what became of it."""
    op = scene.draft.operation
    held = [ref for ref in op.inputs if scene.draft.token(ref.token_id).state == "reserved"]
    for ref in held:
        scene.draft.change_token(ref.token_id, "strand", scene.now, mint_refuses=True)
    left = tuple(ref for ref in op.inputs if ref not in held)
    scene.draft.set(inputs=left, stranded=(*op.stranded, *held))


def _set_apart(
    scene: Scene, keys: frozenset[str], new_id: str
) -> tuple[tuple[InputRef, ...], tuple[InputRef, ...]]:
    """Inputs with none of these proofs, and inputs with nothing else: what lies in a token with others is
    moved to one that is born reserved."""
    draft, op = scene.draft, scene.draft.operation
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
            draft.split_token(ref.token_id, gone, scene.now)
            moved[ref.token_id] = gone
            rest = draft.token(ref.token_id)
            left.append(InputRef(ref.token_id, rest.total_amount, len(rest.proofs)))
    if moved:
        proofs = tuple(proof for gone in moved.values() for proof in gone)
        token = attrs.evolve(new_token(scene, new_id, "change", "change", proofs), reserved_by=op.id)
        draft.create_token("deposit_reserved", token, scene.now, moved_from=moved)
        part.append(InputRef(new_id, token.total_amount, len(proofs)))
    return tuple(left), tuple(part)


def free_untouched(scene: Scene) -> None:
    """A request with one input SPENT elsewhere can never be executed (the mint takes all inputs or
    none): what the mint calls UNSPENT of the others is freed.
    Of a hold that nobody recorded there is no request of ours: what is UNSPENT is freed. What the mint took
    for an operation that had freed it on trust is that one's cost, and no loss of this one."""
    _correct_taken(scene)
    draft, held = scene.draft, scene.decision.state == "contested"
    states = {state.Y: state.state for state in scene.evidence.states or ()}
    for n, part in enumerate(draft.operation.inputs, 1):
        token = draft.token(part.token_id)
        free = tuple(proof for proof in token.proofs if states.get(name_of(proof)) == "UNSPENT")
        if token.state != "reserved" or not free:
            continue
        if len(free) == len(token.proofs):
            draft.change_token(
                part.token_id, "release", scene.now, release="mint_says_unspent" if held else "request_dead"
            )
        else:
            draft.split_token(part.token_id, free, scene.now)
            move_off(scene, token, free, split_id(draft.operation.id, n))


def _correct_taken(scene: Scene) -> None:
    """Mark as spent, and not as given up, what the mint took meanwhile for another operation."""
    draft, gone, op = scene.draft, scene.evidence.spent_meanwhile, scene.draft.operation
    for n, part in enumerate(op.inputs, 1):
        token = draft.token(part.token_id)
        taken = tuple(proof for proof in token.proofs if proof.secret in gone)
        if not taken or (token.state, token.reserved_by) != ("reserved", op.id):
            continue
        if len(taken) < len(token.proofs):
            draft.split_token(part.token_id, taken, scene.now)
            token = move_off(scene, token, taken, f"{split_id(op.id, n)}_taken")
        else:
            draft.change_token(part.token_id, "release", scene.now, release="request_dead")
        draft.change_token(token.transaction_id, "correct_spent", scene.now, mint_spent_count=len(taken))
