"""Melt, proven unpaid: end the old request for good by swapping its inputs to ourselves."""

from __future__ import annotations

from ...machines.money import denominations
from ...storage.records import Fence, Reason
from ..evidence import Evidence
from ..keysets import MintSilent, NoUsableKeyset
from ..mint import wire
from ..mint.outputs import BadSignature, random_outputs, unblind_exact
from ..mint.port import Failure, Refused
from ..run import Happened, Result, Run
from .answers import post_failed, reason_of
from .pay import ask_inputs, fence_evidence, find_fence, or_too_old, refused_as_gone, with_change


def resolve_unpaid(run: Run) -> Result:
    """Release on trust, retry or fence, as the operation's policy says."""
    if run.decide("release", Evidence()).accepted:
        return Happened("release")
    if run.decide("retry", Evidence()).accepted:
        return Happened("retry")
    try:
        info = run.keysets.info(run.mint_url)
        evidence = _new_fence(run, can_restore=info.supports(9))
    except MintSilent as silent:
        return or_too_old(run, Happened(post_failed(silent.answer)))
    if run.decide("fence", evidence).accepted:
        return Happened("fence", evidence)
    told = Reason("FENCE_IMPOSSIBLE", "the mint cannot swap and restore, or too many fences were tried")
    return Happened("fence_impossible", Evidence(reason=evidence.reason or told))


def _new_fence(run: Run, can_restore: bool) -> Evidence:
    """A new generation: outputs worth the inputs less the input fee, and the exact swap request."""
    op, proofs = run.operation, run.input_proofs()
    run.keysets.listed(op.mint_url, refresh=True)
    try:
        fee = run.keysets.fee_of(op.mint_url, proofs)
    except LookupError:
        fee = op.input_fee  # a keyset that is no longer listed: the fee of the same proofs in the melt
    worth = sum(proof.amount for proof in proofs) - fee
    if worth <= 0:
        return Evidence()
    try:
        _, keyset = run.keysets.usable(op.mint_url, op.unit, amount=worth)
    except NoUsableKeyset as none:
        return Evidence(reason=Reason(none.code, f"no fence can be made now: {none}"))
    outputs = random_outputs(keyset.id, denominations(worth, keyset.keys), run.rng)
    fence = Fence(len(op.fences) + 1, outputs, wire.swap_body(proofs, outputs), fee)
    return Evidence(fence=fence, mint_can_swap=True, mint_can_restore=can_restore)


def post_fence(run: Run) -> Result:
    """Restore every generation first; ask the quote; post the newest only while all inputs are UNSPENT."""
    op = run.operation
    assert op.quote is not None
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
    answer = run.mint.swap(op.mint_url, fence.request_body)
    if isinstance(answer, Failure):
        if refused_as_gone(answer):
            return _gone(run)
        if isinstance(answer, Refused):
            return _refused(run, answer)
        return or_too_old(run, Happened("reply_lost", Evidence(answer=answer)))
    try:
        proofs = unblind_exact(fence.outputs, answer, run.keys)
    except (BadSignature, MintSilent):
        return or_too_old(run, Happened("reply_lost"))
    return Happened("fence_done", fence_evidence(fence, proofs))


def _refused(run: Run, answer: Refused) -> Result:
    """Codes differ between releases, so the code is not asked but the evidence: is a generation of ours
    signed, are the inputs UNSPENT, would a new generation differ? Old generations stay restorable, so a
    new one is safe; one that would be the same again is only posted again, later."""
    states = ask_inputs(run)
    if isinstance(states, Failure):
        return or_too_old(run, Happened(post_failed(states)))
    if any(state.state != "UNSPENT" for state in states):
        return _gone(run)
    evidence = Evidence(answer=answer, fence_outputs_asked=True, reason=reason_of(answer, "fence refused"))
    refused = _confirm_unsigned(run, evidence)
    if refused.event == "fence_refused" and not _would_differ(run):
        return or_too_old(run, Happened("reply_lost", Evidence(answer=answer)))
    return refused


def _would_differ(run: Run) -> bool:
    """Whether a fence built now has another keyset or fee than the newest one."""
    newest = run.operation.fences[-1]
    try:
        fence = _new_fence(run, can_restore=True).fence
    except MintSilent:
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
