"""A sharded cluster: shard keys, the indexes it can keep, and how the database says that it is sharded.

Documents are the same on one replica set and on a cluster; only indexes differ. A cluster keeps a unique
index when its first field is the shard key, so each of ours begins with ``npub`` there. Keys that must be
unique over all wallets are in ``global_keys`` (see :mod:`.keys`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs
from pymongo.database import Database

from ..errors import StoreUnsupported
from .gateway import Document
from .schema import (
    ATTEMPTS,
    AUDIT,
    COLLECTIONS,
    FLAGS,
    INDEXES,
    KEYS,
    OPERATIONS,
    TOKENS,
    TOMBSTONES,
    Index,
)

OWNER: Final = "npub"
_BY_OWNER: Final[Mapping[str, object]] = {OWNER: 1}
SHARD_KEYS: Final[Mapping[str, Mapping[str, object]]] = {
    **dict.fromkeys((OPERATIONS, TOKENS, AUDIT, TOMBSTONES, ATTEMPTS), _BY_OWNER),
    KEYS: {"_id": "hashed"},
}
"""By collection. All documents of a wallet are on one shard, so a transaction touches one shard. ``machines``
and ``flags`` are small and stay unsharded."""

CLUSTER_COLLECTIONS: Final = (*COLLECTIONS, KEYS, ATTEMPTS)

# Indexes that reads without an owner need, in an order that the whole collection has.
_READ_WITHOUT_OWNER: Final = ("operation_id_1_seq_1", "transaction_id_1")

FORGET_AFTER_S: Final = 24 * 60 * 60
"""A committed attempt is deleted so long after its commit. No safety rests on this time: see :mod:`.keys`."""

_TEXT: Final = {"bsonType": "string"}
_KEY_FIELDS: Final[Mapping[str, dict[str, Any]]] = {
    KEYS: {"attempt": _TEXT, "until": {"bsonType": ["int", "long"], "minimum": 0}},
    ATTEMPTS: {"ended": {"enum": ["committed", "revoked"]}},
}
_MAY_HAVE: Final[Mapping[str, dict[str, Any]]] = {ATTEMPTS: {"at": {"bsonType": "date"}}}
# The server deletes by the time in ``at``. So a revoked attempt must have none: it is kept for ever.
_ATTEMPT_TIMES: Final = {
    "oneOf": [
        {"properties": {"ended": {"enum": ["committed"]}}, "required": ["at"]},
        {"properties": {"ended": {"enum": ["revoked"]}}, "not": {"required": ["at"]}},
    ]
}
KEY_SHAPES: Final[Mapping[str, dict[str, Any]]] = {
    name: {
        "bsonType": "object",
        "required": ["_id", OWNER, "op", *fields],
        "properties": {"_id": _TEXT, OWNER: _TEXT, "op": _TEXT, **fields, **_MAY_HAVE.get(name, {})},
        "additionalProperties": False,
        **(_ATTEMPT_TIMES if name == ATTEMPTS else {}),
    }
    for name, fields in _KEY_FIELDS.items()
}
"""The shape of the documents that only a cluster has."""

SHARDING: Final = "sharding"  # the document in ``flags``: {_id: "sharding", state: "applying" | "sharded"}
APPLYING: Final = "applying"
SHARDED: Final = "sharded"


def indexes(sharded: bool) -> tuple[Index, ...]:
    """The indexes of our collections on one replica set, or on a cluster."""
    return CLUSTER_INDEXES if sharded else INDEXES


def _cluster_indexes() -> tuple[Index, ...]:
    found: list[Index] = []
    for index in INDEXES:
        if not index.unique or index.keys[0][0] == OWNER:
            found.append(index)
            continue
        found.append(attrs.evolve(index, name=f"{OWNER}_1_{index.name}", keys=((OWNER, 1), *index.keys)))
        if index.name in _READ_WITHOUT_OWNER:
            found.append(attrs.evolve(index, unique=False))
    led = {index.collection for index in found if index.keys[0][0] == OWNER and index.partial is None}
    for collection, key in SHARD_KEYS.items():
        if key == _BY_OWNER and collection not in led:
            found.append(Index(collection, f"{OWNER}_1", ((OWNER, 1),)))
    found.append(Index(ATTEMPTS, "attempt_forgotten", (("at", 1),), expire_after_s=FORGET_AFTER_S))
    return (*found, Index(KEYS, "_id_hashed", (("_id", "hashed"),)))


CLUSTER_INDEXES: Final = _cluster_indexes()


def collections_of(sharded: bool) -> tuple[str, ...]:
    """Our collections on one replica set, or on a cluster."""
    return CLUSTER_COLLECTIONS if sharded else COLLECTIONS


def state_of(database: Database[Document]) -> str:
    """The state of the sharding: empty (one replica set), ``applying`` or ``sharded``."""
    stored = database[FLAGS].find_one({"_id": SHARDING}) or {}
    return str(stored.get("state", ""))


def check_sharding(database: Database[Document], hello: Mapping[str, object]) -> bool:
    """Whether the collections are sharded. StoreUnsupported while they are being sharded, and for a sharded
    database that is not reached through mongos: there a wallet on another shard looks empty."""
    state = state_of(database)
    if state == APPLYING:
        raise StoreUnsupported(
            f"the database {database.name} is being sharded: finish it with `nutstate doctor --shard apply`, "
            "then start the programs again"
        )
    if state == SHARDED and hello.get("msg") != "isdbgrid":
        raise StoreUnsupported(
            f"the database {database.name} is sharded: connect to mongos, not to one of the shards"
        )
    return state == SHARDED
