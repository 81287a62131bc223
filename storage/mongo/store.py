"""The MongoDB form of the store, over a gateway. Every batch is one transaction."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Final, Self

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
    Gateway,
    GatewayCorrupt,
    GatewayDuplicate,
    GatewayRefused,
    GatewayTooLarge,
    GatewayUnavailable,
    GatewayUnknown,
    Transaction,
)
from .keys import NO_ATTEMPT, Attempt, GlobalKeys, attempt_document, key_of
from .read import MongoReads
from .schema import ATTEMPTS, AUDIT, DEDUP, OPERATIONS, PROOFS, TOKENS, TOMBSTONES, duplicate_name

RESENDS: Final = 3  # of a batch whose commit may or may not have happened
UNSURE_MAX: Final = 10_000  # ids of batches whose outcome a call of this process could not learn
_SCALARS: Final = (str, int, type(None))


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
    def snapshot(self) -> Iterator[Reader]:
        """Reads that all see the moment at which the block was entered."""
        context = self._gateway.snapshot()
        reads = self._asked(context.__enter__)
        try:
            yield MongoReads(reads, self._gateway.sharded)
        finally:
            context.__exit__(None, None, None)

    def commit(self, batch: Batch) -> None:
        """See :meth:`nutstate.storage.port.Store.commit`. An unknown outcome is resolved here by
        sending the same batch again, ``RESENDS`` times: a committed batch refuses it. On a cluster the keys
        that are unique over all wallets are claimed first."""
        check_batch(batch, self.machines)
        self._check_known(batch)
        attempt = Attempt.of(batch) if self._gateway.sharded else NO_ATTEMPT
        try:
            self._send(batch, attempt)
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

    def _send(self, batch: Batch, attempt: Attempt) -> None:
        """Send until the outcome is known. The rest of our own unknown sending refuses the next one, though a
        new primary may have rolled it back by then: such a refusal counts when it is repeated after a look
        that did not find the batch."""
        unknown, refusal = "", None
        unsure = batch.id in self._unsure
        restored = False
        sendings = 1 + RESENDS
        while sendings:
            sendings -= 1
            try:
                failure = self._try(batch, attempt)
            except InvalidBatch:  # a value that cannot be encoded, told before anything was committed
                if not unsure:
                    self._give_back(batch, attempt)
                raise
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

    def _try(self, batch: Batch, attempt: Attempt) -> StorageError | None:
        """One transaction: None, or what went wrong, without the driver's error behind it."""
        try:
            if attempt.keys:
                self._keys.claim(batch, attempt)
            # Conflict and GatewayDuplicate escape the transaction: swallowed inside, the driver
            # would re-run a dead transaction until its time is over. Replays are told outside.
            self._gateway.transaction(lambda transaction: apply_batch(transaction, batch, attempt))
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
        except Duplicate as error:
            return Duplicate(error.key)
        except GatewayDuplicate as error:
            if error.collection == ATTEMPTS:
                return _revoked(batch)
            return Duplicate(duplicate_name(error.collection, error.index))
        return None

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


def apply_batch(transaction: Transaction, batch: Batch, attempt: Attempt = NO_ATTEMPT) -> None:
    """Every change of the batch, one trip per collection and kind, ids sorted.
    Documents that lose proofs are written before documents that gain them: a moved proof would collide with
    itself."""
    operation_id, npub = batch.operation.after.id, batch.operation.after.npub
    if attempt.keys:
        transaction.insert_many(ATTEMPTS, [attempt_document(batch, attempt)])
    if isinstance(batch.operation, Insert):
        transaction.insert_many(OPERATIONS, [operation_document(batch.operation.after)])
    else:
        _advance_operation(transaction, batch.operation)
    if batch.dedup is not None:
        _take_dedup(transaction, batch.dedup, npub)
    tokens = sorted(batch.tokens, key=lambda change: change.after.transaction_id)
    stored = [change for change in tokens if isinstance(change, Advance)]
    _advance_tokens(transaction, [change for change in stored if not gains_proofs(change)])
    _advance_tokens(transaction, [change for change in stored if gains_proofs(change)])
    for move in (change for change in batch.index if isinstance(change, IndexMove)):
        _move_proofs(transaction, move, operation_id, npub)
    born = [token_document(change.after) for change in tokens if isinstance(change, Insert)]
    if born:
        transaction.insert_many(TOKENS, born)
    entries = [
        {"_id": key, "npub": npub, "token_id": change.token_id, "operation_id": operation_id}
        for change in batch.index
        if isinstance(change, IndexInsert)
        for key in change.keys
    ]
    if entries:
        transaction.insert_many(PROOFS, sorted(entries, key=lambda entry: entry["_id"]))
    transaction.insert_many(AUDIT, [audit_document(record, npub) for record in batch.audit])


def _advance_operation(transaction: Transaction, change: Advance[Operation]) -> None:
    before = change.before
    expected = equal(_id=before.id, npub=before.npub, state=before.state, version=before.version)
    update = {"$set": operation_changes(before, change.after)}
    if transaction.update_many(OPERATIONS, expected, update) != 1:
        raise Conflict(f"operation:{before.id}")


def _advance_tokens(transaction: Transaction, changes: Sequence[Advance[Token]]) -> None:
    """Tokens that change in the same way share one trip: ``version`` grows by ``$inc``, and the
    filter pins state and version of each."""
    groups: dict[Any, tuple[Document, list[Advance[Token]]]] = {}
    for change in changes:
        update = token_changes(change.before, change.after)
        update.pop("version", None)
        step = change.after.version - change.before.version
        alone = not all(isinstance(value, _SCALARS) or field in _SHARED for field, value in update.items())
        key = change.after.transaction_id if alone else (step, tuple(sorted(update.items(), key=str)))
        groups.setdefault(key, ({"$set": update, "$inc": {"version": step}}, []))[1].append(change)
    for update, members in groups.values():
        _advance_group(transaction, update, members)


_SHARED: Final = ("updatedAt", "spent_at")  # dates: hashable, and the same for the whole batch


def _advance_group(transaction: Transaction, update: Document, members: list[Advance[Token]]) -> None:
    expected = [
        equal(transaction_id=m.before.transaction_id, state=m.before.state, version=m.before.version)
        for m in members
    ]
    filter = equal(npub=members[0].before.npub) | (expected[0] if len(expected) == 1 else {"$or": expected})
    if transaction.update_many(TOKENS, filter, update) == len(members):
        return
    raise Conflict(f"token:{_stale(transaction, update['$set'], members)}")


def _stale(transaction: Transaction, written: Document, members: list[Advance[Token]]) -> str:
    """The first token that did not match: it does not hold what the others now do."""
    values = {field: value for field, value in written.items() if isinstance(value, _SCALARS)}
    ids = [member.after.transaction_id for member in members]
    wanted = equal(npub=members[0].before.npub) | {"transaction_id": {"$in": ids}}
    found = transaction.find(TOKENS, wanted, fields=("transaction_id", "version", *values))
    stored = {document["transaction_id"]: document for document in found}
    for member in members:
        expected = {
            "transaction_id": member.after.transaction_id, "version": member.after.version, **values
        }  # fmt: skip
        if expected.items() - stored.get(member.after.transaction_id, {}).items():
            return member.after.transaction_id
    return ids[0]


def _move_proofs(transaction: Transaction, move: IndexMove, operation_id: str, npub: str) -> None:
    filter = equal(npub=npub, token_id=move.from_token) | {"_id": {"$in": sorted(move.keys)}}
    update = {"$set": {"token_id": move.to_token, "operation_id": operation_id}}
    if transaction.update_many(PROOFS, filter, update) != len(move.keys):
        raise Conflict(f"token:{move.from_token}")


def _take_dedup(transaction: Transaction, take: DedupTake, npub: str) -> None:
    record, previous = take.record, take.previous
    if previous is None:
        transaction.insert_many(DEDUP, [dedup_document(record, npub)])
        return
    filter = equal(
        _id=record.key, npub=npub, operation_id=previous.operation_id, expires_at=previous.expires_at
    )
    update = {"$set": {"operation_id": record.operation_id, "expires_at": record.expires_at}}
    if transaction.update_many(DEDUP, filter, update) != 1:
        raise Conflict(f"dedup:{record.key}")


def note_update(note: Note, home: str | None) -> tuple[Document, Document]:
    """Filter and update of a note; the filter holds its term, and the wallet ``home`` if it is known."""
    if isinstance(note, TakeLease):
        free: list[Document] = [{"lease.worker": None}, {"lease.until": {"$lte": note.now}}]
        if note.breaking is not None:
            worker, term = note.breaking
            free.append(equal(lease__worker=worker, lease__term=term))
        if note.beyond is not None:
            free.append({"lease.until": {"$gt": note.beyond}})
        taken = {"lease.worker": note.worker, "lease.until": note.until}
        return {**equal(_id=note.operation_id, npub=home), "$or": free}, {
            "$set": taken,
            "$inc": {"lease.term": 1},
        }
    held = equal(_id=note.operation_id, npub=home, lease__worker=note.worker, lease__term=note.term)
    match note:
        case KeepLease():
            return held, {"$set": {"lease.until": note.until}}
        case DropLease():
            return held, {"$set": {"lease.worker": None, "lease.until": 0}}
        case Reschedule():
            return held, {"$set": {"next_check_at": note.next_check_at}}
        case CountFailure():
            return held, {"$inc": {"failures": 1}}


def bury(transaction: Transaction, tombstone: Tombstone, home: str | None) -> int:
    """The tombstone in place of the records; how many went. ``home`` is the npub of its wallet, where it is
    known. Conflict if the trail is another one."""
    name = tombstone.operation_id
    end = {"last_seq": tombstone.last_seq, "last_hash": tombstone.last_hash}
    there = transaction.find(TOMBSTONES, equal(_id=name, npub=home), fields=("last_seq", "last_hash"))
    if there:
        if there != [{"_id": name} | end]:
            raise Conflict(f"tombstone:{name}")
        return 0
    ends = equal(_id=name, npub=home, audit_seq=tombstone.last_seq, audit_hash=tombstone.last_hash)
    ended = transaction.find(OPERATIONS, ends | {"finished_at": {"$ne": None}}, fields=("_id", "npub"))
    if not ended:
        raise Conflict(f"operation:{name}")
    npub = ended[0]["npub"]
    transaction.insert_many(TOMBSTONES, [tombstone_document(tombstone, npub)])
    gone = transaction.delete_many(
        AUDIT, equal(npub=npub, operation_id=name) | {"seq": {"$lte": tombstone.last_seq}}
    )
    if gone != tombstone.records:
        raise Conflict(f"operation:{name}")
    return gone
