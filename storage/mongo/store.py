"""The MongoDB form of the store, over a gateway. Every batch is one transaction."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Final, Self

from ..ahead import Read
from ..batch import Batch, Insert
from ..errors import (
    BatchTooLarge,
    CommitUnknown,
    Conflict,
    CorruptRecord,
    Duplicate,
    InvalidBatch,
    NotAsWritten,
    StorageError,
    StoreUnavailable,
    StoreUnsupported,
)
from ..port import Note, Reader
from ..read_back import ReadBack
from ..records import Operation, Tombstone
from ..rules.batch import check_batch, check_tombstone
from ..rules.machines import BUILT_IN, Machines
from .codec import (
    operation_from_document,
)
from .gateway import (
    Gateway,
    GatewayCorrupt,
    GatewayDuplicate,
    GatewayRefused,
    GatewayTooLarge,
    GatewayUnavailable,
    GatewayUnknown,
    Transaction,
)
from .keys import NO_ATTEMPT, Attempt, GlobalKeys, key_of
from .read import MongoReads
from .read_ahead import in_transaction, read_ahead
from .schema import ATTEMPTS, OPERATIONS, duplicate_name
from .write import apply_batch, bury, note_update

RESENDS: Final = 3  # of a batch whose commit may or may not have happened
UNSURE_MAX: Final = 10_000  # ids of batches whose outcome a call of this process could not learn


class MongoStore(MongoReads):
    """A :class:`~nutstate.storage.port.Store` in a MongoDB database. ``url`` holds no credentials."""

    def __init__(self, url: str, gateway: Gateway, machines: Machines = BUILT_IN) -> None:
        super().__init__(gateway, gateway.sharded)
        self.url = url
        self.machines = machines
        self._gateway = gateway
        self._keys = GlobalKeys(gateway)
        self._unsure: deque[str] = deque(maxlen=UNSURE_MAX)

    def close(self) -> None:
        self._gateway.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextlib.contextmanager
    def snapshot(self, ahead: Sequence[Read] = ()) -> Iterator[Reader]:
        """Reads that all see the moment at which the block was entered."""
        together = ahead and not self._gateway.sharded  # a cluster asks one shard after the other
        context = self._gateway.snapshot(at_once=not together)
        reads = self._asked(context.__enter__)
        try:
            yield read_ahead(reads, ahead) if together else MongoReads(reads, self._gateway.sharded)
        finally:
            context.__exit__(None, None, None)

    def commit(self, batch: Batch, read_back: ReadBack | None = None) -> None:
        """See :meth:`nutstate.storage.port.Store.commit`. An unknown outcome is resolved here by
        sending the same batch again, ``RESENDS`` times: a committed batch refuses it. On a cluster the keys
        that are unique over all wallets are claimed first."""
        check_batch(batch, self.machines)
        self._check_known(batch)
        attempt = Attempt.of(batch) if self._gateway.sharded else NO_ATTEMPT
        try:
            self._send(batch, attempt, read_back)
        except CommitUnknown:
            self._unsure.append(batch.id)
            raise

    def _check_known(self, batch: Batch) -> None:
        unknown = sorted({record.machine for record in batch.audit} & self._gateway.lacking)
        if unknown:
            raise StoreUnsupported(
                f"the database does not know the machine {unknown[0]} yet, and was opened with create=False; "
                f"nothing was written. Run: nutstate doctor --fix --store {self.url}",
                machine=unknown[0],
            )

    def _send(self, batch: Batch, attempt: Attempt, read_back: ReadBack | None) -> None:
        """Send until the outcome is known. The rest of our own unknown sending refuses the next one, though a
        new primary may have rolled it back by then: such a refusal counts when it is repeated after a look
        that did not find the batch."""
        unknown, refusal = "", None
        unsure, sent = batch.id in self._unsure, False
        restored = False
        sendings = 1 + RESENDS
        while sendings:
            sendings -= 1
            try:
                failure = self._try(batch, attempt, read_back, sent=sent)
            except InvalidBatch:  # a value that cannot be encoded, told before anything was committed
                if not unsure:
                    self._give_back(batch, attempt)
                raise
            if failure is None:
                return
            if isinstance(failure, CommitUnknown):
                unknown, unsure, sent, refusal = failure.why, True, True, None
                continue
            if isinstance(failure, InvalidBatch) and not restored and self._gateway.restore_rules():
                # a program of another release has just set the rules without our machines
                restored, sendings = True, max(1, sendings)
                continue
            # An old primary may find what a new one has committed not as written: it counts as a refusal.
            refused = isinstance(failure, Conflict | Duplicate) or (
                unsure and isinstance(failure, NotAsWritten)
            )
            if refused and self._holds(batch):
                return
            if not unsure or (refused and refusal is not None):
                if not unsure:
                    self._give_back(batch, attempt)
                raise failure
            if not refused:
                break  # this attempt wrote nothing, an earlier one perhaps did
            refusal, sendings = failure, max(1, sendings)
        raise CommitUnknown(batch.id, unknown or "an earlier call left it open")

    def _give_back(self, batch: Batch, attempt: Attempt) -> None:
        """The keys of an attempt that did not commit, so that the next one need not wait for them."""
        # Without it they are taken over when their time is over.
        with contextlib.suppress(GatewayUnavailable, GatewayRefused):
            if attempt.keys:
                self._keys.release(batch, attempt)

    def _try(
        self, batch: Batch, attempt: Attempt, read_back: ReadBack | None = None, *, sent: bool = False
    ) -> StorageError | None:
        """One transaction: None, or what went wrong, without the driver's error behind it. ``sent``: the same
        attempt was sent before, and its outcome is unknown."""

        def work(transaction: Transaction) -> None:
            apply_batch(transaction, batch, attempt)
            if read_back is not None:
                in_transaction(transaction, read_back, self._home_on_cluster(batch))

        try:
            if attempt.keys:
                self._keys.claim(batch, attempt, sent=sent)
            # Conflict and GatewayDuplicate escape the transaction: swallowed inside, the driver
            # would re-run a dead transaction until its time is over. Replays are told outside.
            self._gateway.transaction(work)
        except GatewayUnknown as error:
            return CommitUnknown(batch.id, str(error))
        except GatewayUnavailable as error:
            return StoreUnavailable(str(error))
        except GatewayRefused as error:
            return InvalidBatch(str(error))
        except GatewayTooLarge as error:
            return BatchTooLarge(error.code)
        except GatewayCorrupt as error:
            return CorruptRecord(str(error))
        except NotAsWritten as error:
            return NotAsWritten(error.why)
        except StoreUnavailable as error:  # of a read of the read-back
            return StoreUnavailable(error.message)
        except Conflict as error:
            return Conflict(error.entity)
        except Duplicate as error:
            return Duplicate(error.key)
        except GatewayDuplicate as error:
            if error.collection == ATTEMPTS:
                return _revoked(batch)
            return Duplicate(duplicate_name(error.collection, error.index))
        return None

    def _home_on_cluster(self, batch: Batch) -> str | None:
        return batch.operation.after.npub if self._gateway.sharded else None

    def _holds(self, batch: Batch) -> bool:
        try:
            operation, gateway = batch.operation.after, self._gateway
            return gateway.holds_for_good(
                batch.audit[0].id, batch.id, operation.npub
            ) or gateway.buried_for_good(operation.id, batch.id, operation.npub)
        except GatewayUnavailable as error:
            failure = CommitUnknown(batch.id, str(error))
        raise failure

    def note(self, note: Note) -> Operation | None:
        """See :meth:`nutstate.storage.port.Store.note`."""
        home = note.home or self.home_of(key_of("operation_id", note.operation_id))
        if home is None and self._sharded:
            return None
        filter, update = note_update(note, home)
        document = self._asked(lambda: self._gateway.find_one_and_update(OPERATIONS, filter, update))
        return None if document is None else operation_from_document(document)

    def purge(self, tombstone: Tombstone) -> int:
        """See :meth:`nutstate.storage.port.Store.purge`. Sent again while its outcome is unknown."""
        check_tombstone(tombstone)
        gone, sent, unknown = 0, 0, ""
        home = self.home_of(key_of("operation_id", tombstone.operation_id))
        if home is None and self._sharded:
            raise Conflict(f"operation:{tombstone.operation_id}")

        def work(transaction: Transaction) -> None:
            nonlocal gone
            gone = bury(transaction, tombstone, home)

        for _ in range(1 + RESENDS):
            try:
                self._gateway.transaction(work)
                return gone or sent
            except GatewayUnknown as error:
                sent, unknown = gone, str(error)
            except GatewayDuplicate:
                continue  # another process purged it just now: the next look tells whether in the same way
            except GatewayUnavailable as error:
                if not unknown:
                    raise StoreUnavailable(str(error)) from error
            except GatewayRefused as error:
                raise InvalidBatch(str(error)) from error
            except GatewayTooLarge as error:
                raise BatchTooLarge(error.code) from None
        raise CommitUnknown(f"purge:{tombstone.operation_id}", unknown or "the store is busy")


def _revoked(batch: Batch) -> StorageError:
    """Another operation took a key of this attempt over, so it never commits: to be decided again."""
    if isinstance(batch.operation, Insert):
        return Duplicate("operation_id")
    return Conflict(f"operation:{batch.operation.after.id}")
