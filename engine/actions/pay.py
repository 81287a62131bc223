"""Melt, in flight: post the stored request, ask what became of it, collect what is owed."""

from __future__ import annotations

import contextlib

import attrs

from ...storage.records import Fence, Operation, Output, Proof, Reason
from ...storage.secret import Secret
from ..evidence import Evidence
from ..fences import alive
from ..keysets import MintSilent
from ..mint.crypto import y_of
from ..mint.outputs import BadSignature, blinded, unblind, unblind_restored
from ..mint.port import UNKNOWN, Ambiguous, BlindSignature, Failure, MeltQuote, ProofState, Refused, Restored
from ..proofs import name_of, sent_secrets
from ..run import CommitFirst, Happened, Pause, Result, Run
from .answers import post_failed, quote_event, reason_of, state_unclear, too_many_inputs
from .next_fence import next_fence

_IN_FLIGHT = frozenset({"paying", "refused", "pending", "unknown", "unpaid", "fencing"})
"""States in which a request with the inputs may have been executed, and the mint's answer is awaited."""


def post_melt(run: Run) -> Result:
    """Send the bytes that were stored, unchanged. Whatever goes wrong here proves nothing."""
    op = run.operation
    assert op.request_body is not None
    answer = run.mint.melt(op.mint_url, op.request_body)
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
    answer = attrs.evolve(answer, id=op.quote.id)  # one that names no quote is about what was posted
    return Happened(quote_event(answer), with_change(run, answer, said_of(answer)))


def ask_state(run: Run) -> Result:
    """The quote first; only when it is UNPAID the proofs, and only when those are spent our fences."""
    op = run.operation
    assert op.quote is not None
    answer = run.mint.melt_quote_state(op.mint_url, op.quote.id)
    if isinstance(answer, Failure):
        return Happened(post_failed(answer), Evidence(answer=answer))
    if op.payment is not None:
        return Happened("mint_paid", _change_now(run, answer))
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
    """What a PAID quote means that was not the answer to our request. A mint may have one quote for all who
    pay an invoice: PAID with every input UNSPENT, twice, was paid by another request, and our inputs are not
    spent. A mint that says nothing of the inputs, or that refused our fence because they are gone, is
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
    unclear = attrs.evolve(quote, state=UNKNOWN, said="PAID", change=(), preimage=None)
    return Happened("mint_unclear", Evidence(quote=unclear, reason=Reason("MINT_STATE_UNKNOWN", words, True)))


def is_freed(op: Operation) -> bool:
    """Whether the inputs were freed though the request is still watched."""
    return op.state in ("watching", "stuck")


def _paid_though_freed(run: Run, quote: MeltQuote) -> Happened:
    """The quote of a request whose inputs are free again is PAID: with our inputs, or by another attempt.
    While an operation that has sent these inputs too is in flight, that is not known: its end is waited
    for."""
    evidence = _change_of_ours(run, quote)
    secrets = sorted(secret.reveal() for secret in sent_secrets(run.operation))
    states = run.mint.check_states(run.mint_url, [y_of(secret) for secret in secrets])
    if isinstance(states, Failure):
        return Happened(post_failed(states), Evidence(answer=states))
    evidence = attrs.evolve(evidence, states=states)
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
    restored, _ = _restore_change(run, None)
    return attrs.evolve(evidence, proofs=restored or None, proofs_verified=bool(restored))


def _sent_by_another(run: Run, spent: set[str]) -> bool:
    """Whether one of these proofs is held by another operation that has sent it and has not ended."""
    held = {
        token.reserved_by or ""
        for token in run.draft.all_tokens()
        if token.state == "reserved" and any(name_of(proof) in spent for proof in token.proofs)
    }
    found = [run.store.operation(name) for name in sorted(held - {"", run.operation.id})]
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
    fence = attrs.evolve(evidence, quote=quote, states=states)
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


def ask_inputs(run: Run) -> tuple[ProofState, ...] | Failure:
    """NUT-07 states of every input."""
    return run.mint.check_states(run.mint_url, [name_of(proof) for proof in run.input_proofs()])


def collect_change(run: Run) -> Result:
    """Change from the answer in hand, else from the quote, else by NUT-09. That there is none is only
    believed when quote and restore both say so, twice, at least a change window apart."""
    op = run.operation
    if run.decide("change_complete_empty", Evidence()).accepted:
        return Happened("change_complete_empty")
    in_hand = _change_event(run, run.evidence)
    if in_hand is not None:
        return in_hand
    if run.draft.dirty:
        return CommitFirst()
    assert op.quote is not None
    answer = run.mint.melt_quote_state(op.mint_url, op.quote.id)
    if isinstance(answer, MeltQuote):
        found = _change_event(run, with_change(run, answer, Evidence(quote=answer)))
        if found is not None:
            return found
    quote = answer if isinstance(answer, MeltQuote) else None
    proofs, restore_is_empty = _restore_change(run, quote)
    found = _change_event(run, Evidence(proofs=proofs, proofs_verified=True)) if proofs else None
    if found is not None:
        return found
    quote_is_empty = quote is not None and quote.state == "PAID" and not quote.change
    if quote_is_empty and restore_is_empty:
        empty = Evidence(change_seen_empty=True)
        for event in ("change_seen_empty", "change_complete_empty"):
            if run.decide(event, empty).accepted:
                return Happened(event, empty)
    if op.change_empty_since is not None:
        return Pause(run.back_off())  # it was empty before; only another clear answer decides
    reason = Reason(
        "CHANGE_MISSING", "the mint paid, but it did not give back the change that it owes", retryable=True
    )
    return Happened("change_missing", Evidence(reason=reason))


def _change_event(run: Run, evidence: Evidence) -> Happened | None:
    if evidence.proofs and run.decide("change_received", evidence).accepted:
        return Happened("change_received", evidence)
    return None


def _change_now(run: Run, quote: MeltQuote) -> Evidence:
    """For a payment that waits for its change: what quote or restore show now."""
    found = with_change(run, quote, Evidence(quote=quote))
    if _change_complete(run, found):
        return found
    proofs, _ = _restore_change(run, quote)
    return Evidence(quote=quote, proofs=proofs or None, proofs_verified=bool(proofs))


def _change_complete(run: Run, evidence: Evidence) -> bool:
    """Whether leaving ``attention`` for ``paid`` would end with this change."""
    return run.decide("mint_paid", evidence).accepted


def _restore_change(run: Run, quote: MeltQuote | None) -> tuple[tuple[Proof, ...], bool]:
    """What NUT-09 gives back of our blanks, together with what the quote shows, and whether restore clearly
    said: nothing. A mint that does not announce NUT-09 has no more to say than its quote. Change of which
    one signature cannot be read or opened is not complete, so none of it is given."""
    op = run.operation
    restored = run.mint.restore(op.mint_url, blinded(op.blanks))
    if isinstance(restored, Failure):
        try:
            return (), not run.keysets.info(op.mint_url).supports(9)
        except MintSilent:
            return (), False
    if restored.is_empty:
        return (), True
    if restored.unreadable:
        return (), False
    opened, missing = _opened(run, _pairs(run, quote, restored))
    return (() if missing else tuple(opened.values())), False


def _opened(
    run: Run, pairs: list[tuple[Output, BlindSignature | None]]
) -> tuple[dict[Secret, Proof], set[Secret]]:
    """The first signature on each blank that opens, and the blanks that are signed but none opens."""
    opened: dict[Secret, Proof] = {}
    missing: set[Secret] = set()
    for output, signature in pairs:
        if output.secret in opened:
            continue
        try:
            proofs = unblind((output,), (signature,), run.keys)
        except (BadSignature, MintSilent):
            missing.add(output.secret)
            continue
        if proofs:
            opened[output.secret] = proofs[0]
    return opened, missing - opened.keys()


def change_at_last(run: Run, force: bool) -> Evidence:
    """For an operator who gives up: the quote as it is now; if it is paid, every signature on our blanks
    that opens; else the states of the inputs, asked twice, and the quote after them:
    a late request may be executed in between. Raises MintSilent for what is not answered; with ``force``
    only that stays unknown."""
    op = run.operation
    assert op.quote is not None
    states, quote = None, run.mint.melt_quote_state(op.mint_url, op.quote.id)
    if op.payment is None and (isinstance(quote, Failure) or quote.state != "PAID"):
        states = settled_states(run, force)
        quote = run.mint.melt_quote_state(op.mint_url, op.quote.id)
    if isinstance(quote, Failure):
        if not force:
            raise MintSilent(quote)
        return Evidence(states=states, forced=force)
    if op.payment is None and quote.state != "PAID":
        unclear = state_unclear(quote)
        if unclear is not None and not force:
            raise MintSilent(Ambiguous(unclear.message))
        return Evidence(quote=quote, states=states, forced=force)
    restored = run.mint.restore(op.mint_url, blinded(op.blanks))
    opened, _ = _opened(run, _pairs(run, quote, None if isinstance(restored, Failure) else restored))
    return Evidence(quote=quote, proofs=tuple(opened.values()), proofs_verified=True)


def settled_states(run: Run, force: bool) -> tuple[ProofState, ...] | None:
    states, again = ask_inputs(run), ask_inputs(run)
    if isinstance(states, tuple) and states == again:
        return states
    if not force:
        raise MintSilent(Ambiguous("no settled answer about the inputs"))
    return None


def _pairs(
    run: Run, quote: MeltQuote | None, restored: Restored | None
) -> list[tuple[Output, BlindSignature | None]]:
    """Every signature on our blanks: those of the quote by index, then those of restore by B_."""
    blanks = run.operation.blanks
    found: list[tuple[Output, BlindSignature | None]] = []
    if quote is not None:
        found += zip(blanks, quote.change, strict=False)
    if restored is not None:
        by_message = {output.B_: output for output in blanks}
        pairs = zip(restored.outputs, restored.signatures, strict=True)
        found += [(by_message[m.B_], signature) for m, signature in pairs if m.B_ in by_message]
    return found


def with_change(run: Run, quote: MeltQuote, evidence: Evidence) -> Evidence:
    """Open the change that came with an answer; what does not open is as good as not there."""
    if quote.state != "PAID" or not quote.change:
        return evidence
    try:
        proofs = unblind(run.operation.blanks, quote.change, run.keys)
    except (BadSignature, MintSilent):
        return evidence
    return attrs.evolve(evidence, proofs=proofs, proofs_verified=True)


def find_fence(run: Run) -> Happened | bool | None:
    """NUT-09 over every fence that may still be signed: the event if one is signed, True if none is, None
    if that is not known: the mint did not answer for one, or what it gave back cannot be used."""
    unknown = False
    for fence in alive(run.operation):
        restored = run.mint.restore(run.mint_url, blinded(fence.outputs))
        if isinstance(restored, Failure):
            unknown = True
            continue
        if restored.is_empty:
            continue
        try:
            proofs = unblind_restored(fence.outputs, restored, run.keys)
        except (BadSignature, MintSilent):
            unknown = True
            continue
        found = fence_evidence(fence, proofs)
        if run.decide("fence_found", found).accepted:
            return Happened("fence_found", found)
        unknown = True
    return None if unknown else True


def signed_fences(run: Run) -> Evidence:
    """Everything that the mint signed of the fences of a payment that was given up. What it does not answer,
    or what does not open, is left out: the fences stay stored, and the next look asks again."""
    proofs: list[Proof] = []
    for fence in alive(run.operation):
        restored = run.mint.restore(run.mint_url, blinded(fence.outputs))
        if isinstance(restored, Failure) or restored.is_empty:
            continue
        with contextlib.suppress(BadSignature, MintSilent):
            proofs += unblind_restored(fence.outputs, restored, run.keys)
    return Evidence(proofs=tuple(proofs), proofs_verified=True, fence_outputs_signed=bool(proofs))


def fence_evidence(fence: Fence, proofs: tuple[Proof, ...]) -> Evidence:
    return Evidence(
        fence=fence,
        proofs=proofs,
        proofs_verified=True,
        fence_outputs_asked=True,
        fence_outputs_signed=True,
    )


def refused_as_gone(answer: Failure) -> bool:
    """11001 and 11002: the mint says the inputs are spent or pending."""
    return isinstance(answer, Refused) and answer.code in (11001, 11002)
