"""Effects that bring the store in line with what the mint says."""

from __future__ import annotations

from collections.abc import Sequence

from ....storage.batch import proof_key
from ....storage.records import Token
from ....storage.secret import Secret
from ...loop.effect_context import Scene, consumed_tokens, mark_spent, new_token
from ...tokens.proofs import name_of, sent_secrets
from ...tokens.token_ids import change_id, part_id, split_id
from ..melt.fences import keys_of


def correct_spent(scene: Scene) -> None:
    """What the mint says is spent is split off its token and marked spent; the rest stays money."""
    draft, fence = scene.draft, scene.evidence.fence
    tokens, spent = _spent(scene)
    for n, token in enumerate(tokens, 1):
        if token.state in ("unspent", "stranded"):
            op_id = draft.operation.id
            new_id = split_id(op_id, n) if fence is None else f"{part_id(op_id, fence.generation)}_{n}"
            mark_spent(scene, token, spent, new_id)


def _spent(scene: Scene) -> tuple[Sequence[Token], frozenset[Secret]]:
    """The tokens to look at, and the secrets of what is spent."""
    draft, op, fence = scene.draft, scene.draft.operation, scene.evidence.fence
    said, selection = scene.evidence.preflight_spent or frozenset(), scene.evidence.selection
    if fence is not None:
        # a fence of ours came late: it took these, which were freed and may have been moved since
        keys, held = keys_of(op, fence), draft.all_tokens()
        spent = frozenset(p.secret for t in held for p in t.proofs if proof_key(p.secret) in keys)
        return consumed_tokens(held, spent), spent
    if scene.decision.state in ("watching", "stuck"):
        # PAID: the mint took every proof we sent; they were freed and may have been moved since
        if op.stranded:
            draft.set(inputs=(*op.inputs, *op.stranded), stranded=())
        spent = sent_secrets(op)
        return consumed_tokens(draft.all_tokens(), spent), spent
    if selection is not None:
        draft.load(part.token for part in selection.chosen)
        tokens = [draft.token(part.token.transaction_id) for part in selection.chosen]
        return tokens, frozenset(proof.secret for proof in selection.proofs if name_of(proof) in said)
    tokens = [draft.token(part.token_id) for part in op.inputs]
    return tokens, frozenset(p.secret for token in tokens for p in token.proofs if name_of(p) in said)


def store_late_change(scene: Scene) -> None:
    """Store the change of a payment that was given up, as change of the check that found it."""
    proofs = scene.evidence.proofs or ()
    if proofs:
        token = new_token(scene, change_id(scene.draft.operation.id), "change", "change", proofs)
        scene.draft.create_token("deposit", token, scene.now)
        scene.draft.set(change_token_id=token.transaction_id, change_amount=token.total_amount)


def free_stranded(scene: Scene) -> None:
    """Every named token that is stranded is money again."""
    for token_id in _stranded(scene):
        scene.draft.change_token(token_id, "retry", scene.now)


def drop_stranded(scene: Scene) -> None:
    """Every named token that is stranded is given up."""
    for token_id in _stranded(scene):
        scene.draft.change_token(token_id, "write_off", scene.now, consumption="written_off")


def _stranded(scene: Scene) -> list[str]:
    selection = scene.evidence.selection
    if selection is None:
        return []
    scene.draft.load(part.token for part in selection.chosen)
    return [part.token.transaction_id for part in selection.chosen if part.token.state == "stranded"]
