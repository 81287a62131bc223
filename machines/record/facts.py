"""The facts that the guards of a melt that the caller makes ask about.

Frozen data that the engine gathers. The default of every field permits nothing. Times in epoch ms, amounts
in the operation's unit.
"""

from __future__ import annotations

from attrs import frozen

from ..send_clock import SendClock
from ..shown import shown


@frozen(kw_only=True)
class RecordFacts:
    """One hold or recorded melt, its sources, and what the mint says of held proofs."""

    now: int = 0
    operation_id: str = ""
    claim_holder: str | None = None
    # sources
    owner: str = ""
    source_owners: frozenset[str] = frozenset()
    wallet: tuple[str, str, str] | None = None
    source_wallets: frozenset[tuple[str, str, str]] = frozenset()
    source_states: frozenset[str] = frozenset()
    sources_touched: bool = False
    sources_are_the_held: bool = False
    sources_contested: int | None = None  # neither unspent nor reserved by this operation; None = not known
    # what the caller says it paid
    amount: int = 0
    sources_total: int = 0
    keep_total: int = 0
    recorded_fee: int | None = None
    recorded_change: int = 0
    secrets_distinct: bool = False
    payment_recorded: bool = False
    # the hold
    hold_until: int | None = None
    hold_max_ms: int = 0
    input_count: int = 0
    input_states: frozenset[str] = frozenset()  # UNSPENT | PENDING | SPENT
    inputs_asked: int = 0
    held_unspent_since: int | None = None
    settle_window_ms: int = 0
    # patience
    unresolved_since: int | None = None
    unknown_age_max_ms: int = 0
    failures: int = 0  # drives that failed since it last got on
    failures_max: int = 0
    # bookkeeping
    discrepancies: int = 0
    checks_performed: int = 0
    operator_reason: str = ""
    forced: bool = False  # the operator gives it up whatever the mint says

    __repr__ = shown

    @property
    def inputs_all_unspent(self) -> bool:
        """Whether the mint was asked about every held proof and called each one UNSPENT."""
        return 0 < self.inputs_asked == self.input_count and self.input_states == frozenset({"UNSPENT"})

    @property
    def send_clock(self) -> SendClock:
        """Whether the caller's own request may still be carried out, from the mint's first UNSPENT on."""
        return SendClock.stamped(self.settle_window_ms, self.held_unspent_since, self.now)
