"""The mint operation: wait for the invoice, post the stored outputs, restore what an answer lost."""

from __future__ import annotations

from ...machines.money import denominations
from ...storage.records import Reason
from ..evidence import Evidence
from ..keysets import MintSilent
from ..mint import wire
from ..mint.outputs import BadSignature, blinded, random_outputs, unblind_exact, unblind_restored
from ..mint.port import Failure
from ..run import Happened, Pause, Result, Run
from .answers import post_failed, reason_of


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
    if decision.accepted:
        return Happened("quote_received", evidence)
    first = decision.refusals[0]
    return Happened("quote_refused", Evidence(reason=Reason(first.code, first.sentence)))


def ask_payment(run: Run) -> Result:
    """Whether the invoice is paid; when it is, the outputs and the request are made and stored next."""
    op = run.operation
    assert op.quote is not None
    answer = run.mint.mint_quote_state(op.mint_url, op.quote.id)
    if isinstance(answer, Failure):
        return Happened(post_failed(answer), Evidence(answer=answer))
    evidence = Evidence(mint_quote=answer)
    if answer.state == "ISSUED":
        reason = Reason("ISSUED_ELSEWHERE", "the quote is ISSUED but this operation never asked for it")
        return Happened("invoice_issued", Evidence(mint_quote=answer, reason=reason))
    if answer.state == "UNPAID":
        dead = run.decide("expire", evidence).accepted
        return Happened("expire" if dead else "invoice_unpaid", evidence)
    try:
        keyset = run.keysets.active(op.mint_url, op.unit, refresh=True)
    except (MintSilent, LookupError):
        return Pause(run.back_off())
    outputs = random_outputs(keyset.id, denominations(op.amount), run.rng)
    body = wire.mint_body(op.quote.id, outputs)
    return Happened("invoice_paid", Evidence(mint_quote=answer, outputs=outputs, request_body=body))


def post_mint(run: Run) -> Result:
    """Send the stored request. Any failure means: restore, then look again."""
    op = run.operation
    assert op.request_body is not None
    answer = run.mint.mint(op.mint_url, op.request_body)
    if isinstance(answer, Failure):
        return Happened(post_failed(answer), Evidence(answer=answer))
    try:
        proofs = unblind_exact(op.blanks, answer, lambda i: run.keysets.keys(op.mint_url, i))
    except (BadSignature, MintSilent):
        return Happened("reply_lost")
    return Happened("signatures_received", Evidence(proofs=proofs, proofs_verified=True))


def restore_outputs(run: Run) -> Result:
    """NUT-09 over our outputs, then the quote: signed, still to be posted, or taken by somebody else."""
    op = run.operation
    if not op.blanks:
        return Pause(None)
    assert op.quote is not None
    restored = run.mint.restore(op.mint_url, blinded(op.blanks))
    if isinstance(restored, Failure):
        return Happened(post_failed(restored), Evidence(answer=restored))
    if restored.signatures:
        try:
            proofs = unblind_restored(op.blanks, restored, lambda i: run.keysets.keys(op.mint_url, i))
        except (BadSignature, MintSilent):
            return Happened("reply_lost")
        return Happened("signatures_restored", Evidence(proofs=proofs, proofs_verified=True))
    quote = run.mint.mint_quote_state(op.mint_url, op.quote.id)
    if isinstance(quote, Failure):
        return Happened(post_failed(quote), Evidence(answer=quote))
    reason = Reason("ISSUED_ELSEWHERE", "the quote is ISSUED but none of our outputs is signed")
    return Happened("restore_empty", Evidence(mint_quote=quote, restored_none=True, reason=reason))
