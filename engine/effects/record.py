"""Effects of melts that the caller made himself."""

from __future__ import annotations

from ...storage.records import InputRef, Payment
from ..token_ids import change_id
from .inputs import split_off_keep
from .scene import Scene, new_token


def record_melt(scene: Scene) -> None:
    """A melt the caller made: sources spent, keep and change stored, all in this commit."""
    draft = scene.draft
    split_off_keep(scene)
    selection = scene.evidence.selection
    if selection is None:
        return
    for part in selection.chosen:
        if draft.token(part.token.transaction_id).state == "unspent":
            draft.change_token(part.token.transaction_id, "reserve", scene.now)
        draft.change_token(part.token.transaction_id, "spend", scene.now, consumption="recorded")
    draft.set(
        inputs=tuple(
            InputRef(part.token.transaction_id, part.amount, len(part.proofs)) for part in selection.chosen
        ),
        sources_total=sum(part.token.total_amount for part in selection.chosen),
        payment=Payment(scene.now, lightning_fee=scene.evidence.recorded_fee),
    )
    proofs = scene.evidence.proofs or ()
    if proofs:
        token = new_token(scene, change_id(draft.operation.id), "change", "change", proofs)
        draft.create_token("deposit", token, scene.now)
        draft.set(change_token_id=token.transaction_id, change_amount=token.total_amount)
