"""Every bound of the engine in one place, named with its unit."""

from __future__ import annotations

from attrs import field, frozen, validators

from ..machines.money import AMOUNT_MAX
from ..machines.shown import shown

ON_UNPAID = ("fast", "fence", "retry_then_fence", "trust")


def _duration(default: float) -> float:
    return field(default=default, validator=validators.ge(0))


def _count(default: int, least: int = 1) -> int:
    return field(default=default, validator=[validators.instance_of(int), validators.ge(least)])


@frozen(kw_only=True)
class Settings:
    """The defaults of docs/design.md. Durations in the unit their name ends with."""

    settle_window_s: float = _duration(30)
    """After the last sending, an UNPAID answer proves nothing for this time: the request may still arrive."""
    refusal_window_s: float = _duration(2)
    """Time between the mint's two confirmations of its own refusal. After the second the inputs are free."""
    post_open_max_s: float = _duration(70)
    """Time in which a request of another process may still be open. The settle window starts after it, unless
    that process is certainly gone. At least connect plus read timeout of the mint adapter."""
    hold_max_h: float = _duration(24)
    """Longest time for which a caller may hold tokens."""
    watch_window_h: float = _duration(24)
    """Time for which the quote is watched after the inputs were freed on the mint's word."""
    poll_min_s: float = _duration(1)
    poll_max_s: float = _duration(60)
    """Pause between two looks that decide nothing: it doubles from minimum to maximum, with jitter."""
    unknown_age_max_h: float = _duration(24)
    """Time without a result after which an operation is parked."""
    change_window_s: float = _duration(60)
    """Time for which owed change may be missing, or empty, before the engine decides."""
    retries_max: int = _count(1, 0)
    """Second sendings of a payment request under the policy ``retry_then_fence``."""
    issue_tries_max: int = _count(20)
    """Sendings of one issue request before the funding is parked."""
    swap_tries_max: int = _count(5)
    """Sendings of one swap request before the swap is given up."""
    fence_generations_max: int = _count(20)
    """Fences of one and the same inputs. A mint that refuses them together for good gets parts of them."""
    fence_refusals_max: int = _count(3)
    """Refusals of one fence, each by the mint itself and with no definitive code, that count as final."""
    fence_patience_s: float = _duration(300)
    """Time for which such refusals must have lasted if their code does not name the inputs."""
    fence_bytes_max: int = _count(4_000_000)
    """Bytes that all fences of one operation may take in the store; MongoDB takes 16 MB."""
    request_bytes_max: int = _count(1_000_000)
    """Bytes of the inputs of one request; coins beyond that are not chosen."""
    selection_tries_max: int = _count(10)
    """Number of new choices of inputs after lost races, when the caller gave no time to wait."""
    retry_min_s: float = _duration(0.1)
    retry_max_s: float = _duration(1)
    """Pause between two tries before anything is stored: it doubles from minimum to maximum, with jitter."""
    read_tries_max: int = _count(10)
    """Number of tries of each read before a payment (quote, keysets, proof states), inside ``wait_s``."""
    commit_tries_max: int = _count(5)
    """Tries of a commit that conflicts or whose outcome is unknown."""
    mint_calls_at_once: int = _count(4)
    """Operations of one mint that a recovery drives at the same time."""
    drive_failures_max: int = _count(10)
    """Number of drives that may fail with an exception before the operation is parked."""
    preflight_tries_max: int = _count(5)
    page_size: int = _count(200)
    """Documents per read, and proofs per question to the mint, in checks of whole wallets."""
    steps_per_run_max: int = _count(500)
    candidate_tokens_max: int = _count(200)
    lease_s: float = _duration(30)
    """Time for which one worker drives an operation without renewing its lease."""
    dedup_window_s: float = _duration(300)
    """Time in which an equal request without a key leads to the first operation."""
    mints_allowed: tuple[str, ...] | None = field(default=None)
    """Addresses that may be asked because a token names them, private ones too. None: only mints that the
    wallet or the HTTP client knows already."""
    quote_lifetime_s: float = _duration(600)
    """Lifetime of a quote for which the mint names no expiry. The invoice of a funding names its own."""
    late_payment_watch_h: float = _duration(168)
    """Time for which the engine looks for a late payment of an invoice that ran out."""
    late_poll_max_h: float = _duration(4)
    """Longest time between two looks for a late payment."""
    issue_blocked_max_h: float = _duration(1)
    """Time for which a paid funding may have no usable keyset before it is parked and a person is told."""
    issue_refusals_max: int = _count(3)
    """Refusals of the same outputs of a paid funding after which the mint gets new outputs."""
    issue_generations_max: int = _count(10)
    """Sets of outputs made because of refusals; every one stays restorable."""
    issue_retry_s: float = _duration(900)
    """Pause before the next try of a parked, paid funding; it doubles up to issue_retry_max_s."""
    issue_retry_max_s: float = _duration(14_400)
    keyset_margin_s: float = _duration(3600)
    """New outputs are not made on a keyset whose final expiry (NUT-02) is nearer than this."""
    mints_remembered_max: int = _count(100)
    """Mints whose keyset list and info are kept in memory; the longest unused go first."""
    keysets_remembered_max: int = _count(300)
    """Keysets, over all mints, whose keys are kept in memory; the longest unused go first."""
    proofs_per_operation_max: int = _count(1000)
    amount_max: int = field(default=AMOUNT_MAX, validator=[validators.ge(1), validators.le(AMOUNT_MAX)])
    wait_s: float = _duration(60)
    """Longest time that a call waits for the end of its operation, when the caller names none."""
    fee_max_percent: float = _duration(5)
    """Highest cost of a payment beside its amount, as a share, when the caller names no ``fee_max``."""
    fee_max_floor_sat: int = _count(20, 0)
    """A cost up to this is always allowed, in sat (for a wallet in msat: a thousand times as many units)."""
    on_unpaid: str = field(default="fast", validator=validators.in_(ON_UNPAID))
    """The way to free the inputs of a payment that was not made: ``fast`` (the mint's own clear refusal,
    confirmed twice; else a fence), ``fence``, ``retry_then_fence``, ``trust``."""

    __repr__ = shown

    @property
    def late_watch_part_ms(self) -> int:
        """Milliseconds of the watch for a late payment that one step may count: a seventh, at least an hour.
        A clock that was set forward cannot end the watch with one step."""
        return max(3_600_000, int(self.late_payment_watch_h * 3_600_000) // 7)
