"""Melt, proven unpaid: end the old request for good by swapping its inputs to ourselves.

A swap of all inputs at once; of parts of them, where the mint refuses them together (:mod:`..fences`)."""

from __future__ import annotations

import attrs

from .....storage.records import Fence, Reason
from ....cashu.answers import (
    blames_inputs,
    names_inputs,
    post_failed,
    reason_of,
    signed_before,
    too_many_inputs,
)
from ....cashu.keysets import MintSilent, NoUsableKeyset
from ....cashu.port import Failure, Refused
from ....cashu.wire import bodies
from ....loop.drive import Happened, Pause, Result, Run
from ....loop.evidence import Evidence
from ...shared.asked import ask_inputs, refused_as_gone
from ...shared.outputs import post_swap
from ..data import melt_of
from ..fences import generations, keys_of, proofs_in_order
from .find_fence import fence_evidence, find_fence
from .next_fence import inputs_of, new_fence, next_fence
from .pay import ask_state, paid_with_ours


def resolve_unpaid(run: Run) -> Result:
    """Release on trust, retry or fence, as the operation's policy says."""
    if run.operation.policy.on_unpaid == "trust":
        return _trusted(run)
    if run.decide("retry", Evidence()).accepted:
        return Happened("retry")
    try:
        evidence = next_fence(run)
    except MintSilent as silent:
        return Happened(post_failed(silent.answer))
    if evidence.strand:
        return Happened("strand", evidence)
    if run.decide("fence", evidence).accepted:
        return Happened("fence", evidence)
    told = Reason(
        "FENCE_IMPOSSIBLE",
        "the mint does not support swap and restore, or too many fences were tried",
    )
    return Happened("fence_impossible", Evidence(reason=evidence.reason or told))


def _trusted(run: Run) -> Result:
    """The mint's word is asked for once more, because nothing but it frees the inputs."""
    found = ask_state(run)
    if isinstance(found, Happened) and run.decide("release", found.evidence).accepted:
        return Happened("release", found.evidence)
    return found


def post_fence(run: Run) -> Result:
    """Restore every generation first; ask the quote; post the newest only while all inputs are UNSPENT."""
    op = run.operation
    assert op.quote is not None
    wait = _wait_s(run, melt_of(op).fences[-1])
    if wait > 0:
        return Pause(wait)
    found = find_fence(run)
    if isinstance(found, Happened):
        return found
    quote = run.mint.melt_quote_state(op.mint_url, op.quote.id)
    if not isinstance(quote, Failure) and quote.state == "PAID":
        paid = paid_with_ours(run, quote)
        if paid.event == "mint_paid":
            return paid  # else the inputs are UNSPENT, and the fence is posted
    if found is None:
        return Happened("mint_unreachable")
    states = ask_inputs(run)
    if isinstance(states, Failure):
        return Happened(post_failed(states))
    if any(state.state != "UNSPENT" for state in states):
        return _gone(run)
    return _post(run)


def _post(run: Run) -> Result:
    op = run.operation
    fence = melt_of(op).fences[-1]
    proofs = proofs_in_order(op, fence, run.input_proofs())
    answer = post_swap(run, bodies.swap_body(proofs, fence.outputs), fence.outputs)
    if not isinstance(answer, Failure):
        return Happened("fence_done", fence_evidence(fence, answer))
    if refused_as_gone(answer):
        return _gone(run)
    if isinstance(answer, Refused) or too_many_inputs(answer):
        return _refused(run, fence, answer)
    return Happened("reply_lost", Evidence(answer=answer))


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
    is one of a part. A fence that is refused for another reason is only posted
    again, later."""
    states = ask_inputs(run)
    if isinstance(states, Failure):
        return Happened(post_failed(states))
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
        return Happened("reply_lost", Evidence(answer=answer))
    return refused


def _judged(run: Run, fence: Fence, answer: Failure, evidence: Evidence, size: int) -> Evidence | None:
    """The meaning of a refusal that does not complain about the number of inputs; None when it has none."""
    if _would_differ(run, fence):
        return attrs.evolve(evidence, fence_renewable=True)
    op, since = run.operation, fence.refused_since
    blamed, named = blames_inputs(answer), names_inputs(answer)
    proven = any(other.end in ("refused", "doubted") for other in melt_of(op).fences)
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
    return fence.inputs or melt_of(run.operation).sent_keys()


def _would_differ(run: Run, newest: Fence) -> bool:
    """Whether a fence of the same inputs built now has another keyset or fee than the newest one."""
    keys = _keys(run, newest)
    try:
        run.keysets.listed(run.mint_url, refresh=True)
        fence = new_fence(run, keys, inputs_of(run, keys))
    except (MintSilent, NoUsableKeyset):
        return False
    return fence is not None and (fence.outputs[0].id, fence.input_fee) != (
        newest.outputs[0].id,
        newest.input_fee,
    )


def _gone(run: Run) -> Happened:
    """Inputs are spent or pending: by a fence of ours, or by the old request."""
    reason = Reason(
        "FENCE_REFUSED", "the mint refused the swap: it calls the inputs spent or pending", retryable=True
    )
    return _confirm_unsigned(
        run, Evidence(fence_outputs_asked=True, fence_refused_as_gone=True, reason=reason)
    )


def _confirm_unsigned(run: Run, evidence: Evidence) -> Happened:
    """Before believing a refusal, look once more whether a generation of ours was signed meanwhile."""
    found = find_fence(run)
    if isinstance(found, Happened):
        return found
    if found is None:
        return Happened("mint_unreachable")
    return Happened("fence_refused", evidence)
