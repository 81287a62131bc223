"""Melt, proven unpaid: end the old request for good by swapping its inputs to ourselves.

A swap of all inputs at once; of parts of them, where the mint refuses them together (:mod:`..fences`)."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from ...machines.money import denominations, input_fee
from ...storage.batch import proof_key
from ...storage.records import Fence, Proof, Reason
from ..evidence import Evidence
from ..fences import Step, generations, keys_of, next_step, proofs_in_order, stored_bytes
from ..keysets import MintSilent, NoUsableKeyset
from ..mint import wire
from ..mint.outputs import BadSignature, random_outputs, unblind_exact
from ..mint.port import Failure, Refused
from ..proofs import sent_keys
from ..run import Happened, Pause, Result, Run
from .answers import blames_inputs, names_inputs, post_failed, reason_of, signed_before, too_many_inputs
from .pay import ask_inputs, fence_evidence, find_fence, or_too_old, refused_as_gone, with_change


def resolve_unpaid(run: Run) -> Result:
    """Release on trust, retry or fence, as the operation's policy says."""
    if run.decide("release", Evidence()).accepted:
        return Happened("release")
    if run.decide("retry", Evidence()).accepted:
        return Happened("retry")
    try:
        info = run.keysets.info(run.mint_url)
        evidence = _next(run, can_restore=info.supports(9))
    except MintSilent as silent:
        return or_too_old(run, Happened(post_failed(silent.answer)))
    if evidence.strand:
        return Happened("strand", evidence)
    if run.decide("fence", evidence).accepted:
        return Happened("fence", evidence)
    told = Reason("FENCE_IMPOSSIBLE", "the mint cannot swap and restore, or too many fences were tried")
    return Happened("fence_impossible", Evidence(reason=evidence.reason or told))


def _left(run: Run) -> tuple[str, ...]:
    """The keys of the inputs that are still held, in the order in which they were sent."""
    held = {proof_key(proof.secret) for proof in run.input_proofs()}
    return tuple(key for key in sent_keys(run.operation) if key in held)


def _next(run: Run, can_restore: bool) -> Evidence:
    """The next fence, with what the mint can do; or inputs that cannot be fenced."""
    run.keysets.listed(run.mint_url, refresh=True)
    step = next_step(run.operation, _left(run), run.limits.of(run.mint_url))
    if step is None:
        return Evidence()
    proofs = _of(run, step.keys)
    if step.action == "strand" or sum(proof.amount for proof in proofs) <= _fee(run, proofs):
        return Evidence(strand=step.keys, reason=_stranded(step, proofs))
    try:
        fence = _new_fence(run, step.keys, proofs)
    except NoUsableKeyset as none:
        return Evidence(reason=Reason(none.code, f"no fence can be made now: {none}"))
    able = fence is not None
    return Evidence(fence=fence, mint_can_swap=able, mint_can_restore=able and can_restore)


def _of(run: Run, keys: Sequence[str]) -> tuple[Proof, ...]:
    by_key = {proof_key(proof.secret): proof for proof in run.input_proofs()}
    return tuple(by_key[key] for key in keys)


def _stranded(step: Step, proofs: Sequence[Proof]) -> Reason:
    amount = sum(proof.amount for proof in proofs)
    if step.action == "strand":
        words = (
            f"the mint refuses a coin of {amount} alone and for good; an operator decides what becomes of it"
        )
    else:
        words = f"{len(proofs)} coins worth {amount} are left, which is no more than their own fee"
    return Reason("COINS_STRANDED", words, details={"amount": amount, "proofs": len(proofs)})


def _fee(run: Run, proofs: Sequence[Proof]) -> int:
    """NUT-02 fee. Of a keyset that is no longer listed: that of the same proofs in the melt if these are
    all of them, else nothing for its proofs, which the mint refuses anyway."""
    listed = {keyset.id: keyset.input_fee_ppk for keyset in run.keysets.listed(run.mint_url)}
    op = run.operation
    unknown = any(proof.id not in listed for proof in proofs)
    if unknown and len(proofs) == len(sent_keys(op)):
        return op.input_fee
    return input_fee(listed.get(proof.id, 0) for proof in proofs)


def _new_fence(run: Run, keys: Sequence[str], proofs: Sequence[Proof]) -> Fence | None:
    """A new generation for these inputs: outputs worth them less the input fee. None when the operation
    would store more than it may. Raises NoUsableKeyset."""
    op, fee = run.operation, _fee(run, proofs)
    worth = sum(proof.amount for proof in proofs) - fee
    _, keyset = run.keysets.usable(op.mint_url, op.unit, amount=worth)
    outputs = random_outputs(keyset.id, denominations(worth, keyset.keys), run.rng)
    inputs = () if len(keys) == len(sent_keys(op)) else tuple(keys)
    fence = Fence(len(op.fences) + 1, outputs, fee, inputs)
    if stored_bytes((*op.fences, fence)) > run.settings.fence_bytes_max:
        return None
    return fence


def post_fence(run: Run) -> Result:
    """Restore every generation first; ask the quote; post the newest only while all inputs are UNSPENT."""
    op = run.operation
    assert op.quote is not None
    wait = _wait_s(run, op.fences[-1])
    if wait > 0:
        return Pause(wait)
    found = find_fence(run)
    if isinstance(found, Happened):
        return found
    quote = run.mint.melt_quote_state(op.mint_url, op.quote.id)
    if not isinstance(quote, Failure) and quote.state == "PAID":
        return Happened("mint_paid", with_change(run, quote, Evidence(quote=quote)))
    if found is None:
        return or_too_old(run, Happened("mint_unreachable"))
    states = ask_inputs(run)
    if isinstance(states, Failure):
        return or_too_old(run, Happened(post_failed(states)))
    if any(state.state != "UNSPENT" for state in states):
        return _gone(run)
    return _post(run)


def _post(run: Run) -> Result:
    op = run.operation
    fence = op.fences[-1]
    proofs = proofs_in_order(op, fence, run.input_proofs())
    answer = run.mint.swap(op.mint_url, wire.swap_body(proofs, fence.outputs))
    if isinstance(answer, Failure):
        if refused_as_gone(answer):
            return _gone(run)
        if isinstance(answer, Refused) or too_many_inputs(answer):
            return _refused(run, fence, answer)
        return or_too_old(run, Happened("reply_lost", Evidence(answer=answer)))
    try:
        signed = unblind_exact(fence.outputs, answer, run.keys)
    except (BadSignature, MintSilent):
        return or_too_old(run, Happened("reply_lost"))
    return Happened("fence_done", fence_evidence(fence, signed))


def _wait_s(run: Run, fence: Fence) -> float:
    """How long to wait before a fence that was refused is posted again: doubling from poll_min_s."""
    if fence.refused_at is None:
        return 0.0
    wait = min(run.settings.poll_max_s, run.settings.poll_min_s * 2.0 ** min(fence.refusals - 1, 20))
    passed = (run.now() - fence.refused_at) / 1000
    return max(0.0, wait - passed) if passed >= 0 else wait


def _refused(run: Run, fence: Fence, answer: Failure) -> Result:
    """Codes differ between releases, so more is asked than the code: is a fence of ours signed, are the
    inputs UNSPENT, would a new one differ? Old generations stay restorable, so a new one is safe, and so
    is one of a part. What is refused for another reason is only posted again, later."""
    states = ask_inputs(run)
    if isinstance(states, Failure):
        return or_too_old(run, Happened(post_failed(states)))
    if any(state.state != "UNSPENT" for state in states):
        return _gone(run)
    size = len(keys_of(run.operation, fence))
    evidence = Evidence(answer=answer, fence_outputs_asked=True, reason=reason_of(answer, "fence refused"))
    if too_many_inputs(answer):
        run.limits.learn(run.mint_url, size)
        judged = attrs.evolve(evidence, fence_end="many") if size > 1 else None
    else:
        judged = _judged(run, fence, answer, evidence, size)
    refused = _confirm_unsigned(run, judged or evidence)
    if refused.event == "fence_refused" and judged is None:
        return or_too_old(run, Happened("reply_lost", Evidence(answer=answer)))
    return refused


def _judged(run: Run, fence: Fence, answer: Failure, evidence: Evidence, size: int) -> Evidence | None:
    """What a refusal means that says nothing of too many inputs; None when it means nothing."""
    if _would_differ(run, fence):
        return attrs.evolve(evidence, fence_renewable=True)
    op, since = run.operation, fence.refused_since
    blamed, named = blames_inputs(answer), names_inputs(answer)
    proven = any(other.end in ("refused", "doubted") for other in op.fences)
    long = since is not None and run.now() - since >= run.settings.fence_patience_s * 1000
    times = fence.refusals + 1 >= run.settings.fence_refusals_max
    often = times and (named or proven or long)
    first = not proven and generations(op, _keys(run, fence)) == 1
    if signed_before(answer) and (first or not blamed):
        return attrs.evolve(evidence, fence_renewable=times)
    if not blamed:
        return None
    definitive = isinstance(answer, Refused) and answer.definitive
    # that this mint refuses such a coin for good is known once a larger part was refused so
    if not (definitive or often or (proven and size > 1)):
        return evidence
    return attrs.evolve(evidence, fence_end="refused" if definitive or named else "doubted")


def _keys(run: Run, fence: Fence) -> tuple[str, ...]:
    return fence.inputs or sent_keys(run.operation)


def _would_differ(run: Run, newest: Fence) -> bool:
    """Whether a fence of the same inputs built now has another keyset or fee than the newest one."""
    keys = _keys(run, newest)
    try:
        run.keysets.listed(run.mint_url, refresh=True)
        fence = _new_fence(run, keys, _of(run, keys))
    except (MintSilent, NoUsableKeyset):
        return False
    return fence is not None and (fence.outputs[0].id, fence.input_fee) != (
        newest.outputs[0].id,
        newest.input_fee,
    )


def _gone(run: Run) -> Happened:
    """Inputs are spent or pending: by a fence of ours, or by the old request."""
    reason = Reason("FENCE_REFUSED", "the inputs are spent or pending", retryable=True)
    return _confirm_unsigned(
        run, Evidence(fence_outputs_asked=True, fence_refused_as_gone=True, reason=reason)
    )


def _confirm_unsigned(run: Run, evidence: Evidence) -> Happened:
    """Before believing a refusal, look once more whether a generation of ours was signed meanwhile."""
    found = find_fence(run)
    if isinstance(found, Happened):
        return found
    if found is None:
        return or_too_old(run, Happened("mint_unreachable"))
    return Happened("fence_refused", evidence)
