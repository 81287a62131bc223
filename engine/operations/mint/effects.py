"""Effects of funding: tokens that are awaited, issued or handed in."""

from __future__ import annotations

import attrs

from ....storage.records import Fence
from ...loop.effect_context import Scene, new_token
from ...tokens.token_ids import deposit_id, minted_id


def expect_token(scene: Scene) -> None:
    op = scene.draft.operation
    token = new_token(scene, minted_id(op.id), "minted", "lightning", ())
    scene.draft.create_token("expect", attrs.evolve(token, reserved_by=op.id), scene.now)


def fail_token(scene: Scene) -> None:
    scene.draft.change_token(minted_id(scene.draft.operation.id), "fail", scene.now, mint_cannot_issue=True)


def write_outputs(scene: Scene) -> None:
    """Store outputs and request; outputs of an earlier try stay restorable as a generation."""
    op = scene.draft.operation
    if op.blanks and op.request_body is not None:
        old = Fence(len(op.fences) + 1, op.blanks, 0)
        scene.draft.set(fences=(*op.fences, old))
    scene.draft.set(blanks=scene.evidence.outputs, request_body=scene.evidence.request_body, refusals=0)


def stamp_paid(scene: Scene) -> None:
    if scene.draft.operation.paid_seen_at is None:
        scene.draft.set(paid_seen_at=scene.now)


def count_refusal(scene: Scene) -> None:
    scene.draft.set(refusals=scene.draft.operation.refusals + 1)


def issue_token(scene: Scene) -> None:
    scene.draft.set(reason=None)  # what went wrong on the way stays in the audit trail
    scene.draft.fill_token(minted_id(scene.draft.operation.id), scene.evidence.proofs or (), scene.now)


def store_deposit(scene: Scene) -> None:
    token = new_token(
        scene, deposit_id(scene.draft.operation.id), "received", "p2p", scene.evidence.proofs or ()
    )
    scene.draft.create_token("deposit", token, scene.now)
