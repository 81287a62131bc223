"""The facts that the guards of an exchange at the mint (NUT-03) ask about: a swap or a receive.

Frozen data that the engine gathers. The default of every field permits nothing. Times in epoch ms, amounts
in the operation's unit.
"""

from __future__ import annotations

from attrs import frozen

from .send_clock import SendClock
from .shown import shown


@frozen(kw_only=True, slots=False)
class ExchangeFacts:
    """One request that exchanges inputs for outputs, and the latest answers of the mint."""

    now: int = 0
    # inputs
    inputs_total: int = 0
    input_fee: int = 0
    input_count: int = 0
    input_count_max: int = 0
    preflight_asked: bool = False
    preflight_blocked_count: int = 0
    # outputs
    output_amounts: tuple[int, ...] = ()
    amount: int = 0
    amount_max: int = 0
    mint_can_restore: bool = False
    # sending
    sendings: int = 0
    sendings_max: int = 0
    since_last_send_ms: int | None = None
    settle_window_ms: int = 0
    refusal_kind: str | None = None  # of the answer in hand: coin | keyset | request; None = not clear
    refused_for: str | None = None  # the same, of the refusal that is stored
    held_unspent_since: int | None = None  # the first confirmation of the refusal
    refusal_window_ms: int = 0
    # the mint's answers
    outputs_verified: bool = False
    signed_total: int = 0
    outputs_total: int | None = None  # what is stored to be signed
    restored_none: bool = False
    input_states: frozenset[str] = frozenset()  # UNSPENT | PENDING | SPENT
    inputs_asked: int = 0
    # patience
    unresolved_since: int | None = None
    unknown_age_max_ms: int = 0
    watch_since: int | None = None
    watch_window_ms: int = 0
    failures: int = 0  # drives that failed since it last got on
    failures_max: int = 0
    # bookkeeping
    discrepancies: int = 0
    checks_performed: int = 0
    operator_reason: str = ""
    forced: bool = False  # the operator gives it up whatever the mint says

    __repr__ = shown

    @property
    def untouched(self) -> bool:
        """Whether the mint signed none of the outputs and calls every input UNSPENT."""
        asked = 0 < self.inputs_asked == self.input_count
        return self.restored_none and asked and self.input_states == frozenset({"UNSPENT"})

    @property
    def send_clock(self) -> SendClock:
        """Whether the request may still be carried out."""
        return SendClock(self.since_last_send_ms, self.settle_window_ms)
