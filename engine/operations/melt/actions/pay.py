"""Melt, in flight: post the stored request and ask what became of it."""

from __future__ import annotations

from .....storage.evolve import evolve
from .....storage.records import Operation, Reason
from ....cashu.answers import post_failed, quote_event, reason_of, state_unclear, too_many_inputs
from ....cashu.coins.crypto import y_of
from ....cashu.keysets import MintSilent
from ....cashu.port import UNKNOWN, Failure, MeltQuote, Refused
from ....loop.drive import Happened, Result, Run
from ....loop.evidence import Evidence
from ....tokens.proofs import name_of
from ...shared.asked import ask_inputs
from ..data import melt_of
from .change import change_now, restore_change, with_change
from .find_fence import find_fence
from .next_fence import next_fence

_IN_FLIGHT = frozenset({"paying", "refused", "pending", "unknown", "unpaid", "fencing"})
"""States in which a request with the inputs may have been executed, and the mint's answer is awaited."""


def post_melt(run: Run) -> Result:
    """Send the bytes that were stored, unchanged. A failure here proves nothing."""
    op = run.operation
    body = melt_of(op).request_body
    assert body is not None
    answer = run.mint.melt(op.mint_url, body)
    if isinstance(answer, Refused):
        run.keysets.distrust(op.mint_url)  # the keyset of the blanks may have been rotated away
    if isinstance(answer, Failure):
        if too_many_inputs(answer):
            run.limits.learn(op.mint_url, len(run.input_proofs()))
        return Happened(
            post_failed(answer), Evidence(answer=answer, reason=reason_of(answer, "payment request"))
        )
    if op.quote is None or (answer.id and answer.id != op.quote.id):
        reason = Reason("MINT_ANSWER_UNCLEAR", "the answer names another quote", retryable=True)
        return Happened("reply_lost", Evidence(reason=reason))
    answer = evolve(answer, id=op.quote.id)  # one that names no quote is about what was posted
    return Happened(quote_event(answer), with_change(run, answer, said_of(answer)))


def ask_state(run: Run) -> Result:
    """The quote first; only when it is UNPAID the proofs, and only when those are spent our fences."""
    op = run.operation
    assert op.quote is not None
    answer = run.mint.melt_quote_state(op.mint_url, op.quote.id)
    if isinstance(answer, Failure):
        return Happened(post_failed(answer), Evidence(answer=answer))
    if melt_of(op).payment is not None:
        return Happened("mint_paid", change_now(run, answer))
    if answer.state == "PAID":
        if is_freed(op):
            return _paid_though_freed(run, answer)
        paid = paid_with_ours(run, answer)
        if paid.event == "mint_paid" or op.state != "unknown":
            return paid
        assert paid.evidence.quote is not None
        return _quote_unclear(run, paid.evidence.quote, paid.evidence.reason)
    if answer.state == UNKNOWN and op.state == "unknown":
        return _quote_unclear(run, answer)
    if answer.state != "UNPAID":
        return Happened(quote_event(answer), said_of(answer))
    return _quote_unpaid(run, answer)


def said_of(quote: MeltQuote) -> Evidence:
    """The quote as evidence, with the reason when the engine does not know its state."""
    return Evidence(quote=quote, reason=state_unclear(quote))


def paid_with_ours(run: Run, quote: MeltQuote) -> Happened:
    """The meaning of a PAID quote that was not the answer to our request. A mint may have one quote for all
    payers of an invoice: PAID with every input UNSPENT, twice, was paid by another request, and our inputs
    are not spent. A mint that says nothing of the inputs, or that refused our fence because they are gone, is
    believed."""
    paid = Happened("mint_paid", with_change(run, quote, said_of(quote)))
    proofs, reason = paid.evidence.proofs, run.operation.reason
    if proofs and all(proof.dleq is not None for proof in proofs):
        return paid
    if reason is not None and reason.code == "FENCE_REFUSED":
        return paid
    for _ in range(2):
        states = ask_inputs(run)
        if isinstance(states, Failure) or {state.state for state in states} != {"UNSPENT"}:
            return paid
    words = "the mint calls the quote PAID and every input UNSPENT; our request was not what paid it"
    unclear = evolve(quote, state=UNKNOWN, said="PAID", change=(), preimage=None)
    return Happened("mint_unclear", Evidence(quote=unclear, reason=Reason("MINT_STATE_UNKNOWN", words, True)))


def is_freed(op: Operation) -> bool:
    """Whether the inputs were freed though the request is still watched."""
    return op.state in ("watching", "stuck")


def _paid_though_freed(run: Run, quote: MeltQuote) -> Happened:
    """The quote of a request whose inputs are free again is PAID: with our inputs, or by another attempt.
    While an operation that has sent these inputs too is in flight, that is not known: its end is waited
    for."""
    evidence = _change_of_ours(run, quote)
    secrets = sorted(secret.reveal() for secret in melt_of(run.operation).sent_secrets())
    states = run.mint.check_states(run.mint_url, [y_of(secret) for secret in secrets])
    if isinstance(states, Failure):
        return Happened(post_failed(states), Evidence(answer=states))
    evidence = evolve(evidence, states=states)
    if not evidence.proofs and _sent_by_another(run, {s.Y for s in states if s.state == "SPENT"}):
        return Happened("mint_pending", evidence)
    otherwise = run.decide("paid_otherwise", evidence).accepted
    return Happened("paid_otherwise" if otherwise else "mint_paid", evidence)


def _change_of_ours(run: Run, quote: MeltQuote) -> Evidence:
    """The quote with change that proves to be ours: by DLEQ on our blanks, or because NUT-09 names them. The
    quote may be another attempt's too, and then its change fits that one's blanks."""
    evidence = with_change(run, quote, said_of(quote))
    if evidence.proofs and all(proof.dleq is not None for proof in evidence.proofs):
        return evidence
    restored, _ = restore_change(run, None)
    return evolve(evidence, proofs=restored or None, proofs_verified=bool(restored))


def _sent_by_another(run: Run, spent: set[str]) -> bool:
    """Whether one of these proofs is held by another operation that has sent it and has not ended."""
    held = {
        token.reserved_by or ""
        for token in run.draft.all_tokens()
        if token.state == "reserved" and any(name_of(proof) in spent for proof in token.proofs)
    }
    found = [run.store.operation(name, run.operation.npub) for name in sorted(held - {"", run.operation.id})]
    return any(op is not None and op.sent_at is not None and op.state in _IN_FLIGHT for op in found)


def _quote_unclear(run: Run, quote: MeltQuote, reason: Reason | None = None) -> Happened:
    """A state we do not know. Once every input is UNSPENT and the settle window over, a fence is as safe as
    after UNPAID."""
    said = said_of(quote) if reason is None else Evidence(quote=quote, reason=reason)
    happened, states = Happened(quote_event(quote), said), ask_inputs(run)
    if isinstance(states, Failure):
        return happened
    try:
        evidence = next_fence(run)
    except MintSilent:
        return happened
    fence = evolve(evidence, quote=quote, states=states)
    return Happened("fence", fence) if run.decide("fence", fence).accepted else happened


def _quote_unpaid(run: Run, quote: MeltQuote) -> Happened:
    op = run.operation
    states = ask_inputs(run)
    if isinstance(states, Failure):
        return Happened(post_failed(states), Evidence(quote=quote, answer=states))
    evidence = Evidence(quote=quote, states=states)
    if is_freed(op):
        return _still_watched(run, evidence)
    if not any(state.state == "SPENT" for state in states):
        return Happened("mint_unpaid", evidence)
    found = find_fence(run)
    if isinstance(found, Happened):
        return found
    # The proofs were asked after the quote: it may have been paid in between.
    assert op.quote is not None
    again = run.mint.melt_quote_state(op.mint_url, op.quote.id)
    if isinstance(again, Failure):
        return Happened(post_failed(again), Evidence(answer=again))
    if again.state != "UNPAID":
        return Happened(quote_event(again), with_change(run, again, said_of(again)))
    if found is None:
        return Happened("mint_unreachable", Evidence(quote=again))
    reason = Reason(
        "INPUTS_SPENT_ELSEWHERE",
        "the mint calls the payment UNPAID and inputs SPENT, and no request of this operation spent them",
    )
    evidence = Evidence(quote=again, states=states, fence_outputs_asked=True, reason=reason)
    return Happened("inputs_spent_elsewhere", evidence)


def _still_watched(run: Run, evidence: Evidence) -> Happened:
    """A fence from before the release may have come late. The watch ends only when it is known that none
    has: restore says so, or every input is UNSPENT, which a signed fence would not leave."""
    found = find_fence(run)
    if isinstance(found, Happened):
        return found
    untouched = {state.state for state in evidence.states or ()} == {"UNSPENT"}
    over = (found is True or untouched) and run.decide("watch_over", evidence).accepted
    return Happened("watch_over" if over else "mint_unpaid", evidence)
