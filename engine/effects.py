"""Effects: the names in a machine's table, turned into changes of the draft. No I/O happens here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs
from attrs import frozen

from ..machines.money import owed_max, owed_min
from ..machines.spec import Decision
from ..storage.records import Fence, InputRef, Operation, Payment, Proof, Quote, Reason, Token, TokenMetadata
from .draft import Draft
from .evidence import Evidence
from .ids import legacy_operation_hash
from .proofs import name_of, preimage_matches, sent_secrets
from .settings import Settings
from .token_ids import change_id, deposit_id, fenced_id, keep_id, minted_id, split_id


@frozen
class Scene:
    """What an effect may look at."""

    draft: Draft
    decision: Decision
    evidence: Evidence
    settings: Settings
    now: int


Effect = Callable[[Scene], None]
QUOTE_YEARS_MS = 10 * 365 * 24 * 3_600_000


def inputs_total_of(op: Operation) -> int:
    return sum(part.amount for part in op.inputs)


def inputs_total(scene: Scene) -> int:
    return inputs_total_of(scene.draft.operation)


def owed_bounds(amount: int, fee_reserve: int, input_fee: int, inputs: int) -> tuple[int, int]:
    """(owed_min, owed_max) of the change, in the operation's unit."""
    return owed_min(inputs, amount, input_fee, fee_reserve), owed_max(inputs, amount, input_fee)


def _new_token(scene: Scene, token_id: str, kind: str, source: str, proofs: tuple[Proof, ...]) -> Token:
    op = scene.draft.operation
    return Token(
        transaction_id=token_id,
        npub=op.npub,
        wallet_id=op.wallet_id,
        mint_url=op.mint_url,
        unit=op.unit,
        transaction_type=kind,
        state="none",
        version=0,
        proofs=proofs,
        total_amount=sum(proof.amount for proof in proofs),
        metadata=TokenMetadata(
            source=source,
            parent_transaction_id=op.id if kind == "change" else None,
            operation_hash=legacy_operation_hash(
                npub=op.npub,
                mint_url=op.mint_url,
                amount=op.amount,
                source_ids=op.policy.sources,
                operation_type=op.kind,
            ),
            atomic_operation=True,
            operation_timestamp=scene.now,
        ),
        created_at=scene.now,
        updated_at=scene.now,
    )


def store_quote(scene: Scene) -> None:
    """Keep the quote; a quote without expiry gets the configured lifetime."""
    lifetime_end = scene.now + int(scene.settings.quote_lifetime_s * 1000)
    longest = scene.now + QUOTE_YEARS_MS
    melt, mint = scene.evidence.quote, scene.evidence.mint_quote
    if melt is not None:
        expires_at = min(melt.expires_at or lifetime_end, longest)
        quote = Quote(melt.id, melt.amount, melt.fee_reserve, expires_at)
        scene.draft.set(quote=quote, fee_reserve=melt.fee_reserve)
    elif mint is not None:
        amount = scene.draft.operation.amount
        expires_at = min(mint.expires_at or lifetime_end, longest)
        scene.draft.set(quote=Quote(mint.id, amount, 0, expires_at, mint.request))


def record_reason(scene: Scene) -> None:
    reason = scene.evidence.reason
    if reason is None and scene.evidence.operator_reason:
        reason = Reason(f"OPERATOR_{scene.decision.event.upper()}", scene.evidence.operator_reason)
    scene.draft.set(reason=reason)


def take_claim(scene: Scene) -> None:
    scene.draft.set(claim=scene.draft.operation.payment_hash)


def drop_claim(scene: Scene) -> None:
    scene.draft.set(claim=None)


# -- inputs --------------------------------------------------------------------------------------------


def split_off_keep(scene: Scene) -> None:
    """Move the untouched proofs of every chosen token into one keep token."""
    selection, draft = scene.evidence.selection, scene.draft
    if selection is None:
        return
    draft.load(part.token for part in selection.chosen)
    moved: dict[str, tuple[Proof, ...]] = {}
    for part in selection.chosen:
        if part.left_behind:
            draft.split_token(part.token.transaction_id, part.left_behind, scene.now)
            moved[part.token.transaction_id] = part.left_behind
    kept = (*selection.left_behind, *scene.evidence.keep)
    if kept:
        token = _new_token(scene, keep_id(draft.operation.id), "change", "change", kept)
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
    trusted = scene.decision.event == "release"
    for part in scene.draft.operation.inputs:
        if scene.draft.token(part.token_id).state == "reserved":
            scene.draft.change_token(
                part.token_id, "release", scene.now, release="trusted" if trusted else "nothing_sent"
            )


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
    token = _new_token(scene, split_id(draft.operation.id, 1), "change", "change", proofs)
    draft.create_token("deposit_reserved", attrs.evolve(token, reserved_by=draft.operation.id), scene.now)
    selection = scene.evidence.selection
    draft.set(
        inputs=(InputRef(token.transaction_id, token.total_amount, len(proofs)),),
        input_fee=selection.input_fee if selection else 0,
        sources_total=draft.operation.sources_total - fee,
    )


def stamp_sent(scene: Scene) -> None:
    scene.draft.set(sent_at=scene.now, attempts=scene.draft.operation.attempts + 1)


# -- the end of the inputs -----------------------------------------------------------------------------


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


def store_payment(scene: Scene) -> None:
    """Keep when and how the payment was proven, once; a wrong preimage is recorded, not refused."""
    op, quote = scene.draft.operation, scene.evidence.quote
    if scene.decision.event == "mint_paid":
        scene.draft.set(reason=None)  # what went wrong on the way stays in the audit trail
    if op.payment is not None:
        return
    preimage = quote.preimage if quote else None
    matches = None if preimage is None else preimage_matches(preimage, op.payment_hash)
    scene.draft.set(payment=Payment(scene.now, preimage, matches))


def store_change(scene: Scene) -> None:
    """Store the change as unspent money with its parent; what is missing of owed_max was the fee."""
    draft, proofs = scene.draft, scene.evidence.proofs or ()
    op = draft.operation
    if proofs:
        token = _new_token(scene, change_id(op.id), "change", "change", proofs)
        draft.create_token("deposit", token, scene.now)
        draft.set(change_token_id=token.transaction_id, change_amount=token.total_amount)
    owed = owed_max(inputs_total(scene), op.amount, op.input_fee)
    fee = owed - sum(proof.amount for proof in proofs)
    if op.payment is not None:
        draft.set(payment=attrs.evolve(op.payment, lightning_fee=fee))


def write_fence(scene: Scene) -> None:
    if scene.evidence.fence is not None:
        scene.draft.set(fences=(*scene.draft.operation.fences, scene.evidence.fence))


def store_fenced(scene: Scene) -> None:
    draft, proofs = scene.draft, scene.evidence.proofs or ()
    token = _new_token(scene, fenced_id(draft.operation.id), "change", "change", proofs)
    draft.create_token("deposit", token, scene.now)
    draft.set(fenced_token_id=token.transaction_id)


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
        gone = tuple(proof for proof in token.proofs if proof.secret in sent)
        if token.state != "unspent" or not gone:
            continue
        if len(gone) < len(token.proofs):
            draft.split_token(token.transaction_id, gone, scene.now)
            token = _move_off(scene, token, gone, n)
        draft.change_token(token.transaction_id, "correct_spent", scene.now, mint_spent_count=len(gone))


def stamp_empty(scene: Scene) -> None:
    scene.draft.set(change_empty_since=scene.now)


def free_untouched(scene: Scene) -> None:
    """A request with one input SPENT elsewhere can never be executed (the mint takes all inputs or
    none): what the mint calls UNSPENT of the others is freed. Needs quote UNPAID, asked afterwards."""
    draft, quote = scene.draft, scene.evidence.quote
    states = {state.Y: state.state for state in scene.evidence.states or ()}
    if quote is None or quote.state != "UNPAID" or "SPENT" not in states.values():
        return
    for n, part in enumerate(draft.operation.inputs, 1):
        token = draft.token(part.token_id)
        free = tuple(proof for proof in token.proofs if states.get(name_of(proof)) == "UNSPENT")
        if token.state != "reserved" or not free:
            continue
        if len(free) == len(token.proofs):
            draft.change_token(part.token_id, "release", scene.now, release="request_dead")
        else:
            draft.split_token(part.token_id, free, scene.now)
            _move_off(scene, token, free, n)


def _move_off(scene: Scene, token: Token, proofs: tuple[Proof, ...], n: int) -> Token:
    """A new unspent token of the same kind with proofs that were just split off ``token``."""
    draft = scene.draft
    new_id = split_id(draft.operation.id, n)
    part = _new_token(scene, new_id, token.transaction_type, token.metadata.source, proofs)
    part = attrs.evolve(part, metadata=token.metadata)
    draft.create_token("deposit", part, scene.now, moved_from={token.transaction_id: proofs})
    return part


def stamp_watch(scene: Scene) -> None:
    scene.draft.set(watch_since=scene.now)


def reset_tries(scene: Scene) -> None:
    scene.draft.set(attempts=0)


def record_loss(scene: Scene) -> None:
    """Paid: what is missing of the least that was owed. Not paid: the inputs that stay given up.
    Not issued: the amount."""
    draft, op = scene.draft, scene.draft.operation
    if op.kind == "mint":
        draft.set(loss=op.amount)
        return
    if op.payment is None:
        given_up = [draft.token(part.token_id) for part in op.inputs]
        draft.set(loss=sum(token.total_amount for token in given_up if token.state == "spent"))
        return
    least, most = owed_bounds(op.amount, op.fee_reserve, op.input_fee, inputs_total(scene))
    missing = max(0, least - op.change_amount)
    fee = most - op.change_amount - missing
    draft.set(loss=missing, payment=attrs.evolve(op.payment, lightning_fee=fee))


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
        token = _new_token(scene, change_id(draft.operation.id), "change", "change", proofs)
        draft.create_token("deposit", token, scene.now)
        draft.set(change_token_id=token.transaction_id, change_amount=token.total_amount)


def alarm(scene: Scene) -> None:
    """Nothing is written here: the effect's name makes the audit record and the log line CRITICAL."""


# -- funding -------------------------------------------------------------------------------------------


def expect_token(scene: Scene) -> None:
    op = scene.draft.operation
    token = _new_token(scene, minted_id(op.id), "minted", "lightning", ())
    scene.draft.create_token("expect", attrs.evolve(token, reserved_by=op.id), scene.now)


def fail_token(scene: Scene) -> None:
    scene.draft.change_token(minted_id(scene.draft.operation.id), "fail", scene.now, mint_cannot_issue=True)


def write_outputs(scene: Scene) -> None:
    """Store outputs and request; outputs of an earlier try stay restorable as a generation."""
    op = scene.draft.operation
    if op.blanks and op.request_body is not None:
        old = Fence(len(op.fences) + 1, op.blanks, op.request_body, 0)
        scene.draft.set(fences=(*op.fences, old))
    scene.draft.set(blanks=scene.evidence.outputs, request_body=scene.evidence.request_body)


def issue_token(scene: Scene) -> None:
    scene.draft.fill_token(minted_id(scene.draft.operation.id), scene.evidence.proofs or (), scene.now)


def store_deposit(scene: Scene) -> None:
    token = _new_token(
        scene, deposit_id(scene.draft.operation.id), "received", "p2p", scene.evidence.proofs or ()
    )
    scene.draft.create_token("deposit", token, scene.now)


_ALL: tuple[Effect, ...] = (
    store_quote, record_reason, take_claim, drop_claim, split_off_keep, reserve_inputs, release_inputs,
    write_blanks, write_request, adopt_split, stamp_sent, spend_inputs, store_payment, store_change,
    write_fence, store_fenced, correct_spent, stamp_empty, free_untouched, stamp_watch, reset_tries,
    record_loss, record_melt, alarm, expect_token, fail_token, write_outputs, issue_token, store_deposit,
)  # fmt: skip
EFFECTS: Mapping[str, Effect] = {effect.__name__: effect for effect in _ALL}


def apply(scene: Scene) -> None:
    """Stage every effect of an accepted decision, in the table's order."""
    for name in scene.decision.effects:
        EFFECTS[name](scene)
