"""Effects that bring the store in line with what the mint says."""

from __future__ import annotations

from ..proofs import name_of, sent_secrets
from .scene import Scene, mark_spent


def correct_spent(scene: Scene) -> None:
    """What the mint says is spent is split off its token and marked spent; the rest stays money."""
    draft, spent = scene.draft, scene.evidence.preflight_spent or frozenset()
    selection = scene.evidence.selection
    if scene.decision.state == "watching":
        # PAID: the mint took every proof we sent; they were freed and may have been moved since
        sent = sent_secrets(draft.operation)
        tokens = [t for t in draft.all_tokens() if any(proof.secret in sent for proof in t.proofs)]
    elif selection is not None:
        sent = frozenset(proof.secret for proof in selection.proofs if name_of(proof) in spent)
        draft.load(part.token for part in selection.chosen)
        tokens = [draft.token(part.token.transaction_id) for part in selection.chosen]
    else:
        tokens = [draft.token(part.token_id) for part in draft.operation.inputs]
        sent = frozenset(p.secret for token in tokens for p in token.proofs if name_of(p) in spent)
    for n, token in enumerate(tokens, 1):
        if token.state in ("unspent", "stranded"):
            mark_spent(scene, token, sent, n)


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
