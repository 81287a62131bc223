"""The mint operation: wait for the invoice, post the stored outputs, restore what an answer lost."""

from __future__ import annotations

import attrs

from ...machines.money import denominations
from ...storage.records import Operation, Output, Reason
from ..evidence import Evidence
from ..keysets import MintSilent
from ..mint import wire
from ..mint.bolt11 import InvalidInvoice, decode_invoice
from ..mint.outputs import BadSignature, blinded, random_outputs, unblind_exact, unblind_restored
from ..mint.port import UNKNOWN, Failure, MintQuote, Restored
from ..run import Happened, Pause, Result, Run
from .answers import post_failed, reason_of, state_unclear


def ask_quote(run: Run) -> Result:
    """NUT-04 quote: the invoice somebody has to pay."""
    op = run.operation
    answer = run.mint.mint_quote(op.mint_url, op.amount, op.unit)
    if isinstance(answer, Failure):
        reason = reason_of(answer, "no quote")
        refused = reason.code == "MINT_REFUSED"
        return Happened("quote_refused" if refused else "quote_unavailable", Evidence(reason=reason))
    evidence = Evidence(mint_quote=answer)
    decision = run.decide("quote_received", evidence)
    if decision.accepted and not _asks_for_another_amount(answer, op):
        return Happened("quote_received", evidence)
    if decision.accepted:
        reason = Reason("QUOTE_MISMATCH", "the mint's invoice asks for another amount")
        return Happened("quote_refused", Evidence(reason=reason))
    first = decision.refusals[0]
    return Happened("quote_refused", Evidence(reason=Reason(first.code, first.sentence)))


def _asks_for_another_amount(quote: MintQuote, op: Operation) -> bool:
    """Whether there is no invoice, or one that can be read and names another amount than is to be issued."""
    if quote.request is None:
        return True  # nobody could pay it
    try:
        asked = decode_invoice(quote.request.reveal().lower()).amount_msat
    except InvalidInvoice:
        return False  # whoever pays it reads it; an invoice we cannot read is not refused for it
    return asked is not None and asked != op.amount * (1000 if op.unit == "sat" else 1)


def _fresh_outputs(run: Run) -> Evidence:
    """Outputs of a usable keyset, in amounts it has keys for, and the exact request. Raises MintSilent or
    NoUsableKeyset."""
    op = run.operation
    assert op.quote is not None
    _, keyset = run.keysets.usable(op.mint_url, op.unit, amount=op.amount, refresh=True)
    outputs = random_outputs(keyset.id, denominations(op.amount, keyset.keys), run.rng)
    return Evidence(outputs=outputs, request_body=wire.mint_body(op.quote.id, outputs))


def _or_too_old(run: Run, happened: Happened) -> Happened:
    """The event, unless the state would only absorb it and has been doing so for too long."""
    if run.decide(happened.event, happened.evidence).accepted:
        return happened
    reason = Reason("UNRESOLVED_TOO_LONG", "the mint gave no final answer in time", retryable=True)
    evidence = Evidence(reason=reason)
    return Happened("too_old", evidence) if run.decide("too_old", evidence).accepted else happened


def ask_payment(run: Run) -> Result:
    """Whether the invoice is paid; when it is, the outputs and the request are made and stored next."""
    op = run.operation
    assert op.quote is not None
    answer = run.mint.mint_quote_state(op.mint_url, op.quote.id)
    if isinstance(answer, Failure):
        return _or_too_old(run, Happened(post_failed(answer), Evidence(answer=answer)))
    evidence = Evidence(mint_quote=answer)
    if answer.state == "ISSUED":
        reason = Reason(
            "ISSUED_ELSEWHERE",
            "the mint says that the proofs were issued, but this operation never asked for them",
        )
        return Happened("invoice_issued", Evidence(mint_quote=answer, reason=reason))
    if answer.state == UNKNOWN:
        evidence = attrs.evolve(evidence, reason=state_unclear(answer))
        return _or_too_old(run, Happened("reply_lost", evidence))
    if answer.state == "UNPAID":
        dead = run.decide("expire", evidence).accepted
        return Happened("expire" if dead else "invoice_unpaid", evidence)
    try:
        fresh = _fresh_outputs(run)
    except (MintSilent, LookupError):
        return Pause(run.back_off())
    return Happened("invoice_paid", attrs.evolve(fresh, mint_quote=answer))


def post_mint(run: Run) -> Result:
    """Send the stored request. Any failure means: restore, then look again."""
    op = run.operation
    assert op.request_body is not None
    answer = run.mint.mint(op.mint_url, op.request_body)
    if isinstance(answer, Failure):
        return Happened(post_failed(answer), Evidence(answer=answer))
    try:
        proofs = unblind_exact(op.blanks, answer, run.keys)
    except (BadSignature, MintSilent):
        return Happened("reply_lost")
    return Happened("signatures_received", Evidence(proofs=proofs, proofs_verified=True))


def restore_outputs(run: Run) -> Result:
    """NUT-09 over every generation of our outputs, then the quote: signed, still to be posted, or taken
    by somebody else. PAID means not issued yet, so posting again is safe even if nothing restores."""
    op = run.operation
    if not op.blanks:
        return ask_payment(run)
    assert op.quote is not None
    unanswered = False
    for outputs in (op.blanks, *(generation.outputs for generation in reversed(op.fences))):
        restored = run.mint.restore(op.mint_url, blinded(outputs))
        if isinstance(restored, Failure):
            unanswered = True
        elif not restored.is_empty:
            return _opened(run, outputs, restored)
    quote = run.mint.mint_quote_state(op.mint_url, op.quote.id)
    if isinstance(quote, Failure):
        return _or_too_old(run, Happened(post_failed(quote), Evidence(answer=quote)))
    if quote.state == UNKNOWN:
        evidence = Evidence(mint_quote=quote, reason=state_unclear(quote))
        return _or_too_old(run, Happened("reply_lost", evidence))
    if unanswered and quote.state != "PAID":
        return _or_too_old(run, Happened("mint_unreachable"))
    return _or_too_old(run, Happened("restore_empty", _empty(run, quote)))


def _opened(run: Run, outputs: tuple[Output, ...], restored: Restored) -> Happened:
    try:
        proofs = unblind_restored(outputs, restored, run.keys)
    except (BadSignature, MintSilent):
        return _or_too_old(run, Happened("reply_lost"))
    return _or_too_old(run, Happened("signatures_restored", Evidence(proofs=proofs, proofs_verified=True)))


def _empty(run: Run, quote: MintQuote) -> Evidence:
    """Nothing of ours is signed. If the stored outputs are of a keyset that is no longer active, new
    ones come with it."""
    if quote.state == "PAID":
        evidence = Evidence(
            reason=Reason(
                "MINT_WILL_NOT_ISSUE", "the invoice is paid, but the mint does not issue the proofs"
            )
        )
        try:
            fresh = _fresh_outputs(run)
            if fresh.outputs[0].id != run.operation.blanks[0].id:
                evidence = attrs.evolve(fresh, reason=evidence.reason, outputs_outdated=True)
        except (MintSilent, LookupError):
            return attrs.evolve(evidence, mint_quote=quote, restored_none=True)
    else:
        reason = Reason(
            "ISSUED_ELSEWHERE",
            "the mint says that the proofs were issued, but it signed none of our outputs",
        )
        evidence = Evidence(reason=reason)
    return attrs.evolve(evidence, mint_quote=quote, restored_none=True)
