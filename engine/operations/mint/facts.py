"""Facts of a funding: from the operation, the evidence and the clock to what its guards may ask."""

from __future__ import annotations

from ....machines.mint.facts import MintFacts
from ....storage.records import Operation
from ...loop.look import Elapsed, Look, ms
from ...settings import Settings
from .data import mint_of


def mint_facts(look: Look) -> MintFacts:
    """The facts of a funding."""
    op, evidence, settings, now, elapsed = (
        look.operation,
        look.evidence,
        look.settings,
        look.now,
        look.elapsed,
    )
    data, quote = mint_of(op), evidence.mint_quote
    if quote is not None and op.quote is not None and quote.id not in ("", op.quote.id):
        quote = None  # an answer about another quote says nothing of this one
    return MintFacts(
        now=now,
        amount=op.amount,
        unit=op.unit,
        amount_max=settings.amount_max,
        quoted_amount=quote.amount if quote else None,
        quoted_unit=quote.unit if quote else None,
        quote_state=quote.state if quote else None,
        quote_expires_at=op.quote.expires_at if op.quote else None,
        outputs_verified=evidence.proofs_verified,
        issued_total=sum(proof.amount for proof in evidence.proofs or ()),
        restored_none=evidence.restored_none,
        outputs_written=bool(data.blanks),
        outputs_useless=evidence.outputs_useless,
        paid_since=data.paid_seen_at,
        blocked_max_ms=ms(settings.issue_blocked_max_h, 3_600_000),
        watch_passed_ms=elapsed.since_watch_ms,
        watched_ms=data.watched_ms,
        watch_part_ms=settings.late_watch_part_ms,
        watch_window_ms=ms(settings.late_payment_watch_h, 3_600_000),
        unresolved_since=_issue_unresolved_since(op, settings, now, elapsed),
        unknown_age_max_ms=ms(settings.unknown_age_max_h, 3_600_000),
        tries=op.attempts,
        tries_max=settings.issue_tries_max,
        sent_at=op.sent_at,
        retry_after_ms=_retry_after(op, settings),
        failures=op.failures,
        failures_max=settings.drive_failures_max,
        operator_reason=evidence.operator_reason,
    )


def _issue_unresolved_since(op: Operation, settings: Settings, now: int, elapsed: Elapsed) -> int | None:
    """The beginning of the wait: the first PAID; else the planned end of the watch, or the end of an invoice
    about which the mint is silent. After an operator's ``resume`` it begins again."""
    data = mint_of(op)
    since = data.paid_seen_at or op.sent_at
    if since is None and op.state == "lapsed":
        watched = data.watched_ms + max(0, elapsed.since_watch_ms or 0)
        beyond = watched - ms(settings.late_payment_watch_h, 3_600_000)
        return now - beyond if beyond >= 0 else None
    if since is None:
        since = op.quote.expires_at if op.quote else op.created_at
        if since > now:
            return None
    return since if op.resumed_at is None else max(since, op.resumed_at)


def _retry_after(op: Operation, settings: Settings) -> int:
    """How long a parked issue waits for its next try: doubling with every one that was refused."""
    tried = min(max(0, op.attempts - settings.issue_tries_max), 20)
    return min(ms(settings.issue_retry_s) << tried, ms(settings.issue_retry_max_s))
