"""The facts that the guards of a funding ask about.

Frozen data that the engine gathers. The default of every field permits nothing. Times in epoch ms, amounts
in the operation's unit.
"""

from __future__ import annotations

from attrs import frozen

from ..shown import shown


@frozen(kw_only=True)
class MintFacts:
    """One mint operation (invoice paid in, proofs issued)."""

    now: int = 0
    amount: int = 0
    quoted_amount: int | None = None
    quoted_unit: str | None = None
    unit: str = ""
    amount_max: int = 0
    quote_state: str | None = None  # UNPAID | PAID | ISSUED | UNKNOWN
    quote_expires_at: int | None = None
    outputs_verified: bool = False
    issued_total: int = 0
    restored_none: bool = False
    outputs_written: bool = False
    outputs_useless: bool = False
    paid_since: int | None = None  # the first answer PAID
    blocked_max_ms: int = 0
    watch_passed_ms: int | None = (
        None  # since the watch was last counted; negative when the clock was set back
    )
    watched_ms: int = 0  # counted before that
    watch_part_ms: int = 0
    watch_window_ms: int = 0
    unresolved_since: int | None = None
    unknown_age_max_ms: int = 0
    tries: int = 0
    tries_max: int = 0
    sent_at: int | None = None
    retry_after_ms: int = 0
    failures: int = 0  # drives that failed since it last got on
    failures_max: int = 0
    operator_reason: str = ""

    __repr__ = shown
