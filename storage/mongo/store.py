"""The MongoDB form of the store, over a gateway. Every batch is one transaction."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Self

from ..ahead import Read
from ..batch import Advance, Batch, DedupTake, IndexInsert, IndexMove, Insert
from ..errors import (
    BatchTooLarge,
    CommitUnknown,
    Conflict,
    CorruptRecord,
    Duplicate,
    InvalidBatch,
    StorageError,
    StoreUnavailable,
    StoreUnsupported,
)
from ..port import CountFailure, DropLease, KeepLease, Note, Reader, Reschedule, TakeLease
from ..records import Operation, Token, Tombstone
from ..rules.batch import check_batch, check_tombstone, gains_proofs
from ..rules.machines import BUILT_IN, Machines
from .codec import (
    Document,
    audit_document,
    dedup_document,
    operation_changes,
    operation_document,
    operation_from_document,
    token_changes,
    token_document,
    tombstone_document,
)
from .filters import equal
from .gateway import (
    Change,
    Find,
    Gateway,
    GatewayCorrupt,
    GatewayDuplicate,
    GatewayRefused,
    GatewayTooLarge,
    GatewayUnavailable,
    GatewayUnknown,
    Transaction,
)
from .read import MongoReads
from .read_ahead import read_ahead
from .schema import AUDIT, DEDUP, OPERATIONS, PROOFS, TOKENS, TOMBSTONES, UNIQUE_KEYS

RESENDS: Final = 3  # of a batch whose commit may or may not have happened
UNSURE_MAX: Final = 10_000  # ids of batches whose outcome a call of this process could not learn
_SCALARS: Final = (str, int, type(None))


class MongoStore(MongoReads):
    """A :class:`~nutstate.storage.port.Store` in a MongoDB database. ``url`` holds no credentials."""

    def __init__(self, url: str, gateway: Gateway, machines: Machines = BUILT_IN) -> None:
        super().__init__(gateway)
        self.url = url
        self.machines = machines
        self._gateway = gateway
        self._unsure: deque[str] = deque(maxlen=UNSURE_MAX)

    def close(self) -> None:
        self._gateway.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def snapshot(self, ahead: Sequence[Read] = ()) -> Iterator[Reader]:
        """Reads that all see the moment at which the block was entered."""
        context = self._gateway.snapshot(at_once=not ahead)
        reads = self._asked(context.__enter__)
        try:
            yield read_ahead(reads, ahead) if ahead else MongoReads(reads)
        finally:
            context.__exit__(None, None, None)

    def commit(self, batch: Batch) -> None:
        """See :meth:`nutstate.storage.port.Store.commit`. An unknown outcome is resolved here by
        sending the same batch again, ``RESENDS`` times: a committed batch refuses it."""
        check_batch(batch, self.machines)
        self._check_known(batch)
        try:
            self._send(batch)
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

    def _send(self, batch: Batch) -> None:
        """Send until the outcome is known. The rest of our own unknown sending refuses the next one, though a
        new primary may have rolled it back by then: such a refusal counts when it is repeated after a look
        that did not find the batch."""
        unknown, refusal = "", None
        unsure = batch.id in self._unsure
        restored = False
        sendings = 1 + RESENDS
        while sendings:
            sendings -= 1
            failure = self._try(batch)
            if failure is None:
                return
            if isinstance(failure, CommitUnknown):
                unknown, unsure, refusal = failure.why, True, None
                continue
            if isinstance(failure, InvalidBatch) and not restored and self._gateway.restore_rules():
                # a program of another release has just set the rules without our machines
                restored, sendings = True, max(1, sendings)
                continue
            refused = isinstance(failure, Conflict | Duplicate)
            if refused and self._holds(batch):
                return
            if not unsure or (refused and refusal is not None):
                raise failure
            if not refused:
                break  # this attempt wrote nothing, an earlier one perhaps did
            refusal, sendings = failure, max(1, sendings)
        raise CommitUnknown(batch.id, unknown or "an earlier call left it open")

    def _try(self, batch: Batch) -> StorageError | None:
        """One transaction: None, or what went wrong, without the driver's error behind it."""
        try:
            # Conflict and GatewayDuplicate escape the transaction: swallowed inside, the driver
            # would re-run a dead transaction until its time is over. Replays are told outside.
            self._gateway.transaction(lambda transaction: apply_batch(transaction, batch))
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
        except Conflict as error:
            return Conflict(error.entity)
        except GatewayDuplicate as error:
            stale = self._moved_on(batch) if error.collection == TOKENS else None
            if stale is not None:
                return Conflict(f"token:{stale}")
            return Duplicate(UNIQUE_KEYS.get((error.collection, error.index), error.index))
        return None

    def _moved_on(self, batch: Batch) -> str | None:
        """The first token of the batch that is stored otherwise than it begins with. A part of such a token
        cannot become a token of its own: the server calls its proofs duplicates, for the token has them."""
        olds = [change.before for change in batch.tokens if isinstance(change, Advance)]
        ids = [old.transaction_id for old in olds]
        find = Find(TOKENS, {"_id": {"$in": ids}}, fields=("_id", "state", "version"))
        try:
            stored = self._gateway.find(find)
        except GatewayUnavailable:
            return None
        found = {there["_id"]: (there.get("state"), there.get("version")) for there in stored}
        for old in olds:
            if found.get(old.transaction_id) != (old.state, old.version):
                return old.transaction_id
        return None

    def _holds(self, batch: Batch) -> bool:
        try:
            return self._gateway.holds_for_good(batch.audit[0].id, batch.id) or self._gateway.buried_for_good(
                batch.operation.after.id, batch.id
            )
        except GatewayUnavailable as error:
            failure = CommitUnknown(batch.id, str(error))
        raise failure

    def note(self, note: Note) -> Operation | None:
        """See :meth:`nutstate.storage.port.Store.note`."""
        filter, update = note_update(note)
        document = self._asked(lambda: self._gateway.find_one_and_update(OPERATIONS, filter, update))
        return None if document is None else operation_from_document(document)

    def purge(self, tombstone: Tombstone) -> int:
        """See :meth:`nutstate.storage.port.Store.purge`. Sent again while its outcome is unknown."""
        check_tombstone(tombstone)
        gone, sent, unknown = 0, 0, ""

        def work(transaction: Transaction) -> None:
            nonlocal gone
            gone = bury(transaction, tombstone)

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


def apply_batch(transaction: Transaction, batch: Batch) -> None:
    """Every change of the batch, one trip per collection, ids sorted. Documents that lose proofs are written
    before documents that gain them: a moved proof would collide with itself."""
    operation_id = batch.operation.after.id
    if isinstance(batch.operation, Insert):
        transaction.insert_many(OPERATIONS, [operation_document(batch.operation.after)])
    else:
        _advance_operation(transaction, batch.operation)
    if batch.dedup is not None:
        _take_dedup(transaction, batch.dedup)
    _write_tokens(transaction, batch)
    _write_index(transaction, batch, operation_id)
    transaction.insert_many(AUDIT, [audit_document(record) for record in batch.audit])


def _advance_operation(transaction: Transaction, change: Advance[Operation]) -> None:
    before = change.before
    expected = equal(_id=before.id, state=before.state, version=before.version)
    update = {"$set": operation_changes(before, change.after)}
    if transaction.update_many(OPERATIONS, expected, update) != 1:
        raise Conflict(f"operation:{before.id}")


def _write_tokens(transaction: Transaction, batch: Batch) -> None:
    """Every token in one trip: those that lose proofs first, then those that gain some, then births."""
    tokens = sorted(batch.tokens, key=lambda change: change.after.transaction_id)
    stored = sorted((change for change in tokens if isinstance(change, Advance)), key=gains_proofs)
    born = [token_document(change.after) for change in tokens if isinstance(change, Insert)]
    changes = [
        Change(
            equal(_id=old.transaction_id, state=old.state, version=old.version),
            {"$set": token_changes(old, new)},
        )
        for old, new in ((change.before, change.after) for change in stored)
    ]
    if (changes or born) and not transaction.write(TOKENS, changes, born):
        raise Conflict(f"token:{_stale(transaction, stored, changes)}")


def _stale(transaction: Transaction, stored: Sequence[Advance[Token]], changes: Sequence[Change]) -> str:
    """The first token that did not match: it does not hold what its change would have written."""
    ids = [change.after.transaction_id for change in stored]
    found = {document["_id"]: document for document in transaction.find(Find(TOKENS, {"_id": {"$in": ids}}))}
    for name, change in zip(ids, changes, strict=True):
        there = found.get(name, {})
        written = change.update["$set"].items()
        if any(there.get(field) != value for field, value in written if isinstance(value, _SCALARS)):
            return name
    return ids[0]


def _write_index(transaction: Transaction, batch: Batch, operation_id: str) -> None:
    """Every entry of the proof index in one trip: moves, then new ones."""
    moves = [change for change in batch.index if isinstance(change, IndexMove)]
    changes = [
        Change(
            {"_id": {"$in": sorted(move.keys)}, "token_id": {"$eq": move.from_token}},
            {"$set": {"token_id": move.to_token, "operation_id": operation_id}},
            len(move.keys),
        )
        for move in moves
    ]
    entries = sorted(
        (key, change.token_id)
        for change in batch.index
        if isinstance(change, IndexInsert)
        for key in change.keys
    )
    born = [{"_id": key, "token_id": name, "operation_id": operation_id} for key, name in entries]
    if (changes or born) and not transaction.write(PROOFS, changes, born):
        raise Conflict(f"token:{moves[0].from_token}")


def _take_dedup(transaction: Transaction, take: DedupTake) -> None:
    record, previous = take.record, take.previous
    if previous is None:
        transaction.insert_many(DEDUP, [dedup_document(record)])
        return
    filter = equal(_id=record.key, operation_id=previous.operation_id, expires_at=previous.expires_at)
    update = {"$set": {"operation_id": record.operation_id, "expires_at": record.expires_at}}
    if transaction.update_many(DEDUP, filter, update) != 1:
        raise Conflict(f"dedup:{record.key}")


def note_update(note: Note) -> tuple[Document, Document]:
    """Filter and update of a note; the filter holds its term."""
    if isinstance(note, TakeLease):
        free: list[Document] = [{"lease.worker": None}, {"lease.until": {"$lte": note.now}}]
        if note.breaking is not None:
            worker, term = note.breaking
            free.append(equal(lease__worker=worker, lease__term=term))
        if note.beyond is not None:
            free.append({"lease.until": {"$gt": note.beyond}})
        taken = {"lease.worker": note.worker, "lease.until": note.until}
        return {**equal(_id=note.operation_id), "$or": free}, {"$set": taken, "$inc": {"lease.term": 1}}
    held = equal(_id=note.operation_id, lease__worker=note.worker, lease__term=note.term)
    match note:
        case KeepLease():
            return held, {"$set": {"lease.until": note.until}}
        case DropLease():
            return held, {"$set": {"lease.worker": None, "lease.until": 0}}
        case Reschedule():
            return held, {"$set": {"next_check_at": note.next_check_at}}
        case CountFailure():
            return held, {"$inc": {"failures": 1}}


def bury(transaction: Transaction, tombstone: Tombstone) -> int:
    """The tombstone in place of the records; how many went. Conflict if the trail is another one."""
    name = tombstone.operation_id
    end = {"last_seq": tombstone.last_seq, "last_hash": tombstone.last_hash}
    there = transaction.find(Find(TOMBSTONES, equal(_id=name), fields=("last_seq", "last_hash")))
    if there:
        if there != [{"_id": name} | end]:
            raise Conflict(f"tombstone:{name}")
        return 0
    ends = equal(_id=name, audit_seq=tombstone.last_seq, audit_hash=tombstone.last_hash)
    if not transaction.find(Find(OPERATIONS, ends | {"finished_at": {"$ne": None}}, fields=("_id",))):
        raise Conflict(f"operation:{name}")
    transaction.insert_many(TOMBSTONES, [tombstone_document(tombstone)])
    gone = transaction.delete_many(AUDIT, equal(operation_id=name) | {"seq": {"$lte": tombstone.last_seq}})
    if gone != tombstone.records:
        raise Conflict(f"operation:{name}")
    return gone
