"""The mint operation: wait for the invoice, post the stored outputs, restore what an answer lost."""

from __future__ import annotations

import attrs

from ....storage.records import Operation, Output, Reason
from ...cashu.answers import post_failed, reason_of, state_unclear
from ...cashu.bolt11 import InvalidInvoice, decode_invoice
from ...cashu.coins.outputs import BadSignature, blinded, unblind_exact, unblind_restored
from ...cashu.keysets import MintSilent, NoUsableKeyset
from ...cashu.port import Ambiguous, Failure, MintQuote, Refused, Restored
from ...cashu.wire import bodies
from ...loop.drive import Happened, Result, Run
from ...loop.evidence import Evidence
from ..shared.outputs import new_outputs
from .data import MintData, mint_of

KNOWN_STATES = frozenset({"UNPAID", "PAID", "ISSUED"})


def ask_quote(run: Run) -> Result:
    """NUT-04 quote: the invoice for the ecash. A mint that has no keyset to issue with is left alone."""
    op = run.operation
    blocked = _no_outputs_possible(run)
    if blocked is not None:
        return Happened("quote_unavailable", Evidence(reason=blocked))
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
        return True  # there is nothing to pay
    try:
        asked = decode_invoice(quote.request.reveal().lower()).amount_msat
    except InvalidInvoice:
        return False  # the payer reads the invoice; the engine does not refuse one that it cannot read
    return asked is not None and asked != op.amount * (1000 if op.unit == "sat" else 1)


def _no_outputs_possible(run: Run) -> Reason | None:
    """The reason why no outputs of the operation's amount can be made now. None: they can be made."""
    op = run.operation
    try:
        run.keysets.usable(op.mint_url, op.unit, amounts=(op.amount,), refresh=True)
    except NoUsableKeyset as none:
        return Reason(none.code, str(none))
    except MintSilent as silent:
        return reason_of(silent.answer, "the keysets cannot be read")
    return None


def _fresh_outputs(run: Run) -> Evidence:
    """Outputs of a usable keyset, in amounts it has keys for, and the exact request. Raises MintSilent or
    NoUsableKeyset."""
    op = run.operation
    assert op.quote is not None
    outputs = new_outputs(run, op.amount, refresh=True)
    return Evidence(outputs=outputs, request_body=bodies.mint_body(op.quote.id, outputs))


def _or_too_old(run: Run, happened: Happened) -> Happened:
    """The event, unless the state would only absorb it and has been doing so for too long."""
    if run.decide(happened.event, happened.evidence).accepted:
        return happened
    reason = Reason("UNRESOLVED_TOO_LONG", "the mint gave no final answer in time", retryable=True)
    evidence = Evidence(reason=reason)
    return Happened("too_old", evidence) if run.decide("too_old", evidence).accepted else happened


# -- before outputs exist --------------------------------------------------------------------------------


def ask_payment(run: Run) -> Result:
    """Whether the invoice is paid; when it is, the outputs and the request are made and stored next."""
    op = run.operation
    assert op.quote is not None
    answer = run.mint.mint_quote_state(op.mint_url, op.quote.id)
    if isinstance(answer, Failure):
        return _not_paid(run, Happened(post_failed(answer), Evidence(answer=answer)))
    if _is_unclear(answer, op):
        return _not_paid(run, Happened("mint_unclear", _unclear(answer)))
    if answer.state == "ISSUED":
        words = "the mint says that the proofs were issued, but this operation never asked for them"
        return _issued(run, answer, words)
    if answer.state == "UNPAID":
        return _not_paid(run, Happened("invoice_unpaid", Evidence(mint_quote=answer)))
    try:
        return Happened("invoice_paid", attrs.evolve(_fresh_outputs(run), mint_quote=answer))
    except NoUsableKeyset as none:
        reason = Reason(none.code, str(none))
    except MintSilent as silent:
        reason = reason_of(silent.answer, "the invoice is paid, but no outputs can be made")
    return _or_too_old(run, Happened("issue_blocked", Evidence(mint_quote=answer, reason=reason)))


def _is_unclear(quote: MintQuote, op: Operation) -> bool:
    """Whether an answer says nothing that we understand, or speaks of another quote."""
    assert op.quote is not None
    return quote.state not in KNOWN_STATES or quote.id not in ("", op.quote.id)


def _unclear(quote: MintQuote) -> Evidence:
    return Evidence(mint_quote=quote, reason=state_unclear(quote))


def watched_ms(run: Run) -> int:
    """How long a late payment has been watched for, up to :meth:`Run.judged_at`."""
    return mint_of(run.operation).watched_ms + max(0, run.elapsed().since_watch_ms or 0)


def _not_paid(run: Run, happened: Happened) -> Happened:
    """The event after an answer that is not PAID: the invoice ran out, the watch for a late payment is over
    or a part of it is, it took too long; or nothing."""
    evidence = attrs.evolve(happened.evidence, watched_ms=watched_ms(run))
    for event in ("expire", "watch_over"):
        if run.decide(event, evidence).accepted:
            return Happened(event, evidence)
    followed = _or_too_old(run, Happened(happened.event, evidence))
    if followed.event != "too_old" and run.decide("watch_counted", evidence).accepted:
        return Happened("watch_counted", evidence)
    return followed


# -- with outputs ----------------------------------------------------------------------------------------


def post_mint(run: Run) -> Result:
    """Send the stored request. Any failure means: restore, then look again."""
    op = run.operation
    data = mint_of(op)
    assert data.request_body is not None
    answer = run.mint.mint(op.mint_url, data.request_body)
    if isinstance(answer, Refused) or (isinstance(answer, Ambiguous) and answer.code is not None):
        reason = reason_of(answer, "the mint does not issue")
        return Happened("mint_refused", Evidence(answer=answer, reason=reason))
    if isinstance(answer, Failure):
        return Happened(post_failed(answer), Evidence(answer=answer))
    try:
        proofs = unblind_exact(data.blanks, answer, run.keys)
    except (BadSignature, MintSilent):
        return Happened("reply_lost")
    return Happened("signatures_received", Evidence(proofs=proofs, proofs_verified=True))


def restore_outputs(run: Run) -> Result:
    """NUT-09 over every generation of our outputs, then the quote: signed, still to be posted, or taken
    by another program. PAID means not issued yet, so posting again is safe even if nothing restores."""
    op = run.operation
    if not mint_of(op).blanks:
        return ask_payment(run)
    assert op.quote is not None
    found, answered = _restore_all(run)
    if found is not None:
        return _or_too_old(run, found)
    quote = run.mint.mint_quote_state(op.mint_url, op.quote.id)
    if isinstance(quote, Failure):
        return _or_too_old(run, Happened(post_failed(quote), Evidence(answer=quote)))
    if _is_unclear(quote, op):
        return _or_too_old(run, Happened("mint_unclear", _unclear(quote)))
    if quote.state == "ISSUED":
        return _issued(
            run, quote, "the mint says that the proofs were issued, but it signed none of our outputs"
        )
    if not answered and quote.state != "PAID":
        return _or_too_old(run, Happened("mint_unreachable"))
    return _or_too_old(run, Happened("restore_empty", _nothing_signed(run, quote)))


def _generations(data: MintData) -> tuple[tuple[Output, ...], ...]:
    """Every set of outputs that was ever stored to be sent, the newest first."""
    newest = (data.blanks,) if data.blanks else ()
    return (*newest, *(generation.outputs for generation in reversed(data.fences)))


def _restore_all(run: Run) -> tuple[Happened | None, bool]:
    """The signatures of the mint on any generation, and whether it answered about all of them. A generation
    whose signatures do not open, or do not make up the amount, does not hide another one."""
    op, answered = run.operation, True
    best: Happened | None = None
    for outputs in _generations(mint_of(op)):
        restored = run.mint.restore(op.mint_url, blinded(outputs))
        if isinstance(restored, Failure):
            answered = False
        elif not restored.is_empty:
            found = _opened(run, outputs, restored)
            if run.decide(found.event, found.evidence).accepted:
                return found, answered
            best = best or found
    return best, answered


def _opened(run: Run, outputs: tuple[Output, ...], restored: Restored) -> Happened:
    try:
        proofs = unblind_restored(outputs, restored, run.keys)
    except (BadSignature, MintSilent):
        return Happened("reply_lost")
    return Happened("signatures_restored", Evidence(proofs=proofs, proofs_verified=True))


def _issued(run: Run, quote: MintQuote, words: str) -> Happened:
    """The quote is ISSUED: perhaps to us, after we last asked for our outputs. When none of our outputs is
    signed now, the mint issued to another wallet."""
    found, answered = _restore_all(run)
    if found is not None:
        return _or_too_old(run, found)
    if not answered:
        return _or_too_old(run, Happened("mint_unreachable"))
    event = "restore_empty" if mint_of(run.operation).blanks else "invoice_issued"
    evidence = Evidence(mint_quote=quote, restored_none=True, reason=Reason("ISSUED_ELSEWHERE", words))
    return _or_too_old(run, Happened(event, evidence))


def _nothing_signed(run: Run, quote: MintQuote) -> Evidence:
    """Nothing of ours is signed. New outputs come with it when the quote is PAID and the stored ones are of a
    keyset that is not used any more, or were refused again and again."""
    evidence = Evidence(mint_quote=quote, restored_none=True)
    if quote.state != "PAID":
        return evidence
    op, settings = run.operation, run.settings
    evidence = attrs.evolve(evidence, reason=_will_not_issue(op))
    try:
        fresh = _fresh_outputs(run)
    except NoUsableKeyset as none:
        return attrs.evolve(evidence, reason=Reason(none.code, str(none)))
    except MintSilent:
        return evidence
    data = mint_of(op)
    refused = data.refusals >= settings.issue_refusals_max
    refused = refused and len(data.fences) < settings.issue_generations_max
    if not refused and fresh.outputs[0].id == data.blanks[0].id:
        return evidence
    return attrs.evolve(
        evidence, outputs=fresh.outputs, request_body=fresh.request_body, outputs_useless=True
    )


def _will_not_issue(op: Operation) -> Reason:
    """The reason why a paid quote is not issued, in the mint's own words if it refused."""
    words = "the invoice is paid, but the mint does not issue the proofs"
    if op.reason is None or "mint_code" not in op.reason.details:
        return Reason("MINT_WILL_NOT_ISSUE", words)
    if op.reason.code == "MINT_WILL_NOT_ISSUE":
        return op.reason
    return Reason("MINT_WILL_NOT_ISSUE", f"{words}: {op.reason.message}", details=op.reason.details)
