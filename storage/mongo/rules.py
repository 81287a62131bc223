"""Validators: documents that MongoDB itself refuses from every writer. A validator sees one document
as it would become and nothing else: a program that changes the owner, or that forges state, previous
state, version and stamps together, passes. Nothing but the engine should be allowed to write.
``nutstate audit verify`` finds a changed or removed audit record; a validator cannot."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import attrs

from ...machines.token.states import AWAITING, FAILED, RESERVED, SPENT, UNSPENT
from ...machines.token.table import STATUS_OF_STATE
from ..records import AuditRecord, Operation
from ..rules.batch import NONE, TOKEN_TYPES
from ..rules.machines import Machines, Step, Version
from ..rules.plain import AMOUNT_MAX
from .codec import AUDIT_NAMES
from .schema import AUDIT, MACHINES, OPERATIONS, TOKENS, TOMBSTONES
from .shards import KEY_SHAPES

Rule = dict[str, Any]

_INTEGER: Final = ["int", "long"]
_HEX_64: Final = "^[0-9a-f]{64}$"


def _integer(lowest: int = 0) -> Rule:
    return {"bsonType": _INTEGER, "minimum": lowest, "maximum": AMOUNT_MAX}


_INTEGER_OR_NULL: Final[Rule] = _integer() | {"bsonType": [*_INTEGER, "null"]}
_TEXT: Final[Rule] = {"bsonType": "string"}
_NAME: Final[Rule] = {"bsonType": "string", "minLength": 1}
_SHA: Final[Rule] = {"bsonType": "string", "pattern": _HEX_64}
_TEXT_OR_NULL: Final[Rule] = {"bsonType": ["string", "null"]}
_OBJECT_OR_NULL: Final[Rule] = {"bsonType": ["object", "null"]}


def _one_of(words: Iterable[str]) -> Rule:
    return {"enum": sorted(words)}


def _object(
    required: dict[str, Rule], optional: dict[str, Rule] | None = None, *, closed: bool = False
) -> Rule:
    """The shape of an object; ``closed``: our strict reader knows no other field."""
    properties = required | (optional or {})
    shape: Rule = {"bsonType": "object", "required": sorted(required), "properties": properties}
    return shape | ({"additionalProperties": False} if closed else {})


_FROM: Final[Rule] = {"$ifNull": ["$prev_state", NONE]}


def _unless(condition: Rule, *rules: Rule) -> Rule:
    return {"$or": [{"$not": [condition]}, *([{"$and": list(rules)}] if len(rules) > 1 else rules)]}


def _pairs(steps: Iterable[tuple[str, ...]]) -> list[list[str]]:
    return [list(step) for step in sorted(steps)]


_DLEQ: Final = _object({"e": _TEXT, "s": _TEXT}, {"r": _TEXT}, closed=True)
_PROOF: Final = _object(
    {"id": _TEXT, "amount": _integer(1), "secret": _TEXT, "C": _TEXT},
    {"witness": _TEXT, "dleq": _DLEQ, "Y": _TEXT},
    closed=True,
)
_METADATA: Final = _object(
    {"source": _TEXT},
    {
        "parent_transaction_id": _TEXT_OR_NULL,
        "operation_hash": _TEXT_OR_NULL,
        "atomic_operation": {"bsonType": ["bool", "null"]},
        "operation_timestamp": {"bsonType": [*_INTEGER, "string", "null"]},
    },
)


def _every_field(
    record: type,
    names: dict[str, str],
    shaped: dict[str, Rule],
    projected: dict[str, Rule] | None = None,
    optional: dict[str, Rule] | None = None,
) -> Rule:
    """The shape of a document that holds every field of the record (and what is projected from them), perhaps
    the ``optional`` ones, and no other, as our reader wants."""
    fields = [names.get(field.name, field.name) for field in attrs.fields(record)]
    required = {name: shaped.get(name, {}) for name in fields} | (projected or {})
    return _object(required, optional, closed=True)


_LAST_DATE: Final = datetime(9999, 12, 31, 23, 59, 59, 999_000)


def _readable(date: str) -> Rule:
    # BSON dates reach further than the calendars of the programs that read them.
    return {"$and": [{"$gte": [date, datetime(1, 1, 2)]}, {"$lte": [date, _LAST_DATE]}]}


_TOKEN: Final = _object(
    {
        "_id": {"bsonType": ["objectId", "string"], "minLength": 1},
        "transaction_id": _NAME,
        "npub": _TEXT,
        "wallet_id": {"bsonType": ["string", "objectId"]},
        "mint_url": _TEXT,
        "unit": _TEXT,
        "transaction_type": _one_of(TOKEN_TYPES),
        "state": _one_of(STATUS_OF_STATE),
        "status": _one_of(set(STATUS_OF_STATE.values())),
        "version": _integer(1),
        "total_amount": _integer(),
        "proofs": {"bsonType": "array", "items": _PROOF},
        "proof_keys": {"bsonType": "array", "items": _SHA, "uniqueItems": True},
        "metadata": _METADATA,
        "createdAt": {"bsonType": "date"},
        "updatedAt": {"bsonType": "date"},
        "schema_version": _integer(1),
        "spent_at": {"bsonType": ["date", "null"]},
        "prev_state": _TEXT_OR_NULL,
        "reserved_by": _TEXT_OR_NULL,
    },
    closed=True,
)

_IS_CHANGE: Final[Rule] = {"$eq": ["$transaction_type", "change"]}
_SECRETS: Final[Rule] = {"$cond": [{"$isArray": "$proofs"}, "$proofs.secret", []]}

_TOKEN_TRUTHS: Final[tuple[Rule, ...]] = (
    # a document of an older schema has its transaction_id there
    {"$or": [{"$eq": [{"$type": "$_id"}, "objectId"]}, {"$eq": ["$_id", "$transaction_id"]}]},
    # status is the projection of state
    {"$in": [["$state", "$status"], _pairs(STATUS_OF_STATE.items())]},
    # a birth is version 1 and nothing else is
    {"$eq": [{"$eq": ["$version", 1]}, {"$eq": [_FROM, NONE]}]},
    {"$eq": ["$total_amount", {"$sum": "$proofs.amount"}]},
    {"$eq": [{"$size": _SECRETS}, {"$size": {"$setUnion": [_SECRETS]}}]},
    # one key for each proof; whether it is the right one, a reconciliation tells: the server has no SHA-256
    {"$eq": [{"$size": _SECRETS}, {"$size": {"$cond": [{"$isArray": "$proof_keys"}, "$proof_keys", []]}}]},
    _unless(_IS_CHANGE, {"$eq": [{"$type": "$metadata.parent_transaction_id"}, "string"]}),
    _unless(_IS_CHANGE, {"$ne": ["$metadata.parent_transaction_id", ""]}),
    # change is never born spent
    _unless({"$and": [_IS_CHANGE, {"$eq": ["$state", SPENT]}]}, {"$ne": [_FROM, NONE]}),
    {"$eq": [{"$eq": ["$state", SPENT]}, {"$eq": [{"$type": "$spent_at"}, "date"]}]},
    _readable("$createdAt"),
    _readable("$updatedAt"),
    _unless({"$eq": [{"$type": "$spent_at"}, "date"]}, _readable("$spent_at")),
    _unless({"$eq": ["$state", RESERVED]}, {"$gt": ["$reserved_by", ""]}),
    _unless({"$eq": ["$state", UNSPENT]}, {"$not": [{"$gt": ["$reserved_by", None]}]}),
    _unless({"$in": ["$state", [AWAITING, FAILED]]}, {"$eq": ["$total_amount", 0]}),
)

_INPUT: Final = _object({"token_id": _NAME, "amount": _integer(), "proof_count": _integer()})
_MACHINE: Final = _object({"name": _TEXT, "version": _integer(1), "hash": _TEXT})

_OPERATION: Final = _every_field(
    Operation,
    {"id": "_id"},
    {
        "_id": _NAME,
        "kind": _NAME,
        "machine": _MACHINE,
        "state": _TEXT,
        "kind_of_state": _TEXT,
        "ends": _TEXT,
        "version": _integer(1),
        "npub": _TEXT,
        "wallet_id": {"bsonType": "string"},
        "mint_url": _TEXT,
        "unit": _TEXT,
        "amount": _integer(),
        "operation_hash": {"bsonType": "string"},
        "inputs": {"bsonType": "array", "items": _INPUT},
        "audit_seq": _integer(1),
        "audit_hash": {"bsonType": "string", "pattern": _HEX_64},
        "created_at": _integer(),
        "updated_at": _integer(),
        "lease": _object({"worker": _TEXT_OR_NULL, "until": _integer(), "term": _integer()}),
        "schema_version": _integer(1),
        "attempts": _integer(),
        "failures": _integer(),
        "data": {"bsonType": "object"},
        "quote_let_go": {"bsonType": "bool"},
        **dict.fromkeys(("sent_at", "resumed_at", "finished_at", "next_check_at"), _INTEGER_OR_NULL),
        **dict.fromkeys(("prev_state", "claim", "payment_hash", "sent_by", "parent_id"), _TEXT_OR_NULL),
        **dict.fromkeys(("quote", "idempotency", "reason"), _OBJECT_OR_NULL),
    },
    {"quote_open": {"bsonType": "bool"}},
    {"dedup": _object({"key": _NAME, "until": _integer()}, closed=True)},
)

_OPERATION_TRUTHS: Final[tuple[Rule, ...]] = (
    # quote_open is a projection of the end and of quote_let_go
    {"$ne": ["$quote_open", {"$or": [{"$eq": ["$ends", "unpaid"]}, "$quote_let_go"]}]},
    _unless({"$eq": ["$quote_let_go", True]}, {"$eq": [{"$ifNull": ["$claim", None]}, None]}),
    {"$eq": ["$kind", "$machine.name"]},
    {"$eq": [{"$eq": ["$version", 1]}, {"$eq": [_FROM, NONE]}]},
)

_RECORD: Final = _every_field(
    AuditRecord,
    AUDIT_NAMES,
    {
        "_id": _NAME,
        "operation_id": _NAME,
        "seq": _integer(1),
        "entity": {"bsonType": "string", "pattern": "^(operation|token):"},
        "version": _integer(1),
        "machine": _TEXT,
        "event": _TEXT,
        "from": _TEXT,
        "to": _TEXT,
        "transition": _TEXT,
        "actor": _TEXT,
        "at": _integer(),
        "batch_id": _NAME,
        "compliance_level": _one_of(("CRITICAL", "HIGH", "STANDARD")),
        "retention_policy": _TEXT,
        "expires_at": _INTEGER_OR_NULL,
        "data": {"bsonType": "object"},
        "verdicts": {"bsonType": "object"},
        "prev_hash": {"bsonType": "string", "pattern": "^([0-9a-f]{64})?$"},
        "hash": {"bsonType": "string", "pattern": _HEX_64},
    },
    {"npub": _TEXT},
)

_RECORD_TRUTHS: Final[tuple[Rule, ...]] = (
    {"$eq": [{"$eq": ["$seq", 1]}, {"$eq": ["$prev_hash", ""]}]},
    {"$eq": [{"$eq": ["$version", 1]}, {"$eq": ["$from", NONE]}]},
    # nothing is born expired
    {"$or": [{"$eq": ["$expires_at", None]}, {"$gt": ["$expires_at", "$at"]}]},
)

_SPAN: Final = _object(
    {
        "entity": _NAME,
        "first": _integer(1),
        "last": _integer(1),
        "from_state": _TEXT,
        "to_state": _TEXT,
    },
    {
        "token_hash": {"bsonType": ["string", "null"], "pattern": _HEX_64},
        "document_hash": {"bsonType": "string", "pattern": _HEX_64},
        "batches": {"bsonType": "array", "items": _NAME},
    },
    closed=True,
)

_TOMBSTONE: Final = _object(
    {
        "_id": _NAME,
        "last_seq": _integer(1),
        "last_hash": {"bsonType": "string", "pattern": _HEX_64},
        "records": _integer(1),
        "spans": {"bsonType": "array", "minItems": 1, "items": _SPAN},
        "purged_at": _integer(1),
        "mac": {"bsonType": "string", "pattern": _HEX_64},
        "npub": _TEXT,
    },
    closed=True,
)


_STORED_MACHINE: Final = _object(
    {
        "_id": _NAME,
        "name": _NAME,
        "version": _integer(1),
        "hash": {"bsonType": "string", "pattern": _HEX_64},
        "edges": {"bsonType": "array", "items": {"bsonType": "array", "items": _NAME}},
        "states": {"bsonType": "array", "items": {"bsonType": "array", "items": _TEXT}},
    },
    closed=True,
)


def _rule(shape: Rule, truths: Iterable[Rule] = ()) -> Rule:
    rule: Rule = {"$jsonSchema": shape}
    conditions = list(truths)
    return rule | ({"$expr": {"$and": conditions}} if conditions else {})


_FIXED: Final[dict[str, tuple[Rule, tuple[Rule, ...]]]] = {
    TOKENS: (_TOKEN, _TOKEN_TRUTHS),
    OPERATIONS: (_OPERATION, _OPERATION_TRUTHS),
    AUDIT: (_RECORD, _RECORD_TRUTHS),
    TOMBSTONES: (_TOMBSTONE, ({"$eq": ["$records", "$last_seq"]},)),
    MACHINES: (_STORED_MACHINE, ()),
    **{name: (shape, ()) for name, shape in KEY_SHAPES.items()},
}
"""Shape and truths of each collection. A change of them needs a new schema number."""


# -- what follows from the machines ----------------------------------------------------------------
# In the query language, not as expressions: the server looks a word up in a list instead of comparing pairs.


def _edges(edges: Iterable[Step], source: str, dest: str) -> Rule:
    """The two fields are the ends of one of the edges. A document at its birth may hold null as its
    source."""
    dests: dict[str, list[str]] = {}
    for begin, end in sorted(edges):
        dests.setdefault(begin, []).append(end)
    from_none: Rule = {"$in": [None, NONE]}
    return _any(
        {source: from_none if begin == NONE else begin, dest: {"$in": ends}} for begin, ends in dests.items()
    )


def _states(version: Version) -> Rule:
    """The state is one of the version, and the document says of it what the version does."""
    told: dict[tuple[str, str], list[str]] = {}
    for name, said in sorted(version.states.items()):
        told.setdefault(said, []).append(name)
    return _any(
        {"kind_of_state": kind, "ends": ends, "state": {"$in": names}} for (kind, ends), names in told.items()
    )


def _of_operation(version: Version) -> Rule:
    """The operation runs under this version, its last step is an edge of it, and its state is one of it."""
    return {
        "machine.name": version.name,
        "machine.version": version.number,
        "machine.hash": version.hash,
        "$and": [_edges(version.edges, "prev_state", "state"), _states(version)],
    }


def _of_record(version: Version) -> Rule:
    """The record names this version, and tells of an edge of it. An entity is an operation or a token."""
    entity: Rule = {"$gte": "token:"} if version.is_of_tokens else {"$lt": "token:"}
    return {"machine": version.label, "entity": entity, **_edges(version.edges, "from", "to")}


def _of_machines(collection: str, machines: Machines) -> tuple[tuple[Version, ...], Rule] | None:
    """The versions that the rules of a collection are made from, and the rule; None for a collection whose
    rules do not depend on machines."""
    if collection == TOKENS:
        versions = tuple(v for v in machines.versions if v.is_of_tokens)
        return versions, _edges(machines.token_edges, "prev_state", "state")
    if collection == OPERATIONS:
        versions = tuple(v for v in machines.versions if not v.is_of_tokens)
        return versions, _any(_of_operation(version) for version in versions)
    if collection == AUDIT:
        return machines.versions, _any(_of_record(version) for version in machines.versions)
    return None


def _any(rules: Iterable[Rule]) -> Rule:
    found = list(rules)
    return {"$or": found} if found else {"_id": {"$in": []}}  # without a machine nothing is allowed


_NAMED: Final = "nutstate, the rules of "


def validator(collection: str, machines: Machines) -> Rule:
    """The rule that MongoDB keeps for the documents of a collection (level ``strict``, action ``error``),
    for ``machines`` and no other. The description of the shape names them."""
    shape, truths = _FIXED[collection]
    made = _of_machines(collection, machines)
    if made is None:
        return _rule(shape, truths)
    versions, rule = made
    labels = " ".join(version.label for version in versions)
    return _rule(shape | {"description": f"{_NAMED}{labels}"}, truths) | rule


def named_in(stored: object) -> frozenset[str]:
    """The labels of the machines that a validator of a database was made from."""
    shape = stored.get("$jsonSchema") if isinstance(stored, dict) else None
    text = shape.get("description") if isinstance(shape, dict) else None
    if not isinstance(text, str) or not text.startswith(_NAMED):
        return frozenset()
    return frozenset(text.removeprefix(_NAMED).split())


def needed_in(collection: str, machines: Machines) -> frozenset[str]:
    """The labels of those of the machines that the rules of a collection depend on."""
    made = _of_machines(collection, machines)
    return frozenset(version.label for version in made[0]) if made is not None else frozenset()
