"""Collections and indexes of the MongoDB form, and the names of broken unique indexes."""

from __future__ import annotations

from typing import Any, Final

from attrs import frozen

TOKENS: Final = "cashu_tokens"
OPERATIONS: Final = "operations"
AUDIT: Final = "audit_log"
TOMBSTONES: Final = "tombstones"
MACHINES: Final = "machines"  # {_id: "melt@1", hash, edges, states}: only ever added to
FLAGS: Final = "flags"  # {_id: "schema", version, migrating}: the schema, and how far a migration to it came
KEYS: Final = "global_keys"  # on a cluster: what is unique over all wallets, see :mod:`.keys`
ATTEMPTS: Final = "key_attempts"  # on a cluster: how the claims of keys ended
MONGO_SCHEMA_VERSION: Final = 2
"""A higher number needs the steps from the number before in :mod:`.migrate`."""
COLLECTIONS: Final = (TOKENS, OPERATIONS, AUDIT, TOMBSTONES, MACHINES)

ID_INDEX: Final = "_id_"


@frozen
class Index:
    """One index. ``partial`` limits it to the documents that match."""

    collection: str
    name: str
    keys: tuple[tuple[str, int | str], ...]
    unique: bool = False
    partial: dict[str, Any] | None = None
    expire_after_s: int | None = None  # the server deletes documents so long after the time in the field
    multikey: bool = False  # over an array: mongomock keeps none, so the memory store looks by itself

    def options(self) -> dict[str, Any]:
        """Keyword arguments of ``create_index`` besides the keys."""
        options: dict[str, Any] = {"name": self.name}
        if self.unique:
            options["unique"] = True
        if self.partial is not None:
            options["partialFilterExpression"] = self.partial
        if self.expire_after_s is not None:
            options["expireAfterSeconds"] = self.expire_after_s
        return options


def _up(*fields: str) -> tuple[tuple[str, int], ...]:
    return tuple((field, 1) for field in fields)


def _is_string(field: str) -> dict[str, Any]:
    # $exists would be true for null, and two operations without a claim would collide.
    return {field: {"$type": "string"}}


BY_TIME: Final = "record_by_time"
TOKENS_OF_STATE: Final = "token_of_state"
OF_KIND: Final = "operation_of_kind"
OF_OWNER_AND_KIND: Final = "operation_of_owner_and_kind"
_NEWEST: Final = (("created_at", -1), ("_id", -1))

# Every query of the store walks one of these from its first match to its last: equal fields first, then the
# order of the answer, then fields that are only compared (so that no document is read to be left out).
INDEXES: Final = (
    # The four of the deployments whose documents we share.
    Index(TOKENS, "npub_1_mint_url_1_status_1", _up("npub", "mint_url", "status")),
    Index(TOKENS, "npub_1_transaction_type_1_status_1", _up("npub", "transaction_type", "status")),
    Index(TOKENS, "metadata.parent_transaction_id_1", _up("metadata.parent_transaction_id")),
    Index(TOKENS, "atomic_transaction_lookup", _up("transaction_id", "transaction_type", "status")),
    # Ours.
    Index(TOKENS, "transaction_id_1", _up("transaction_id"), unique=True),
    # Choosing coins by size, in both directions; it also holds everything that a balance adds up.
    Index(
        TOKENS,
        "token_by_size",
        _up(
            "npub",
            "mint_url",
            "unit",
            "state",
            "total_amount",
            "transaction_id",
            "wallet_id",
            "transaction_type",
        ),
    ),
    Index(
        TOKENS,
        "token_by_id",
        _up("npub", "mint_url", "transaction_id", "unit", "wallet_id"),
    ),
    Index(
        TOKENS,
        TOKENS_OF_STATE,
        _up("npub", "mint_url", "unit", "state", "transaction_id", "wallet_id"),
    ),
    Index(TOKENS, "token_of_parent", _up("metadata.parent_transaction_id", "transaction_id")),
    Index(
        TOKENS,
        "token_of_holder",
        _up("reserved_by", "transaction_id"),
        partial=_is_string("reserved_by"),
    ),
    # The proof index.
    Index(
        TOKENS,
        "proof_keys_1",
        _up("proof_keys"),
        unique=True,
        partial=_is_string("proof_keys"),  # all tokens without proofs would have one key
        multikey=True,
    ),
    # The cross-check: a program that writes false keys is refused too.
    Index(
        TOKENS,
        "proofs.secret_1",
        _up("proofs.secret"),
        unique=True,
        partial={"proofs.secret": {"$exists": True}},
        multikey=True,
    ),
    Index(
        OPERATIONS,
        "npub_1_idempotency.key_1",
        _up("npub", "idempotency.key"),
        unique=True,
        partial=_is_string("idempotency.key"),
    ),
    Index(OPERATIONS, "claim_1", _up("claim"), unique=True, partial=_is_string("claim")),
    Index(
        OPERATIONS,
        "mint_url_1_quote.id_1",
        _up("mint_url", "quote.id"),
        unique=True,
        # A partial index knows no "not in", and a list of states would change with every machine.
        partial=_is_string("quote.id") | {"quote_open": True},
    ),
    # The duplicate window: which operation made a request, and until when no other may make it again.
    Index(OPERATIONS, "dedup.key_1", _up("dedup.key"), unique=True, partial=_is_string("dedup.key")),
    Index(OPERATIONS, "next_check_at_1__id_1", _up("next_check_at", "_id")),
    Index(OPERATIONS, "operation_of_owner", (*_up("npub"), *_NEWEST, *_up("mint_url"))),
    Index(OPERATIONS, "operation_newest", (*_NEWEST, *_up("mint_url"))),
    Index(OPERATIONS, OF_OWNER_AND_KIND, (*_up("npub", "kind"), *_NEWEST, *_up("mint_url"))),
    Index(OPERATIONS, OF_KIND, (*_up("kind"), *_NEWEST, *_up("mint_url"))),
    Index(
        OPERATIONS,
        "operation_of_owner_and_state",
        (*_up("npub", "state"), *_NEWEST, *_up("kind", "mint_url")),
    ),
    Index(OPERATIONS, "operation_of_state", (*_up("state"), *_NEWEST, *_up("kind", "mint_url"))),
    Index(
        OPERATIONS,
        "operation_of_parent",
        (*_up("parent_id"), *_NEWEST, *_up("kind", "state")),
        partial=_is_string("parent_id"),
    ),
    Index(AUDIT, "entity_1_version_1", _up("entity", "version"), unique=True),
    Index(AUDIT, "operation_id_1_seq_1", _up("operation_id", "seq"), unique=True),
    Index(AUDIT, "record_of_batch", _up("batch_id", "operation_id", "seq")),
    Index(AUDIT, "compliance_level_1_operation_id_1_seq_1", _up("compliance_level", "operation_id", "seq")),
    Index(AUDIT, BY_TIME, _up("at", "operation_id", "seq", "compliance_level")),
    Index(TOMBSTONES, "tombstone_of_entity", _up("spans.entity", "_id")),
)

# (collection, unique index) -> the key as Duplicate names it.
UNIQUE_KEYS: Final = {
    (TOKENS, ID_INDEX): "token_id",
    (TOKENS, "transaction_id_1"): "token_id",
    (TOKENS, "proof_keys_1"): "proof",
    (TOKENS, "proofs.secret_1"): "proof",
    (OPERATIONS, ID_INDEX): "operation_id",
    (OPERATIONS, "npub_1_idempotency.key_1"): "idempotency_key",
    (OPERATIONS, "claim_1"): "claim",
    (OPERATIONS, "mint_url_1_quote.id_1"): "quote",
    (OPERATIONS, "dedup.key_1"): "dedup",
    (AUDIT, ID_INDEX): "audit",
    (AUDIT, "entity_1_version_1"): "audit",
    (AUDIT, "operation_id_1_seq_1"): "audit",
    (TOMBSTONES, ID_INDEX): "tombstone",
}
"""An index of a cluster has the npub before the other keys, and before the name of the one that it replaces:
see :func:`duplicate_name`."""


def duplicate_name(collection: str, index: str) -> str:
    """The name of a broken unique index as Duplicate has it."""
    for name in (index, index.removeprefix("npub_1_")):
        if (collection, name) in UNIQUE_KEYS:
            return UNIQUE_KEYS[collection, name]
    return index
