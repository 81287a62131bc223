"""Effects of melts that the caller made himself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from .....storage.records import InputRef, Payment, Proof
from .....storage.secret import Secret
from ....loop.effect_context import Scene, consumed_tokens, is_free, move_off, new_token
from ....loop.evidence import Chosen
from ....tokens.proofs import sent_secrets
from ....tokens.token_ids import change_id, split_id
from ..effects_inputs import keep_of


def record_melt(scene: Scene) -> None:
    """A melt the caller made: sources spent, keep and change stored, all in this commit."""
    selection = scene.evidence.selection
    if selection is None:
        return
    _note_payment(scene)
    keep_of(scene, selection.chosen)
    for part in selection.chosen:
        _reserve(scene, part.token.transaction_id)
        scene.draft.change_token(part.token.transaction_id, "spend", scene.now, consumption="recorded")
    _store_change(scene)
    scene.draft.set(
        inputs=_refs(selection.chosen),
        sources_total=sum(part.token.total_amount for part in selection.chosen),
    )


def park_record(scene: Scene) -> None:
    """A melt the caller made with sources that are not all free, or that somebody else claims: keep and
    change are stored and spendable, free sources are reserved, the others noted. The claim is taken if
    nobody has it. Which proofs were consumed is kept as a request is, among the secrets."""
    selection, draft = scene.evidence.selection, scene.draft
    if selection is None:
        return
    _note_payment(scene)
    draft.load(part.token for part in selection.chosen)
    free = [
        part for part in selection.chosen if is_free(draft.token(part.token.transaction_id), draft.operation)
    ]
    taken = [part for part in selection.chosen if part not in free]
    keep_of(scene, free)
    for part in free:
        _reserve(scene, part.token.transaction_id)
    _store_change(scene)
    op = draft.operation
    consumed = [{"secret": proof.secret.reveal()} for proof in selection.proofs]
    holder = scene.evidence.claim_holder
    draft.set(
        inputs=_refs(free),
        contested=_refs(taken),
        # untouched proofs of a contested source stay where they are and are no part of the sum
        sources_total=sum(p.token.total_amount for p in free) + sum(p.amount for p in taken),
        request_body=Secret(json.dumps({"inputs": consumed}, separators=(",", ":"))),
        claim=op.payment_hash if holder in (None, op.id) else op.claim,
    )


def spend_contested(scene: Scene) -> None:
    """Spend what was consumed, wherever it lies by now: untouched proofs of a free token are split off
    it first. What others hold or have spent stays noted as contested."""
    draft = scene.draft
    secrets = sent_secrets(draft.operation)
    spent: list[InputRef] = []
    left: list[InputRef] = []
    for n, token in enumerate(consumed_tokens(draft.all_tokens(), secrets), 1):
        gone = tuple(proof for proof in token.proofs if proof.secret in secrets)
        ref = InputRef(token.transaction_id, sum(proof.amount for proof in gone), len(gone))
        if not is_free(token, draft.operation):
            left.append(ref)
            continue
        untouched = tuple(proof for proof in token.proofs if proof.secret not in secrets)
        if untouched:
            draft.split_token(token.transaction_id, untouched, scene.now)
            move_off(scene, token, untouched, split_id(draft.operation.id, n))
        _reserve(scene, token.transaction_id)
        draft.change_token(token.transaction_id, "spend", scene.now, consumption="recorded")
        spent.append(ref)
    draft.set(inputs=tuple(spent), contested=tuple(left))


def _note_payment(scene: Scene) -> None:
    draft, recorded = scene.draft, scene.evidence.recorded
    if recorded is None:
        return
    changes: dict[str, Any] = {
        "amount": recorded.amount,
        "payment": Payment(scene.now, lightning_fee=recorded.fee),
        "evidence": "caller",
        "recorded_hash": recorded.fingerprint,
        "input_fee": 0,
    }
    if recorded.payment_hash is not None:
        changes |= {"payment_hash": recorded.payment_hash, "request": recorded.request}
    if scene.decision.next_state == "settled":
        changes["reason"] = None  # what went wrong on the way stays in the audit trail
    draft.set(**changes)


def _reserve(scene: Scene, token_id: str) -> None:
    if scene.draft.token(token_id).state == "unspent":
        scene.draft.change_token(token_id, "reserve", scene.now)


def _store_change(scene: Scene) -> None:
    proofs: tuple[Proof, ...] = scene.evidence.proofs or ()
    if not proofs:
        return
    token = new_token(scene, change_id(scene.draft.operation.id), "change", "change", proofs)
    scene.draft.create_token("deposit", token, scene.now)
    scene.draft.set(change_token_id=token.transaction_id, change_amount=token.total_amount)


def _refs(chosen: Sequence[Chosen]) -> tuple[InputRef, ...]:
    return tuple(InputRef(part.token.transaction_id, part.amount, len(part.proofs)) for part in chosen)
