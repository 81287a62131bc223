"""Effects of melts that the caller makes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ....storage.records import InputRef, Payment, Proof
from ....storage.secret import Secret
from ...loop.effect_context import EffectContext, consumed_tokens, is_free, move_off, new_token
from ...tokens.token_ids import change_id, split_id
from ..shared.inputs import free_unspent, inputs_given_up, keep_of, refs_of, release, spend
from .data import record_of

RELEASED_BY: Mapping[str, str] = {"unhold": "caller_word", "hold_over": "mint_says_unspent"}
"""The proof by which an edge frees the held tokens."""


def take_claim(context: EffectContext) -> None:
    """Claim the payment hash; a payment that was recorded without one claims nothing."""
    recorded = context.evidence.recorded
    named = recorded.payment_hash if recorded else None
    context.draft.set(claim=named or context.draft.operation.payment_hash)


def release_inputs(context: EffectContext) -> None:
    """Free the held tokens, on the caller's word or the mint's."""
    release(context, RELEASED_BY[context.decision.event])


def free_untouched(context: EffectContext) -> None:
    """Free the UNSPENT proofs of a hold that is given up: no payment with them was recorded."""
    free_unspent(context, "mint_says_unspent")


def spend_inputs(context: EffectContext) -> None:
    """Mark the tokens that are still held as spent: they are given up."""
    spend(context, "written_off")


def record_loss(context: EffectContext) -> None:
    """Keep the value that was given up. Recorded: the used sources that other operations have spent, unless
    their account tells them as lost; a source that another operation still holds is told when that one ends.
    sources = amount + fee + keep + change holds without it. Not recorded: the held tokens."""
    draft, data = context.draft, record_of(context.operation)
    if data.payment is None:
        context.set_data(loss=inputs_given_up(context))
        return
    told = context.evidence.told_by_others
    spent = [part for part in data.contested if draft.token(part.token_id).state == "spent"]
    context.set_data(loss=sum(part.amount for part in spent if part.token_id not in told))


def record_melt(context: EffectContext) -> None:
    """A melt the caller made: sources spent, keep and change stored, all in this commit."""
    selection = context.evidence.selection
    if selection is None:
        return
    _note_payment(context)
    keep_of(context, selection.chosen)
    for part in selection.chosen:
        _reserve(context, part.token.transaction_id)
        context.draft.change_token(part.token.transaction_id, "spend", context.now, consumption="recorded")
    _store_change(context)
    context.draft.set(inputs=refs_of(selection.chosen))
    context.set_data(sources_total=sum(part.token.total_amount for part in selection.chosen))


def park_record(context: EffectContext) -> None:
    """Park a melt of the caller whose sources are not all free, or whose payment another operation claims:
    keep and change are stored and spendable, free sources are reserved, the others noted. The claim is taken
    if it is free. The consumed proofs are kept as a request is, among the secrets."""
    selection, draft = context.evidence.selection, context.draft
    if selection is None:
        return
    _note_payment(context)
    draft.load(part.token for part in selection.chosen)
    free = [
        part for part in selection.chosen if is_free(draft.token(part.token.transaction_id), draft.operation)
    ]
    taken = [part for part in selection.chosen if part not in free]
    keep_of(context, free)
    for part in free:
        _reserve(context, part.token.transaction_id)
    _store_change(context)
    op = draft.operation
    consumed = [{"secret": proof.secret.reveal()} for proof in selection.proofs]
    holder = context.evidence.claim_holder
    draft.set(inputs=refs_of(free), claim=op.payment_hash if holder in (None, op.id) else op.claim)
    context.set_data(
        contested=refs_of(taken),
        # untouched proofs of a contested source stay where they are and are no part of the sum
        sources_total=sum(p.token.total_amount for p in free) + sum(p.amount for p in taken),
        request_body=Secret(json.dumps({"inputs": consumed}, separators=(",", ":"))),
    )


def spend_contested(context: EffectContext) -> None:
    """Spend what was consumed, wherever it lies by now: untouched proofs of a free token are split off
    it first. Proofs that others hold or have spent stay noted as contested."""
    draft = context.draft
    secrets = record_of(draft.operation).sent_secrets()
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
            draft.split_token(token.transaction_id, untouched, context.now)
            move_off(context, token, untouched, split_id(draft.operation.id, n))
        _reserve(context, token.transaction_id)
        draft.change_token(token.transaction_id, "spend", context.now, consumption="recorded")
        spent.append(ref)
    draft.set(inputs=tuple(spent))
    context.set_data(contested=tuple(left))


def _note_payment(context: EffectContext) -> None:
    draft, recorded = context.draft, context.evidence.recorded
    if recorded is None:
        return
    changes: dict[str, Any] = {"amount": recorded.amount}
    if recorded.payment_hash is not None:
        changes |= {"payment_hash": recorded.payment_hash, "request": recorded.request}
    if context.decision.next_state == "settled":
        changes["reason"] = None  # what went wrong on the way stays in the audit trail
    draft.set(**changes)
    context.set_data(
        payment=Payment(context.now, lightning_fee=recorded.fee),
        proven_by="caller",
        recorded_hash=recorded.fingerprint,
    )


def _reserve(context: EffectContext, token_id: str) -> None:
    if context.draft.token(token_id).state == "unspent":
        context.draft.change_token(token_id, "reserve", context.now)


def _store_change(context: EffectContext) -> None:
    proofs: tuple[Proof, ...] = context.evidence.proofs or ()
    if not proofs:
        return
    token = new_token(context, change_id(context.draft.operation.id), "change", "change", proofs)
    context.draft.create_token("deposit", token, context.now)
    context.set_data(change_token_id=token.transaction_id, change_amount=token.total_amount)
