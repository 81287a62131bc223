"""The stored records: tokens, operations, audit. Plain frozen data, amounts in the record's unit,
times in epoch milliseconds. Bearer money, and everything that can open it, is a :class:`Secret`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from ..machines.shown import shown
from .data import Data, as_data
from .secret import Secret

SCHEMA_VERSION = 2
"""The form of stored operations and tokens. 1: without ``kind_of_state`` and ``ends``."""


@frozen
class Dleq:
    """NUT-12 proof that the mint signed with its published key. ``r`` is the blinding factor."""

    e: str = field(repr=False)
    s: str = field(repr=False)
    r: Secret | None = None

    __repr__ = shown


@frozen
class Proof:
    """NUT-00 proof. ``id`` is the keyset id, ``C`` the unblinded signature (hex), ``Y`` the
    NUT-07 name of the proof (hex, computed when first needed)."""

    id: str
    amount: int
    secret: Secret
    C: Secret
    witness: Secret | None = None
    dleq: Dleq | None = field(default=None, repr=False)
    Y: str | None = field(default=None, repr=False)

    __repr__ = shown


@frozen
class Output:
    """One blinded message with what opens its signature. Stored **before** it is sent (I6)."""

    id: str
    amount: int
    B_: str = field(repr=False)
    secret: Secret
    r: Secret

    __repr__ = shown


@frozen(slots=False)
class TokenMetadata:
    """``metadata`` of a token document; ``extra`` keeps what other programs put there."""

    source: str  # lightning | p2p | mint | change
    parent_transaction_id: str | None = None
    operation_hash: str | None = None  # 16 hex, the legacy form
    atomic_operation: bool | None = None
    operation_timestamp: int | None = None
    extra: Mapping[str, Any] = field(factory=dict, repr=False)

    __repr__ = shown


@frozen(slots=False)
class Token:
    """One ``cashu_tokens`` document. Its key is ``transaction_id``."""

    transaction_id: str
    npub: str
    wallet_id: str
    mint_url: str
    unit: str
    transaction_type: str  # received | sent | minted | change
    state: str
    version: int
    proofs: tuple[Proof, ...]
    total_amount: int
    metadata: TokenMetadata
    created_at: int
    updated_at: int
    prev_state: str | None = None
    reserved_by: str | None = None
    spent_at: int | None = None
    schema_version: int = SCHEMA_VERSION

    __repr__ = shown


@frozen
class MachineRef:
    """The declared machine an operation runs under."""

    name: str
    version: int
    hash: str

    __repr__ = shown


@frozen
class Quote:
    """The mint's quote. ``expires_at`` in epoch ms."""

    id: str = field(repr=False)  # who knows a mint quote's id can issue its tokens
    amount: int
    fee_reserve: int
    expires_at: int
    request: Secret | None = None

    __repr__ = shown


@frozen
class InputRef:
    """A token locked by an operation: its id, locked value and number of proofs."""

    token_id: str
    amount: int
    proof_count: int

    __repr__ = shown


@frozen
class Fence:
    """One generation of the swap-to-ourselves that makes a late melt impossible. Its request is built
    from these outputs and from the stored proofs each time it is sent: the same bytes. ``inputs`` are the
    index keys of the proofs it spends; () means all of them."""

    generation: int
    outputs: tuple[Output, ...] = field(repr=False)
    input_fee: int
    inputs: tuple[str, ...] = field(default=(), repr=False)
    end: str = ""  # done: signed | refused: for good | doubted: so it seems | many: too many inputs
    refusals: int = 0  # by the mint itself, one after the other
    refused_since: int | None = None
    refused_at: int | None = None  # the last of them

    __repr__ = shown


@frozen
class Payment:
    """Proof of payment. ``preimage_matches`` is None when the mint gave none (it may)."""

    paid_at: int
    preimage: Secret | None = None
    preimage_matches: bool | None = None
    lightning_fee: int | None = None  # known once the change is known

    __repr__ = shown


@frozen
class Idempotency:
    """The caller's key and what it was first used for."""

    key: str
    hash: str  # 64 hex over the request the key was first used with

    __repr__ = shown


@frozen
class Reason:
    """The reason why an operation ended or parked. Safe to show."""

    code: str
    message: str
    retryable: bool = False
    details: Mapping[str, Any] = field(factory=dict)

    __repr__ = shown


@frozen
class Lease:
    """The worker that drives the operation. An optimisation against double work, never a safety lock."""

    worker: str
    until: int
    term: int  # grows with every take: a note of an earlier term changes nothing

    __repr__ = shown


@frozen
class Policy:
    """The caller's choices for this operation; stored so that a restart keeps them."""

    two_step: bool = False
    on_unpaid: str = "fence"  # fast | fence | retry_then_fence | trust
    sources: tuple[str, ...] = ()  # explicit source token ids; () = the engine chooses
    fee_max: int | None = None  # the most it may cost beside the amount; None = what the settings say

    __repr__ = shown


@frozen(slots=False)
class Operation:
    """One ``operations`` document. Its key is ``id``, the transaction id. These fields are common to every
    kind; the fields of one kind stand in ``data``, in the form of the kind's class."""

    id: str
    kind: str  # melt | mint | deposit | …
    machine: MachineRef
    state: str
    version: int
    npub: str
    wallet_id: str
    mint_url: str
    unit: str
    amount: int
    operation_hash: str  # 64 hex
    created_at: int
    updated_at: int
    prev_state: str | None = None
    kind_of_state: str = ""  # live | parked | final: the kind of its state, for readers without the machine
    ends: str = ""  # "" | good | unpaid | lost: how it ends in this state
    method: str | None = None
    request: Secret | None = None
    payment_hash: str | None = None
    policy: Policy = field(factory=Policy)
    quote: Quote | None = None
    quote_let_go: bool = False  # the mint refused for good: another operation may have the same quote
    inputs: tuple[InputRef, ...] = ()
    idempotency: Idempotency | None = None
    claim: str | None = None  # payment hash while the claim is held
    reason: Reason | None = None
    attempts: int = 0
    sent_at: int | None = None
    sent_by: str | None = None  # the worker that sent last: while it lives its request may be open
    parent_id: str | None = None
    resumed_at: int | None = None  # it was sent back to work: patience counts from here
    failures: int = 0  # drives that failed since it last got on
    data: Mapping[str, Any] = field(factory=Data, converter=as_data, repr=False)  # of its kind
    timings: Mapping[str, int] = field(factory=dict, repr=False)
    finished_at: int | None = None
    audit_seq: int = 0
    audit_hash: str = ""
    next_check_at: int | None = None
    lease: Lease | None = None
    schema_version: int = SCHEMA_VERSION

    __repr__ = shown


@frozen(slots=False)
class AuditRecord:
    """One transition of one entity, written in the same commit as the change it records."""

    id: str
    operation_id: str
    seq: int
    entity: str  # "operation:<id>" | "token:<id>"
    version: int
    machine: str  # "melt@1"
    event: str
    from_state: str
    to_state: str
    transition: str
    verdicts: Mapping[str, bool]
    actor: str
    at: int
    batch_id: str
    compliance_level: str  # STANDARD | HIGH | CRITICAL
    retention_policy: str
    expires_at: int | None
    data: Mapping[str, Any]  # sanitised
    prev_hash: str
    hash: str = ""

    __repr__ = shown


@frozen
class DedupRecord:
    """The present holder of ``npub|operation_hash``."""

    key: str
    operation_id: str
    expires_at: int

    __repr__ = shown


@frozen
class Span:
    """Consecutive versions of one entity whose records were purged, and the states they led from and to.
    ``token_hash`` or ``document_hash`` is that of the last of them, if they are a token's or the
    operation's; ``batches`` are the commits that wrote the operation's."""

    entity: str
    first: int
    last: int
    from_state: str
    to_state: str
    token_hash: str | None = None
    document_hash: str | None = None
    batches: tuple[str, ...] = ()

    __repr__ = shown


@frozen
class Tombstone:
    """The rest of the purged trail of an ended operation: its end, and the versions it covered. Its key is
    ``operation_id``; ``mac`` proves that a holder of the audit key purged it."""

    operation_id: str
    last_seq: int
    last_hash: str
    records: int
    spans: tuple[Span, ...]
    purged_at: int
    mac: str = ""

    __repr__ = shown
