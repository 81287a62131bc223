"""Records to MongoDB documents and back. Tokens keep the field names and types of existing deployments
(``_id`` and a wallet's id ObjectIds, dates BSON dates, ``operation_timestamp`` ISO text), so that their
programs read our documents and we read theirs. Every document carries the ``npub`` of its wallet: on a
cluster all documents of a wallet are on one shard."""

from __future__ import annotations

import hashlib
import math
import re
import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bson import DBRef, ObjectId

from ...machines.token.table import STATUS_OF_STATE
from ..batch import proof_key
from ..errors import InvalidBatch
from ..records import AuditRecord, DedupRecord, Operation, Token, Tombstone
from ..rules.batch import TIME_MAX
from ..rules.codec import METADATA_KNOWN, changes_to_plain, corrupt, from_plain, metadata_to_plain, to_plain
from ..rules.plain import DEPTH_MAX
from ..rules.quick import audit_from_plain, token_from_plain

Document = dict[str, Any]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
# Token field -> its name in the collection, for the three that are BSON dates there.
_DATES: Final = {"created_at": "createdAt", "updated_at": "updatedAt", "spent_at": "spent_at"}
AUDIT_NAMES: Final = {"id": "_id", "from_state": "from", "to_state": "to"}
_PROJECTED: Final = ("_id", "status", "proof_keys")
NO_LEASE: Final[Document] = {"worker": None, "until": 0, "term": 0}


def _to_date(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else _EPOCH + milliseconds * _MILLISECOND


def _from_date(value: Any, name: str, field: str) -> int | None:
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise corrupt(name, field)
    aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MILLISECOND


def document_id(token: Token) -> ObjectId:
    """The ``_id`` of the document: made from the token's birth and id, so that the same token always has the
    same one. Nothing is found by it; ``transaction_id`` is the key."""
    seconds = token.created_at // 1000 & 0xFFFF_FFFF
    name = hashlib.sha256(token.transaction_id.encode("utf-8", "surrogatepass")).digest()
    return ObjectId(struct.pack(">I", seconds) + name[:8])


_OBJECT_ID: Final = re.compile(r"[0-9a-f]{24}")


def _to_wallet_id(wallet_id: str) -> str | ObjectId:
    # Exactly what str() of an ObjectId gives: another spelling would come back changed.
    return ObjectId(wallet_id) if _OBJECT_ID.fullmatch(wallet_id) else wallet_id


def wallet_ids(wallet_id: str) -> list[str | ObjectId]:
    """The values under which documents of the wallet may be stored: a schema before ours had text."""
    return list(dict.fromkeys((_to_wallet_id(wallet_id), wallet_id)))


def to_timestamp(milliseconds: int | None) -> str | int | None:
    """``metadata.operation_timestamp`` as JavaScript writes a date; a time beyond its calendar as it is."""
    date = None
    if milliseconds is not None and 0 <= milliseconds <= TIME_MAX:
        date = _to_date(milliseconds)
    return (
        milliseconds
        if date is None
        else date.strftime("%Y-%m-%dT%H:%M:%S.") + f"{date.microsecond // 1000:03}Z"
    )


def _from_timestamp(value: Any) -> Any:
    """Milliseconds from ISO text, or from a number as JavaScript stores them; anything else as it is."""
    if isinstance(value, float) and value == int(value):
        return int(value)
    if isinstance(value, str):
        try:
            date = datetime.fromisoformat(value)
        except ValueError:
            return value
        aware = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
        return (aware - _EPOCH) // _MILLISECOND
    return value


def _copy(value: Any, depth: int = 0) -> Any:
    # metadata of other programs may hold dates and ObjectIds: keep them as they are.
    if depth > DEPTH_MAX:
        raise TypeError("nested too deeply")
    if isinstance(value, Mapping):
        return {key: _copy(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_copy(item, depth + 1) for item in value]
    return value


def _plain(value: Any) -> Any:
    # A foreign value in metadata must not stop a read: show it as text.
    if isinstance(value, DBRef):  # {"$ref", "$id"} of ours, which the driver takes for a reference
        value = dict(value.as_doc())
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)


def token_document(token: Token) -> Document:
    """The ``cashu_tokens`` document."""
    document = to_plain(token)
    try:
        metadata = document["metadata"] = metadata_to_plain(token.metadata, _copy)
        if token.metadata.operation_timestamp is not None:
            metadata["operation_timestamp"] = to_timestamp(token.metadata.operation_timestamp)
        for field, stored in _DATES.items():
            document[stored] = _to_date(document.pop(field))
    except (TypeError, OverflowError):
        refusal = InvalidBatch(f"token:{token.transaction_id} holds a value that cannot be stored")
    else:
        document["_id"] = document_id(token)
        document["wallet_id"] = _to_wallet_id(token.wallet_id)
        document["status"] = STATUS_OF_STATE[token.state]
        document["proof_keys"] = proof_keys(token)
        return document
    raise refusal


def proof_keys(token: Token) -> list[str]:
    """The keys of its proofs, in their order: a projection that a unique index and ``proof_owners`` read."""
    return [proof_key(proof.secret) for proof in token.proofs]


def token_from_document(document: Document) -> Token:
    """The token; CorruptRecord if the document is not exactly one of ours. Its ``proof_keys`` are left to the
    reconciliation, which asks them who holds each proof: money with a wrong key can still be read."""
    name = f"token:{document.get('transaction_id')}"
    fields = {key: value for key, value in document.items() if key not in _PROJECTED}
    for field, stored in _DATES.items():
        if stored not in fields:
            raise corrupt(name, stored)
        fields[field] = _from_date(fields.pop(stored), name, stored)
    if isinstance(fields.get("wallet_id"), ObjectId):
        fields["wallet_id"] = str(fields["wallet_id"])
    fields["metadata"] = _plain(fields.get("metadata"))
    if isinstance(fields["metadata"], dict) and "operation_timestamp" in fields["metadata"]:
        fields["metadata"]["operation_timestamp"] = _from_timestamp(fields["metadata"]["operation_timestamp"])
    token = token_from_plain(fields, name)
    if document.get("status") != STATUS_OF_STATE.get(token.state):
        raise corrupt(name, "status")
    return token


def quote_is_open(operation: Operation) -> bool:
    """Whether no other operation may have the same quote: not once it ended unpaid, nor once it let go of it
    for another attempt (a mint may answer that with the same quote)."""
    return operation.ends != "unpaid" and not operation.quote_let_go


def operation_document(operation: Operation, dedup: DedupRecord | None = None) -> Document:
    """The ``operations`` document. ``lease`` is always there: its term outlives the lease. ``quote_open``
    is a projection of the state: the quote may still be paid, or was. ``dedup`` {key, until} is the duplicate
    window that the operation holds; it is no field of the operation and is in no hash of it."""
    document = to_plain(operation)
    document["_id"] = document.pop("id")
    document["quote_open"] = quote_is_open(operation)
    if document["lease"] is None:
        document["lease"] = dict(NO_LEASE)
    if dedup is not None:
        document["dedup"] = dedup_field(dedup)
    return document


def operation_from_document(document: Document) -> Operation:
    """The operation; CorruptRecord if the document is not exactly one of ours."""
    fields = dict(document)
    fields["id"] = fields.pop("_id", None)
    if isinstance(fields.get("reason"), dict):
        fields["reason"] = _plain(fields["reason"])
    lease = fields.get("lease")
    if isinstance(lease, dict) and lease.get("worker") is None:
        fields["lease"] = None
    quote_open = fields.pop("quote_open", None)
    fields.pop("dedup", None)
    operation = from_plain(Operation, fields, f"operation:{fields['id']}")
    if quote_open is not quote_is_open(operation):
        raise corrupt(f"operation:{operation.id}", "quote_open")
    return operation


def audit_document(record: AuditRecord, npub: str) -> Document:
    """The ``audit_log`` document: ``_id``, ``from`` and ``to`` instead of our field names. ``npub`` is the
    wallet of its operation."""
    document = {AUDIT_NAMES.get(field, field): value for field, value in to_plain(record).items()}
    return document | {"npub": npub}


def audit_from_document(document: Document) -> AuditRecord:
    """The audit record; CorruptRecord if the document is not exactly one."""
    ours = {stored: field for field, stored in AUDIT_NAMES.items()}
    fields = {ours.get(key, key): value for key, value in document.items() if key != "npub"}
    fields["data"] = _plain(fields.get("data"))
    return audit_from_plain(fields, f"audit record {document.get('_id')}")


def dedup_field(record: DedupRecord) -> Document:
    """The field ``dedup`` of the operation that holds the record."""
    return {"key": record.key, "until": record.expires_at}


def dedup_from_document(document: Document) -> DedupRecord:
    """The dedup record of an operation that holds one; CorruptRecord if it is not exactly one."""
    if not isinstance(document["dedup"], dict):
        raise corrupt("dedup record", "dedup")
    fields = dict(document["dedup"])
    fields["expires_at"] = fields.pop("until", None)
    return from_plain(DedupRecord, {"operation_id": document["_id"]} | fields, "dedup record")


def tombstone_document(tombstone: Tombstone, npub: str) -> Document:
    """The ``tombstones`` document: its key is ``_id``. ``npub`` is the wallet of its operation."""
    document = to_plain(tombstone)
    document["_id"] = document.pop("operation_id")
    return document | {"npub": npub}


def tombstone_from_document(document: Document) -> Tombstone:
    """The tombstone; CorruptRecord if the document is not exactly one."""
    fields = dict(document)
    fields["operation_id"] = fields.pop("_id", None)
    fields.pop("npub", None)
    return from_plain(Tombstone, fields, f"tombstone {document.get('_id')}")


def token_changes(before: Token, after: Token) -> Document:
    """The fields for ``$set``. Known metadata fields are written one by one, so that the values of other
    programs beside them are neither replaced nor converted."""
    changed = changes_to_plain(before, after)
    try:
        for field in _DATES.keys() & changed.keys():
            changed[_DATES[field]] = _to_date(changed.pop(field))
        if "metadata" in changed:
            changed["metadata"] = metadata_to_plain(after.metadata, _copy)
    except (TypeError, OverflowError):
        refusal = InvalidBatch(f"token:{after.transaction_id} holds a value that cannot be stored")
    else:
        if "state" in changed:
            changed["status"] = STATUS_OF_STATE[after.state]
        if "proofs" in changed:
            changed["proof_keys"] = proof_keys(after)
        if "metadata" in changed and before.metadata.extra == after.metadata.extra:
            del changed["metadata"]
            for field in METADATA_KNOWN:
                value = getattr(after.metadata, field)
                if getattr(before.metadata, field) != value:
                    if field == "operation_timestamp":
                        value = to_timestamp(value)
                    changed[f"metadata.{field}"] = value
        return changed
    raise refusal


def operation_changes(before: Operation, after: Operation) -> Document:
    """The fields for ``$set``. Dropping the lease leaves its term: it only grows."""
    changed = changes_to_plain(before, after)
    if quote_is_open(before) != quote_is_open(after):
        changed["quote_open"] = quote_is_open(after)
    if "lease" in changed and after.lease is None:
        del changed["lease"]
        changed |= {"lease.worker": None, "lease.until": 0}
    return changed
