"""Every bound of the engine in one place, named with its unit."""

from __future__ import annotations

from attrs import field, frozen, validators

from ..machines.money import AMOUNT_MAX

ON_UNPAID = ("fast", "fence", "retry_then_fence", "trust")


def _duration(default: float) -> float:
    return field(default=default, validator=validators.ge(0))


def _count(default: int, least: int = 1) -> int:
    return field(default=default, validator=[validators.instance_of(int), validators.ge(least)])


@frozen(kw_only=True)
class Settings:
    """The defaults of docs/design.md. Durations in the unit their name ends with."""

    settle_window_s: float = _duration(30)
    """How long after the last send an UNPAID answer proves nothing."""
    refusal_window_s: float = _duration(2)
    """How long after a mint confirmed its own refusal it is asked again, before the inputs are free."""
    post_open_max_s: float = _duration(70)
    """How long a request of another process may still be open; the settle window starts after it
    unless that process is certainly gone. At least connect plus read timeout of the mint adapter."""
    hold_max_h: float = _duration(24)
    """How long a caller may hold tokens for a payment he makes himself."""
    watch_window_h: float = _duration(24)
    poll_min_s: float = _duration(1)
    poll_max_s: float = _duration(60)
    unknown_age_max_h: float = _duration(24)
    change_window_s: float = _duration(60)
    retries_max: int = _count(1, 0)
    issue_tries_max: int = _count(20)
    fence_generations_max: int = _count(20)
    """Fences of one and the same inputs. A mint that refuses them together for good gets parts of them."""
    fence_refusals_max: int = _count(3)
    """Refusals of one fence, each by the mint itself and with no definitive code, that count as final."""
    fence_patience_s: float = _duration(300)
    """How long such refusals must have lasted where the code does not even name the inputs."""
    fence_bytes_max: int = _count(4_000_000)
    """Bytes that all fences of one operation may take in the store; MongoDB takes 16 MB."""
    request_bytes_max: int = _count(1_000_000)
    """Bytes of the inputs of one request; coins beyond that are not chosen."""
    selection_tries_max: int = _count(10)
    """How often inputs are chosen anew after a lost race, when the caller gave no time to wait."""
    retry_min_s: float = _duration(0.1)
    retry_max_s: float = _duration(1)
    """Between two tries before anything is stored: doubling from the one to the other, with jitter."""
    read_tries_max: int = _count(10)
    """How often the mint is asked for a quote or for what a choice of inputs needs, inside ``wait_s``."""
    commit_tries_max: int = _count(5)
    drive_failures_max: int = _count(10)
    """Drives of one operation that may fail with an exception before it is parked."""
    preflight_tries_max: int = _count(5)
    page_size: int = _count(200)
    """Documents read, and proofs asked about, at once by what looks at whole wallets."""
    steps_per_run_max: int = _count(500)
    candidate_tokens_max: int = _count(200)
    lease_s: float = _duration(30)
    dedup_window_s: float = _duration(300)
    mints_allowed: tuple[str, ...] | None = field(default=None)
    """Addresses that may be asked because a token names them, private ones too. None: only mints that the
    wallet or the HTTP client knows already."""
    quote_lifetime_s: float = _duration(600)
    """How long a quote counts whose expiry the mint does not name; a funding's invoice names its own."""
    late_payment_watch_h: float = _duration(168)
    """How long a funding whose invoice ran out unpaid is watched for a late payment."""
    late_poll_max_h: float = _duration(4)
    """How far the looks for a late payment lie apart at most."""
    issue_blocked_max_h: float = _duration(1)
    """How long a paid funding may be impossible to issue (no usable keyset) before a person is told."""
    issue_refusals_max: int = _count(3)
    """How often a mint may refuse the same outputs of a paid funding before it gets new ones."""
    issue_generations_max: int = _count(10)
    """Sets of outputs made because of refusals; every one stays restorable."""
    issue_retry_s: float = _duration(900)
    """How long a parked, paid funding waits for its next try; doubles up to issue_retry_max_s."""
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
    fee_max_percent: float = _duration(5)
    """The most a payment may cost beside its amount, as a share, when the caller names no ``fee_max``."""
    fee_max_floor_sat: int = _count(20, 0)
    """That much it may cost in any case, in sat (a wallet in msat: a thousand times as many of its units)."""
    on_unpaid: str = field(default="fast", validator=validators.in_(ON_UNPAID))
    """What frees the inputs of a payment that was not made: ``fast`` (the mint's own clear refusal, confirmed
    twice; else a fence), ``fence``, ``retry_then_fence``, ``trust``."""

    @property
    def late_watch_part_ms(self) -> int:
        """The part of the watch for a late payment that is counted at once, and believed of a clock that
        may have been set: a seventh, at least an hour."""
        return max(3_600_000, int(self.late_payment_watch_h * 3_600_000) // 7)
