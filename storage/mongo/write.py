"""The writes of a transaction: a batch, a note, the tombstone of a purged trail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..batch import Advance, Batch, Insert
from ..errors import Conflict
from ..port import CountFailure, DropLease, KeepLease, Note, Reschedule, TakeLease
from ..records import DedupRecord, Operation, Token, Tombstone
from ..rules.batch import gains_proofs
from .codec import (
    Document,
    audit_document,
    dedup_field,
    operation_changes,
    operation_document,
    proof_keys,
    token_changes,
    token_document,
    tombstone_document,
)
from .filters import equal, equal_text
from .gateway import Change, Transaction
from .keys import NO_ATTEMPT, Attempt, attempt_document
from .schema import ATTEMPTS, AUDIT, OPERATIONS, TOKENS, TOMBSTONES

_SCALARS: Final = (str, int, type(None))


def apply_batch(transaction: Transaction, batch: Batch, attempt: Attempt = NO_ATTEMPT) -> None:
    """Every change of the batch, one trip per collection, ids sorted. Documents that lose proofs are written
    before documents that gain them: a moved proof would collide with itself."""
    npub = batch.operation.after.npub
    if attempt.keys:
        transaction.insert_many(ATTEMPTS, [attempt_document(batch, attempt)])
    if batch.dedup is not None and batch.dedup.previous is not None:
        _let_go(transaction, batch.dedup.previous, npub)
    window = None if batch.dedup is None else batch.dedup.record
    if isinstance(batch.operation, Insert):
        transaction.insert_many(OPERATIONS, [operation_document(batch.operation.after, window)])
    else:
        _advance_operation(transaction, batch.operation, window)
    _write_tokens(transaction, batch)
    transaction.insert_many(AUDIT, [audit_document(record, npub) for record in batch.audit])


def _let_go(transaction: Transaction, window: DedupRecord, npub: str) -> None:
    """The operation that was seen to hold the duplicate window holds it no more."""
    held = equal(_id=window.operation_id, npub=npub, dedup__until=window.expires_at)
    held |= equal_text(dedup__key=window.key)
    if transaction.update_many(OPERATIONS, held, {"$unset": {"dedup": ""}}) != 1:
        raise Conflict(f"dedup:{window.key}")


def _advance_operation(
    transaction: Transaction, change: Advance[Operation], window: DedupRecord | None
) -> None:
    before = change.before
    expected = equal(_id=before.id, npub=before.npub, state=before.state, version=before.version)
    changes = operation_changes(before, change.after)
    if window is not None:
        expected["dedup"] = {"$exists": False}  # an operation holds one key at most, and for good
        changes["dedup"] = dedup_field(window)
    if transaction.update_many(OPERATIONS, expected, {"$set": changes}) != 1:
        raise Conflict(f"operation:{before.id}")


def _write_tokens(transaction: Transaction, batch: Batch) -> None:
    """The stored tokens in one trip, those that lose proofs first; then the births. These are inserts, not
    updates that insert: the server's log of slow commands shows updates whole, new proofs among them.

    The proof index is the field ``proof_keys`` of the tokens, so it changes with them: ``check_batch`` holds
    the index changes of the batch to the proofs that its tokens gain and lose."""
    tokens = sorted(batch.tokens, key=lambda change: change.after.transaction_id)
    stored = sorted((change for change in tokens if isinstance(change, Advance)), key=gains_proofs)
    born = [token_document(change.after) for change in tokens if isinstance(change, Insert)]
    changes = [
        Change(_as_before(old, new), {"$set": token_changes(old, new)})
        for old, new in ((change.before, change.after) for change in stored)
    ]
    if changes and not transaction.update_each(TOKENS, changes):
        raise Conflict(f"token:{_stale(transaction, stored, changes)}")
    if born:
        transaction.insert_many(TOKENS, born)


def _as_before(old: Token, new: Token) -> Document:
    """The filter of a stored token that is to change. A token whose proofs change must have their keys: a
    proof that the index gives to another token is not moved."""
    filter = equal(npub=old.npub, transaction_id=old.transaction_id, state=old.state, version=old.version)
    return filter if old.proofs == new.proofs else filter | equal(proof_keys=proof_keys(old))


def _stale(transaction: Transaction, stored: Sequence[Advance[Token]], changes: Sequence[Change]) -> str:
    """The first token that did not match: it does not hold what its change would have written."""
    ids = [change.after.transaction_id for change in stored]
    wanted = equal(npub=stored[0].before.npub) | {"transaction_id": {"$in": ids}}
    found = {document["transaction_id"]: document for document in transaction.find(TOKENS, wanted)}
    for name, change in zip(ids, changes, strict=True):
        there = found.get(name, {})
        written = change.update["$set"].items()
        if any(there.get(field) != value for field, value in written if isinstance(value, _SCALARS)):
            return name
    return ids[0]


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
