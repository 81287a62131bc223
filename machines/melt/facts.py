"""The facts that the guards of a melt ask about.

Frozen data that the engine gathers. The default of every field permits nothing. Times in epoch ms, amounts
in the operation's unit.
"""

from __future__ import annotations

from attrs import frozen

from ..send_clock import SendClock
from ..shown import shown


@frozen(kw_only=True, slots=False)
class MeltFacts:
    """One melt, its chosen inputs and the latest answers of the mint."""

    now: int = 0
    two_step: bool = False
    # quote
    quoted_amount: int | None = None
    invoice_amount: int | None = None  # rounded up to whole units
    invoice_amount_floor: int | None = None  # rounded down to whole units
    quoted_unit: str | None = None
    unit: str = ""
    quote_names_other_request: bool = False
    quote_expires_at: int | None = None
    amount_max: int = 0
    # inputs
    owner: str = ""
    source_owners: frozenset[str] = frozenset()
    wallet: tuple[str, str, str] | None = None
    source_wallets: frozenset[tuple[str, str, str]] = frozenset()
    source_states: frozenset[str] = frozenset()
    inputs_total: int = 0
    amount: int = 0
    fee_reserve: int = 0
    input_fee: int = 0
    fee_max: int | None = None  # the most that fee reserve and input fee may be together
    input_count: int = 0
    input_count_max: int = 0
    exact_inputs_wanted: bool = False
    preflight_asked: bool = False
    preflight_blocked_count: int = 0
    claim_holder: str | None = None
    operation_id: str = ""
    inputs_reserved: bool = False
    child_ended_unspent: bool = False
    # sending
    sent_at: int | None = None
    since_last_send_ms: int | None = None
    settle_window_ms: int = 0
    sendings: int = 0
    refusal_kind: str | None = None  # of the answer in hand: payment | inputs | limit; None = not clear
    refused_for: str | None = None  # the same, of the refusal that is stored
    refusal_window_ms: int = 0
    held_unspent_since: int | None = None  # the first UNSPENT after the refusal
    # the mint's answers
    quote_state: str | None = None  # UNPAID | PENDING | PAID | UNKNOWN
    unclear_told: bool = False
    inputs_taken: bool = False  # what was freed is SPENT and not by us, or change was signed
    claim_held: bool = False
    input_states: frozenset[str] = frozenset()  # UNSPENT | PENDING | SPENT
    inputs_asked: int = 0
    payment_recorded: bool = False
    own_outputs_signed: bool = False
    own_outputs_asked: bool = False
    # policy
    retries: int = 0
    retries_max: int = 0
    policy: str = "fence"
    mint_can_swap: bool = False
    mint_can_restore: bool = False
    fence_generations: int = 0
    fence_generations_max: int = 0
    unresolved_since: int | None = None
    unknown_age_max_ms: int = 0
    failures: int = 0  # drives that failed since it last got on
    failures_max: int = 0
    watch_since: int | None = None
    watch_window_ms: int = 0
    # fence
    fence_outputs_verified: bool = False
    fence_total: int = 0
    fence_owed: int | None = None
    fence_refusal_means_inputs_gone: bool = False
    fence_takes_all: bool = False  # it spends every input that no fence spent and that is not stranded
    fence_refused_for_good: bool = False
    fence_renewable: bool = False
    fences_done: int = 0
    strands: int = 0  # inputs that cannot be fenced, shown to be so
    strands_all: bool = False
    # change
    change_total: int | None = None
    owed_max: int | None = None
    owed_min: int | None = None
    change_verified: bool = False
    change_blanks_distinct: bool = False
    change_empty_since: int | None = None
    change_seen_empty: bool = False
    change_awaited_since: int | None = None  # when it was paid, or sent back to work since
    change_window_ms: int = 0
    change_is_complete: bool = False
    # bookkeeping
    discrepancies: int = 0
    checks_performed: int = 0
    operator_reason: str = ""
    forced: bool = False  # the operator gives it up whatever the mint says

    __repr__ = shown

    @property
    def inputs_all_unspent(self) -> bool:
        """Whether the mint was asked about every input and called each one UNSPENT."""
        return 0 < self.inputs_asked == self.input_count and self.input_states == frozenset({"UNSPENT"})

    @property
    def send_clock(self) -> SendClock:
        """Whether the request may still be carried out."""
        return SendClock(self.since_last_send_ms, self.settle_window_ms)
