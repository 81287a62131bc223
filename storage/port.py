"""The Store port: reads, one way to change money or state, and a closed list of side notes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from attrs import evolve, frozen

from ..machines.shown import shown
from .batch import Batch
from .records import AuditRecord, DedupRecord, Operation, Token, Tombstone
from .rules.machines import Machines

if TYPE_CHECKING:
    from .ahead import Read
    from .read_back import ReadBack


@frozen
class TokenQuery:
    """All given fields must match. ``smallest_first`` orders by total, then id; ``largest_first`` is the
    reverse of it; else by id. ``after`` goes on behind that id (a cursor), so it needs the order by id.
    ``home``: see :class:`Reader`."""

    npub: str | None = None
    wallet_id: str | None = None
    mint_url: str | None = None
    unit: str | None = None
    states: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    reserved_by: str | None = None
    parent: str | None = None  # metadata.parent_transaction_id
    min_total: int | None = None
    max_total: int | None = None
    largest_first: bool = False
    smallest_first: bool = False
    after: str | None = None
    limit: int = 1000
    home: str | None = None

    __repr__ = shown

    def __attrs_post_init__(self) -> None:
        if self.after is not None and (self.largest_first or self.smallest_first):
            raise ValueError("after is a cursor in the order of ids")


@frozen
class OperationQuery:
    """All given fields must match; newest first, by creation and then id. ``since`` <= created_at <
    ``until``. ``after`` goes on behind that (created_at, id)."""

    npub: str | None = None
    kind: str | None = None
    mint_url: str | None = None
    states: tuple[str, ...] = ()
    parent_id: str | None = None
    since: int | None = None
    until: int | None = None
    after: tuple[int, str] | None = None
    limit: int = 100
    home: str | None = None

    __repr__ = shown


@frozen
class AuditQuery:
    """All given fields must match. By entity ordered by version, and ``above`` goes on behind that version;
    else by operation and seq, and ``after`` goes on behind that (operation_id, seq). With ``since`` or
    ``until``, and no operation or batch named, ordered by time, then operation and seq; there ``after`` goes
    on behind that record of the moment ``since``. :meth:`behind` makes the query of the next page.
    ``levels`` are compliance levels; ``since`` <= at < ``until``; ``expired_before`` keeps what its
    ``expires_at`` lets go before that moment."""

    operation_id: str | None = None
    entity: str | None = None
    batch_id: str | None = None
    home: str | None = None
    levels: tuple[str, ...] = ()
    since: int | None = None
    until: int | None = None
    expired_before: int | None = None
    after: tuple[str, int] | None = None
    above: int | None = None
    limit: int = 10_000

    __repr__ = shown

    def __attrs_post_init__(self) -> None:
        if self.after is not None and self.entity is not None:
            raise ValueError("after is a cursor in the order of operations; an entity has its own order")
        if self.above is not None and self.entity is None:
            raise ValueError("above is a cursor in the order of one entity's versions")
        if self.after is not None and self.by_time and self.since is None:
            raise ValueError("after in the order of time needs the moment of that record as since")

    @property
    def by_time(self) -> bool:
        """Whether the records come in the order of time."""
        named = (self.operation_id, self.entity, self.batch_id)
        return (self.since, self.until) != (None, None) and named == (None, None, None)

    def behind(self, last: AuditRecord) -> AuditQuery:
        """The query for the records that come after ``last`` in the order of this one."""
        if self.entity is not None:
            return evolve(self, above=last.version)
        since = last.at if self.by_time else self.since
        return evolve(self, after=(last.operation_id, last.seq), since=since)


@frozen
class TombstoneQuery:
    """All given fields must match, ordered by operation id; ``after`` goes on behind that id."""

    operation_ids: tuple[str, ...] = ()
    entity: str | None = None
    home: str | None = None
    after: str | None = None
    limit: int = 1000

    __repr__ = shown


@frozen
class Chain:
    """The content of the audit log under one operation id, whether there is such an operation or not.
    ``expires_at`` is when the last of the records expires; None when one of them never does."""

    operation_id: str
    records: int
    first_seq: int
    last_seq: int
    last_hash: str
    expires_at: int | None

    __repr__ = shown


@frozen
class Held:
    """Value of a wallet's tokens at one mint, unit and state, from one consistent read."""

    mint_url: str
    unit: str
    state: str
    amount: int
    tokens: int

    __repr__ = shown


@frozen
class HeldCoins:
    """Value of a wallet's proofs of one keyset in tokens of one state, from one consistent read."""

    mint_url: str
    unit: str
    state: str
    keyset_id: str
    amount: int

    __repr__ = shown


@frozen
class Counted:
    """How many operations of a kind are in a state."""

    kind: str
    state: str
    number: int

    __repr__ = shown


# -- notes: never state, never money; each is bound to {worker, term} --------------------------------
# ``home`` is the npub of the operation, where the caller knows it: a cluster is told where to write.


@frozen
class TakeLease:
    """Become the driver: applied when there is no lease, it has run out at ``now`` (epoch ms), it is
    exactly the one in ``breaking`` (worker, term), or it would last beyond ``beyond`` (epoch ms): the wall
    clock of who took it was wrong. The stored term grows by one."""

    operation_id: str
    worker: str
    until: int
    now: int
    breaking: tuple[str, int] | None = None
    beyond: int | None = None
    home: str | None = None

    __repr__ = shown


@frozen
class KeepLease:
    """Extend a lease we hold."""

    operation_id: str
    worker: str
    term: int
    until: int
    home: str | None = None

    __repr__ = shown


@frozen
class DropLease:
    """Give up a lease we hold."""

    operation_id: str
    worker: str
    term: int
    home: str | None = None

    __repr__ = shown


@frozen
class Reschedule:
    """When a worker should look at the operation again (epoch ms)."""

    operation_id: str
    worker: str
    term: int
    next_check_at: int
    home: str | None = None

    __repr__ = shown


@frozen
class CountFailure:
    """One more drive of the operation failed. Its lease stays as it is."""

    operation_id: str
    worker: str
    term: int
    home: str | None = None

    __repr__ = shown


Note = TakeLease | KeepLease | DropLease | Reschedule | CountFailure


class Reader(Protocol):
    """Consistent reads. Every method raises StoreUnavailable or CorruptRecord, nothing else.

    ``home`` is the npub of the wallet whose documents are wanted, where the caller knows it. On a cluster the
    shard of this wallet alone is asked; elsewhere it is ignored."""

    def operation(self, operation_id: str, home: str | None = None) -> Operation | None: ...

    def operation_by_key(self, npub: str, key: str) -> Operation | None: ...

    def operation_by_claim(self, claim: str) -> Operation | None: ...

    def operations(self, query: OperationQuery) -> Sequence[Operation]: ...

    def count_operations(self, npub: str | None = None) -> Sequence[Counted]:
        """How many there are of each kind in each state, by kind and state. It walks an entry of an index for
        each operation and reads no document: a service asks for it once in a while, not for each payment."""
        ...

    def live_operations(
        self, due_before: int, limit: int, after: tuple[int, str] | None = None
    ) -> Sequence[Operation]:
        """Operations with ``next_check_at`` <= ``due_before``, the longest overdue first, behind ``after``:
        (next_check_at, id)."""
        ...

    def count_live(self) -> int:
        """How many operations have a ``next_check_at``, counted in its index."""
        ...

    def dedup(self, key: str, home: str | None = None) -> DedupRecord | None: ...

    def token(self, transaction_id: str, home: str | None = None) -> Token | None: ...

    def tokens(self, query: TokenQuery) -> Sequence[Token]: ...

    def tokens_of(self, queries: Sequence[TokenQuery]) -> Sequence[Token]:
        """The tokens of all these queries, each once and in any order, in one trip and of one moment. Each
        query stops at its own limit."""
        ...

    def proof_owners(self, keys: Iterable[str], home: str | None = None) -> Mapping[str, str]:
        """Which token holds each known proof key; unknown keys are absent."""
        ...

    def balance(self, npub: str, mint_url: str | None = None, states: Sequence[str] = ()) -> Sequence[Held]:
        """The value of the owner's tokens by mint, unit and state. With ``states`` only of these, and no
        other token is read: spent ones only grow in number."""
        ...

    def coins_by_keyset(
        self, npub: str, mint_url: str | None = None, wallet_id: str | None = None
    ) -> Sequence[HeldCoins]:
        """The value of unspent and stranded proofs, by mint, unit, state and keyset. It reads every such
        token of the wallet."""
        ...

    def audit(self, query: AuditQuery) -> Sequence[AuditRecord]: ...

    def audit_operations(self, after: str = "", limit: int = 1000) -> Sequence[Chain]:
        """At most ``limit`` chains of the audit log, by operation id, behind ``after``; none when there
        are no more. It may give fewer than there are: go on until it gives none."""
        ...

    def tombstones(self, query: TombstoneQuery) -> Sequence[Tombstone]: ...


class Store(Reader, Protocol):
    """A place where operations, tokens and their audit live."""

    url: str  # without credentials
    machines: Machines  # those that a batch may name

    def commit(self, batch: Batch, read_back: ReadBack | None = None) -> None:
        """Apply the whole batch or nothing. A batch that was applied before returns quietly.

        ``read_back`` is asked inside the transaction, after all writes of the batch, with a reader that sees
        them. It is asked again whenever the transaction is run again, but not for a batch that was applied
        before: the sending that applied it has asked.

        Raises Conflict (stale before-image), Duplicate (unique key), CommitUnknown (send it again),
        StoreUnavailable, InvalidBatch; NotAsWritten when ``read_back`` refuses: then no sending of this batch
        was or will be applied.
        """
        ...

    def note(self, note: Note) -> Operation | None:
        """Apply a note; returns the operation as stored afterwards, or None when the note was
        refused (another worker holds the lease, or the operation does not exist)."""
        ...

    def purge(self, tombstone: Tombstone) -> int:
        """Delete the audit records of an ended operation and leave ``tombstone``, all or nothing; the only
        way in which a record ever leaves. Returns the number of deleted records; 0: they were purged before.

        Raises Conflict unless the operation has ended and its trail is exactly what the tombstone says,
        CommitUnknown (send it again), StoreUnavailable, InvalidBatch.
        """
        ...

    def snapshot(self, ahead: Sequence[Read] = ()) -> AbstractContextManager[Reader]:
        """Reads that all see one moment. ``ahead`` names reads that will be made: a store may answer them
        together; every other read is possible too."""
        ...

    def close(self) -> None:
        """Release everything; afterwards every other call raises StoreUnavailable."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the store."""
        ...


def number_of_operations(reader: Reader, npub: str | None = None) -> int:
    """The number of a wallet's operations, or of all. For the progress of a walk that reads each of them."""
    return sum(counted.number for counted in reader.count_operations(npub))
