"""The hash that chains an operation's audit records, those that tie operation and tokens to them, and the
proof on a tombstone. Pure."""

from __future__ import annotations

import functools
import hashlib
import hmac
import threading
from collections.abc import Iterable, Mapping, Set
from operator import attrgetter, is_
from typing import Any

import attrs

from ..batch import proof_key
from ..errors import CorruptRecord
from ..evolve import evolve
from ..records import AuditRecord, Operation, Token, Tombstone
from ..schema_1 import MovedFields, fields_of_schema_1
from ..secret import Secret
from .codec import data_from_plain
from .plain import encoder

_HASHED = tuple(sorted(set(AuditRecord.__annotations__) - {"hash"}))
UNBOUND = frozenset(
    {"lease", "next_check_at", "failures", "timings", "audit_seq", "audit_hash", "schema_version"}
)
"""Fields of an operation that :func:`document_hash` leaves out: notes write the first three between commits,
timings are no fact of the operation, and the chain and the form of the document are judged by themselves."""
NEW_IN_SCHEMA_2 = frozenset({"kind_of_state", "ends", "quote_let_go", "data"})
"""Fields that a migration gave to operations whose last record was written before there were such fields."""


_last = threading.local()
"""The text that this thread hashed last. The driver hashes an operation and its records, and the store does
so again for its check and its rows: of the very same objects the hash is the same. Records never change."""


def _mapping(value: object) -> dict[Any, Any]:
    # json knows dict only; records may hold any Mapping. The value stays out of the text.
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


_encode = encoder(sort_keys=True, default=_mapping)


def audit_canonical(record: AuditRecord) -> str:
    """Canonical JSON of ``record`` without ``hash``: field names as in :class:`AuditRecord`, keys
    sorted at every depth, no spaces, nothing escaped that UTF-8 can carry."""
    for known, text in getattr(_last, "audit", ()):
        if known is record:  # this very record was hashed by this thread a moment ago
            return str(text)
    return _encode({name: getattr(record, name) for name in _HASHED})


def audit_hash(record: AuditRecord) -> str:
    """Hex SHA-256 of :func:`audit_canonical`. ``record.hash`` itself does not matter."""
    return hashlib.sha256(audit_canonical(record).encode()).hexdigest()


def continued(records: Iterable[AuditRecord], previous: str) -> tuple[AuditRecord, ...]:
    """The records of one commit in a chain that follows the hash ``previous``: each with the hash that covers
    the one before. Their texts are kept for this thread until its next commit: the store writes them."""
    done: list[tuple[AuditRecord, str]] = []
    for record in records:
        linked = evolve(record, prev_hash=previous)
        text = audit_canonical(linked)
        previous = hashlib.sha256(text.encode()).hexdigest()
        done.append((evolve(linked, hash=previous), text))
    _last.audit = tuple(done)
    return tuple(record for record, _ in done)


def token_hash(token: Token) -> str:
    """Hex SHA-256 of whose money ``token`` is and of what it consists: owner, wallet, mint, unit, type,
    parent, reservation and, of each proof, key, amount, keyset and (hashed) signature. It stands in the
    token's audit records, so that a document changed behind their back is seen; no secret can be had
    from it."""
    proofs = sorted([proof_key(p.secret), p.amount, p.id, proof_key(p.C)] for p in token.proofs)
    parts = [
        *(token.transaction_id, token.npub, token.wallet_id, token.mint_url, token.unit),
        *(token.transaction_type, token.metadata.parent_transaction_id, token.reserved_by, proofs),
    ]
    return hashlib.sha256(_encode(parts).encode()).hexdigest()


def document_hash(operation: Operation) -> str:
    """Hex SHA-256 of the stored operation: every field but ``UNBOUND``. It stands in the operation's last
    audit record of each commit, so that a document changed behind its back is seen; no secret can be had
    from it.

    A field that holds its empty default is left out, at every depth: a release that adds such a field
    finds the hashes of what an earlier one stored unchanged."""
    values = _BOUND_VALUES(operation)
    last: tuple[tuple[Any, ...], str] | None = getattr(_last, "document", None)
    if last is not None and all(map(is_, last[0], values)):
        return last[1]
    found = _hash(_bound(operation, UNBOUND, _parts_of(operation)))
    _last.document = (values, found)
    return found


_BOUND_VALUES = attrgetter(*(f.name for f in attrs.fields(Operation) if f.name not in UNBOUND))


def is_document_of(operation: Operation, told: str) -> bool:
    """Whether ``told`` by an audit record is the hash of this operation: its :func:`document_hash`, or that
    which a release of schema 1 wrote of it."""
    return told == document_hash(operation) or told == _hash_of_schema_1(operation)


def _hash_of_schema_1(operation: Operation) -> str | None:
    """The hash that a release of schema 1 wrote of this operation. None: it wrote no such operation."""
    if operation.quote_let_go is not ("refused_for" in operation.data and operation.claim is None):
        return None
    try:
        fields = data_from_plain(MovedFields, fields_of_schema_1(operation.data), "operation")
    except CorruptRecord:
        return None
    return _hash(_bound(operation, UNBOUND | NEW_IN_SCHEMA_2) | _bound(fields))


def _hash(document: dict[str, Any]) -> str:
    return hashlib.sha256(_encode(document).encode()).hexdigest()


def _bound(record: Any, without: Set[str] = frozenset(), parts: Parts | None = None) -> dict[str, Any]:
    document = {}
    kind: Any = type(record)
    for name, empty in _fields_of(kind):
        if name not in without:
            value = getattr(record, name)
            if empty is None or not _same(value, empty[0]):
                document[name] = value if type(value) in _SCALARS else _part(name, value, parts)
    return document


Parts = dict[str, tuple[Any, Any]]
"""By field: a value, and what stands for it in the hashed document."""


def _parts_of(operation: Operation) -> Parts:
    """Those of the operation that this thread hashed last: most of its parts are the very same objects at its
    next commit. Another operation begins anew."""
    name, parts = getattr(_last, "parts", ("", {}))
    if name != operation.id:
        parts = {}
        _last.parts = (operation.id, parts)
    found: Parts = parts
    return found


def _part(name: str, value: Any, parts: Parts | None) -> Any:
    if parts is None:
        return _hashed(value)
    known = parts.get(name)
    if known is None or known[0] is not value:
        known = parts[name] = (value, _hashed(value))
    return known[1]


_SCALARS = frozenset({str, int, bool, type(None)})


def _same(value: Any, empty: Any) -> bool:
    # 0, False and None are three different things to say; mappings are of many types.
    if value is empty:
        return True
    return bool(value == empty) and (type(value) is type(empty) or isinstance(value, Mapping))


def _hashed(value: Any) -> Any:
    if isinstance(value, Secret):
        return proof_key(value)
    if isinstance(value, tuple):
        return [_hashed(item) for item in value]
    kind: Any = type(value)
    return _bound(value) if _is_record(kind) else value


@functools.cache
def _is_record(kind: Any) -> bool:
    return attrs.has(kind)


@functools.cache
def _fields_of(kind: Any) -> tuple[tuple[str, tuple[Any] | None], ...]:
    """Name and empty default of each field; None for a field without a default, or with one that says
    something."""
    found: list[tuple[str, tuple[Any] | None]] = []
    for field in attrs.fields(kind):
        default: Any = field.default
        if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
            default = default.factory()
        is_empty = default is not attrs.NOTHING and not default and not attrs.has(type(default))
        found.append((field.name, (default,) if is_empty else None))
    return tuple(found)


def tombstone_canonical(tombstone: Tombstone) -> str:
    """Canonical JSON of ``tombstone`` without ``mac``, in the form of :func:`audit_canonical`. Empty
    parts of a span (``document_hash``, ``batches``) are left out, as in tombstones of earlier releases."""
    document = {k: v for k, v in attrs.asdict(tombstone).items() if k != "mac"}
    for span in document["spans"]:
        for name in ("document_hash", "batches"):
            if not span[name]:
                del span[name]
    return _encode(document)


def tombstone_mac(tombstone: Tombstone, key: bytes) -> str:
    """Hex HMAC-SHA256 of :func:`tombstone_canonical`. ``tombstone.mac`` itself does not matter."""
    return hmac.new(key, tombstone_canonical(tombstone).encode(), hashlib.sha256).hexdigest()
