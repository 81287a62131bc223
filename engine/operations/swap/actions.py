"""A swap in flight: post the stored request, and ask what became of it."""

from __future__ import annotations

from ....storage.records import Reason
from ...cashu.answers import names_inputs, post_failed, reason_of, too_many_inputs
from ...cashu.coins.crypto import y_of
from ...cashu.keysets import MintSilent
from ...cashu.port import Failure, ProofState, Refused
from ...loop.drive import Happened, Pause, Result, Run
from ...loop.evidence import Evidence
from ..shared.outputs import post_swap as post
from ..shared.outputs import restored
from .data import as_sent, swap_of

_DECIDING = ("refusal_stands", "refusal_seen", "resend", "give_up", "watch_over")
"""Events that rest on unsigned outputs and UNSPENT inputs, in the order in which they are tried."""


def post_swap(run: Run) -> Result:
    """Send the bytes that were stored, unchanged. A failure here proves nothing."""
    data = swap_of(run.operation)
    assert data.request_body is not None
    answer = post(run, data.request_body, as_sent(data.blanks))
    if not isinstance(answer, Failure):
        return Happened("signatures_received", Evidence(proofs=answer, proofs_verified=True))
    if too_many_inputs(answer):
        run.limits.learn(run.mint_url, len(data.sent_keys()))
    useless = isinstance(answer, Refused) and _keyset_is_gone(run)
    evidence = Evidence(answer=answer, outputs_useless=useless, reason=reason_of(answer, "swap request"))
    return Happened(post_failed(answer), evidence)


def _keyset_is_gone(run: Run) -> bool:
    """Whether the mint has stopped signing with the keyset of the stored outputs."""
    try:
        listed = run.keysets.listed(run.mint_url, refresh=True)
    except MintSilent:
        return False
    active = {keyset.id for keyset in listed if keyset.active}
    return swap_of(run.operation).blanks[0].id not in active


def clear_refusal(evidence: Evidence) -> str | None:
    """The cause of a refusal that the mint itself gave and that proves that it did not carry the request out:
    ``keyset`` (that of the outputs is not used any more), ``coin`` (an input) or ``request`` (anything else).
    None: the answer does not prove that."""
    answer = evidence.answer
    if not isinstance(answer, Refused):
        return None
    if evidence.outputs_useless:
        return "keyset"
    if not answer.definitive:
        return None
    return "coin" if names_inputs(answer) else "request"


def ask_outcome(run: Run) -> Result:
    """Restore first; only when no output is signed the inputs decide."""
    wait = _wait_s(run)
    if wait > 0:
        return Pause(wait)
    found = _signed(run)
    if isinstance(found, Happened):
        return found
    states = ask_sent(run)
    if isinstance(states, Failure):
        return Happened(post_failed(states), Evidence(answer=states))
    if any(state.state == "SPENT" for state in states):
        found = _signed(run)  # the request may have been executed between the two questions
        if isinstance(found, Happened):
            return found
        words = "the mint calls inputs of the swap SPENT, and it signed no output of ours for them"
        gone = Reason("INPUTS_SPENT_ELSEWHERE", words)
        evidence = Evidence(states=states, restored_none=True, reason=gone)
        if run.decide("watch_over", evidence).accepted:  # after a release other operations spend the inputs
            return Happened("watch_over", evidence)
        return Happened("inputs_spent_elsewhere", evidence)
    evidence = Evidence(states=states, restored_none=True, reason=_not_swapped(run))
    for event in _DECIDING:
        if run.decide(event, evidence).accepted:
            return Happened(event, evidence)
    return Happened("nothing_signed", evidence)


def ask_sent(run: Run) -> tuple[ProofState, ...] | Failure:
    """NUT-07 states of every proof in the stored request, wherever these proofs are by now."""
    secrets = sorted(secret.reveal() for secret in swap_of(run.operation).sent_secrets())
    return run.mint.check_states(run.mint_url, [y_of(secret) for secret in secrets])


def signed_outputs(run: Run) -> Evidence | None:
    """The proofs of those outputs that the mint has signed, as evidence. None when that is not known."""
    proofs = restored(run, swap_of(run.operation).blanks)
    if proofs is None:
        return None
    return Evidence(proofs=proofs, proofs_verified=bool(proofs), restored_none=not proofs)


def _signed(run: Run) -> Happened | None:
    """The event when the outputs are signed, or when the mint does not tell. None: it signed none of them."""
    found = signed_outputs(run)
    if found is None:
        return Happened("mint_unreachable")
    if not found.proofs:
        return None
    accepted = run.decide("signatures_restored", found).accepted
    return Happened("signatures_restored", found) if accepted else Happened("mint_unreachable")


def _wait_s(run: Run) -> float:
    """How long to wait before the mint is asked again whether its refusal stands."""
    since = swap_of(run.operation).held_unspent_since
    if since is None or run.operation.state != "restoring":
        return 0.0
    left = run.settings.refusal_window_s - (run.judged_at() - since) / 1000
    return left + 0.001 if left > 0 else 0.0


def _not_swapped(run: Run) -> Reason:
    """The reason why the inputs are given back, or set aside."""
    op, data = run.operation, swap_of(run.operation)
    if data.refused_for == "coin" and len(data.sent_keys()) == 1:
        amount = sum(part.amount for part in op.inputs)
        words = f"the mint refuses a coin of {amount} alone and for good; an operator decides about it"
        return Reason("COINS_STRANDED", words, details={"amount": amount, "proofs": 1})
    if op.reason is not None:
        return op.reason
    words = "the mint did not carry out the swap, and it calls every input UNSPENT"
    return Reason("MINT_WILL_NOT_SWAP", words, retryable=True)
