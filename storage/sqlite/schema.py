"""Tables, indexes and rules of the SQLite store. A fact has one home: a column's value is not in
the JSON beside it. The rules bind every writer, also one with plain ``sqlite3``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ...machines.token.table import STATUS_OF_STATE
from ..rules.batch import HELD, TOKEN_FIXED, TOKEN_TYPES
from ..rules.plain import AMOUNT_MAX
from .machines import MACHINE_RULES, MACHINE_TABLES

SQLITE_SCHEMA_VERSION: Final = 2
"""A higher number needs the steps from the number before in :mod:`.migrate`."""
APPLICATION_ID: Final = 0x6E757473  # "nuts": visible in the header for `file` and for a reader
SQLITE_OLDEST: Final = (3, 31, 0)  # generated columns

OPERATION_COLUMNS: Final = (
    "id", "kind", "state", "prev_state", "kind_of_state", "ends", "version", "npub", "mint_url", "created_at",
    "next_check_at",
)  # fmt: skip
MACHINE_COLUMNS: Final = ("machine_version", "machine_hash")  # its name is the kind
LEASE_COLUMNS: Final = ("lease_worker", "lease_until", "lease_term")
TOKEN_COLUMNS: Final = (
    "transaction_id", "npub", "wallet_id", "mint_url", "unit", "transaction_type", "state", "version",
    "total_amount", "created_at", "updated_at", "prev_state", "reserved_by", "spent_at", "schema_version",
)  # fmt: skip
AUDIT_COLUMNS: Final = ("id", "operation_id", "seq", "entity", "version", "batch_id", "hash")
TOMBSTONE_COLUMNS: Final = ("operation_id", "last_seq", "last_hash", "records", "purged_at", "mac")

# How SQLite names a broken unique key -> what Duplicate calls it.
UNIQUE_KEYS: Final = {
    "operations.id": "operation_id",
    "operations.npub, operations.idempotency_key": "idempotency_key",
    "operations.claim": "claim",
    "operations.mint_url, operations.quote_id": "quote",
    "tokens.transaction_id": "token_id",
    "proof_index.key": "proof",
    "token_secrets.secret": "proof",
    "dedup.key": "dedup",
    "audit.id": "audit",
    "audit.entity, audit.version": "audit",
    "audit.operation_id, audit.seq": "audit",
    "tombstones.operation_id": "tombstone",
}


def listed(words: Iterable[str]) -> str:
    """The words as SQL literals; for our own words only."""
    return ", ".join(f"'{word}'" for word in sorted(words))


_STATUS_OF_STATE: Final = " ".join(f"WHEN '{s}' THEN '{p}'" for s, p in sorted(STATUS_OF_STATE.items()))

_TABLES: Final = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY NOT NULL, value) WITHOUT ROWID;

CREATE TABLE operations (
  id TEXT PRIMARY KEY NOT NULL,
  kind TEXT NOT NULL,
  state TEXT NOT NULL,
  prev_state TEXT,
  kind_of_state TEXT NOT NULL,
  ends TEXT NOT NULL,
  version INTEGER NOT NULL CHECK (typeof(version) = 'integer' AND version >= 1),
  machine_version INTEGER NOT NULL,
  machine_hash TEXT NOT NULL,
  npub TEXT NOT NULL,
  mint_url TEXT NOT NULL,
  created_at INTEGER NOT NULL CHECK (typeof(created_at) = 'integer'),
  next_check_at INTEGER,
  lease_worker TEXT,
  lease_until INTEGER,
  lease_term INTEGER NOT NULL DEFAULT 0,
  doc TEXT NOT NULL CHECK (json_valid(doc)),
  idempotency_key TEXT GENERATED ALWAYS AS (json_extract(doc, '$.idempotency.key')) VIRTUAL,
  quote_id TEXT GENERATED ALWAYS AS (json_extract(doc, '$.quote.id')) VIRTUAL,
  claim TEXT GENERATED ALWAYS AS (json_extract(doc, '$.claim')) VIRTUAL,
  quote_let_go INTEGER GENERATED ALWAYS AS (json_extract(doc, '$.quote_let_go')) VIRTUAL,
  parent_id TEXT GENERATED ALWAYS AS (json_extract(doc, '$.parent_id')) VIRTUAL,
  CONSTRAINT machine_is_a_column CHECK (json_type(doc, '$.machine') IS NULL),
  CONSTRAINT data_is_an_object CHECK (json_type(doc, '$.data') IS 'object'),
  CONSTRAINT quote_or_claim CHECK (json_type(doc, '$.quote_let_go') IS 'false'
    OR (json_type(doc, '$.quote_let_go') IS 'true' AND json_type(doc, '$.claim') IS 'null')),
  CONSTRAINT born_once CHECK ((version = 1) = (coalesce(prev_state, 'none') = 'none'))
);

CREATE TABLE tokens (
  transaction_id TEXT PRIMARY KEY NOT NULL,
  npub TEXT NOT NULL,
  wallet_id TEXT NOT NULL,
  mint_url TEXT NOT NULL,
  unit TEXT NOT NULL,
  transaction_type TEXT NOT NULL,
  state TEXT NOT NULL,
  status TEXT NOT NULL,
  version INTEGER NOT NULL CHECK (typeof(version) = 'integer' AND version >= 1),
  total_amount INTEGER NOT NULL,
  created_at INTEGER NOT NULL CHECK (typeof(created_at) = 'integer'),
  updated_at INTEGER NOT NULL CHECK (typeof(updated_at) = 'integer'),
  prev_state TEXT,
  reserved_by TEXT,
  spent_at INTEGER,
  schema_version INTEGER NOT NULL,
  proofs TEXT NOT NULL CHECK (json_valid(proofs)),
  metadata TEXT NOT NULL CHECK (json_valid(metadata)),
  parent TEXT GENERATED ALWAYS AS (json_extract(metadata, '$.parent_transaction_id')) VIRTUAL,
  CONSTRAINT born_once CHECK ((version = 1) = (coalesce(prev_state, 'none') = 'none')),
  CONSTRAINT known_type CHECK (transaction_type IN ({listed(TOKEN_TYPES)})),
  CONSTRAINT known_state CHECK (state IN ({listed(STATUS_OF_STATE)})),
  CONSTRAINT status_is_projection CHECK (status = CASE state {_STATUS_OF_STATE} END),
  CONSTRAINT change_has_parent
    CHECK (transaction_type <> 'change' OR (json_type(metadata, '$.parent_transaction_id') IS 'text'
      AND json_extract(metadata, '$.parent_transaction_id') <> '')),
  CONSTRAINT spent_is_stamped CHECK ((state = 'spent') = (spent_at IS NOT NULL)),
  CONSTRAINT reserved_has_owner CHECK (state <> 'reserved' OR reserved_by IS NOT NULL),
  CONSTRAINT total_is_amount
    CHECK (typeof(total_amount) = 'integer' AND total_amount BETWEEN 0 AND {AMOUNT_MAX})
);

CREATE TABLE proof_index (
  key TEXT PRIMARY KEY NOT NULL, token_id TEXT NOT NULL, operation_id TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE token_secrets (secret TEXT PRIMARY KEY NOT NULL, token_id TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE dedup (
  key TEXT PRIMARY KEY NOT NULL, operation_id TEXT NOT NULL, expires_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE audit (
  id TEXT PRIMARY KEY NOT NULL,
  operation_id TEXT NOT NULL,
  seq INTEGER NOT NULL,
  entity TEXT NOT NULL,
  version INTEGER NOT NULL,
  batch_id TEXT NOT NULL,
  hash TEXT NOT NULL,
  doc TEXT NOT NULL CHECK (json_valid(doc)),
  at INTEGER GENERATED ALWAYS AS (json_extract(doc, '$.at')) VIRTUAL,
  compliance_level TEXT GENERATED ALWAYS AS (json_extract(doc, '$.compliance_level')) VIRTUAL,
  expires_at INTEGER GENERATED ALWAYS AS (json_extract(doc, '$.expires_at')) VIRTUAL
);

CREATE TABLE tombstones (
  operation_id TEXT PRIMARY KEY NOT NULL,
  last_seq INTEGER NOT NULL CHECK (typeof(last_seq) = 'integer' AND last_seq >= 1),
  last_hash TEXT NOT NULL,
  records INTEGER NOT NULL CHECK (records = last_seq),
  purged_at INTEGER NOT NULL CHECK (typeof(purged_at) = 'integer'),
  mac TEXT NOT NULL,
  spans TEXT NOT NULL CHECK (json_valid(spans))
);

CREATE TABLE tombstone_entities (
  entity TEXT NOT NULL, operation_id TEXT NOT NULL, PRIMARY KEY (entity, operation_id)
) WITHOUT ROWID;
"""

_INDEXES: Final = """
CREATE UNIQUE INDEX operation_key ON operations (npub, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE UNIQUE INDEX operation_claim ON operations (claim) WHERE claim IS NOT NULL;
CREATE UNIQUE INDEX operation_quote ON operations (mint_url, quote_id)
  WHERE quote_id IS NOT NULL AND ends <> 'unpaid'
  AND quote_let_go = 0;
CREATE INDEX operation_due ON operations (next_check_at, id) WHERE next_check_at IS NOT NULL;
CREATE INDEX operation_newest ON operations (created_at DESC, id DESC, mint_url);
CREATE INDEX operation_owner ON operations (npub, created_at DESC, id DESC, mint_url);
CREATE INDEX operation_kind ON operations (kind, created_at DESC, id DESC, mint_url);
CREATE INDEX operation_owner_kind ON operations (npub, kind, created_at DESC, id DESC, mint_url);
CREATE INDEX operation_state ON operations (state, created_at DESC, id DESC, kind, mint_url);
CREATE INDEX operation_owner_state ON operations (npub, state, created_at DESC, id DESC, kind, mint_url);
CREATE INDEX operation_count ON operations (npub, kind, state);
CREATE INDEX operation_parent ON operations (parent_id, created_at DESC, id DESC) WHERE parent_id IS NOT NULL;
CREATE INDEX token_by_size ON tokens (npub, mint_url, unit, state, total_amount, transaction_id, wallet_id,
  transaction_type);
CREATE INDEX token_by_id ON tokens (npub, mint_url, transaction_id, unit, wallet_id);
CREATE INDEX token_of_state ON tokens (npub, mint_url, unit, state, transaction_id, wallet_id);
CREATE INDEX token_of_holder ON tokens (reserved_by, transaction_id) WHERE reserved_by IS NOT NULL;
CREATE INDEX token_of_parent ON tokens (parent, transaction_id) WHERE parent IS NOT NULL;
CREATE UNIQUE INDEX audit_entity ON audit (entity, version);
CREATE UNIQUE INDEX audit_chain ON audit (operation_id, seq);
CREATE INDEX audit_batch ON audit (batch_id, operation_id, seq);
CREATE INDEX audit_level ON audit (compliance_level, operation_id, seq);
CREATE INDEX audit_time ON audit (at, operation_id, seq);
"""


def _secrets_of(row: str) -> str:
    # Every value under the name, so that a second one in the same object does not hide the first.
    return f"FROM json_each({row}.proofs) AS p, json_each(p.value) AS s WHERE s.key = 'secret'"


_RULES: Final = f"""
CREATE TRIGGER token_total_on_insert BEFORE INSERT ON tokens
WHEN (SELECT coalesce(sum(json_extract(value, '$.amount')), 0) FROM json_each(NEW.proofs))
  IS NOT NEW.total_amount
BEGIN SELECT RAISE(ABORT, 'total_amount is not the sum of the proofs'); END;

CREATE TRIGGER token_total_on_update BEFORE UPDATE OF proofs, total_amount ON tokens
WHEN (SELECT coalesce(sum(json_extract(value, '$.amount')), 0) FROM json_each(NEW.proofs))
  IS NOT NEW.total_amount
BEGIN SELECT RAISE(ABORT, 'total_amount is not the sum of the proofs'); END;

CREATE TRIGGER token_secrets_on_insert BEFORE INSERT ON tokens
WHEN (SELECT count(*) <> count(DISTINCT s.value) {_secrets_of("NEW")})
  OR EXISTS (SELECT 1 FROM token_secrets WHERE secret IN (SELECT s.value {_secrets_of("NEW")}))
BEGIN SELECT RAISE(ABORT, 'UNIQUE constraint failed: token_secrets.secret'); END;

CREATE TRIGGER token_secrets_on_update BEFORE UPDATE OF proofs ON tokens
WHEN (SELECT count(*) <> count(DISTINCT s.value) {_secrets_of("NEW")})
  OR EXISTS (SELECT 1 FROM token_secrets WHERE secret IN (SELECT s.value {_secrets_of("NEW")})
    AND token_id <> OLD.transaction_id)
BEGIN SELECT RAISE(ABORT, 'UNIQUE constraint failed: token_secrets.secret'); END;

CREATE TRIGGER token_secrets_listed AFTER INSERT ON tokens
BEGIN
  INSERT INTO token_secrets (secret, token_id) SELECT s.value, NEW.transaction_id {_secrets_of("NEW")}; END;

CREATE TRIGGER token_secrets_moved AFTER UPDATE OF proofs ON tokens
BEGIN
  DELETE FROM token_secrets WHERE secret IN (SELECT s.value {_secrets_of("OLD")});
  INSERT INTO token_secrets (secret, token_id) SELECT s.value, NEW.transaction_id {_secrets_of("NEW")}; END;

CREATE TRIGGER change_born_spent BEFORE INSERT ON tokens
WHEN NEW.transaction_type = 'change' AND NEW.state = 'spent' AND NEW.version < 2
BEGIN SELECT RAISE(ABORT, 'change is never born spent'); END;

CREATE TRIGGER token_final BEFORE UPDATE ON tokens
WHEN OLD.state IN ('spent', 'failed') AND (NEW.state <> OLD.state OR NEW.spent_at IS NOT OLD.spent_at)
BEGIN SELECT RAISE(ABORT, 'spent and failed are final'); END;

CREATE TRIGGER token_versioned BEFORE UPDATE OF state, prev_state, total_amount, reserved_by, proofs ON tokens
WHEN NEW.version <= OLD.version
BEGIN SELECT RAISE(ABORT, 'every change raises the version'); END;

CREATE TRIGGER token_fixed
BEFORE UPDATE OF {", ".join(TOKEN_FIXED)}, metadata ON tokens
WHEN {" OR ".join(f"NEW.{name} IS NOT OLD.{name}" for name in TOKEN_FIXED)}
  OR json_extract(NEW.metadata, '$.parent_transaction_id')
    IS NOT json_extract(OLD.metadata, '$.parent_transaction_id')
BEGIN SELECT RAISE(ABORT, 'what a token is and whose it is never changes'); END;

CREATE TRIGGER token_held BEFORE UPDATE OF reserved_by ON tokens
WHEN OLD.state IN ({listed(HELD)}) AND OLD.reserved_by IS NOT NULL AND NEW.reserved_by IS NOT OLD.reserved_by
  AND (NEW.reserved_by IS NOT NULL OR (NEW.prev_state IS 'reserved' AND NEW.state IN ('reserved', 'spent')))
BEGIN SELECT RAISE(ABORT, 'reserved_by changes only by becoming free'); END;

CREATE TRIGGER token_not_replaced BEFORE INSERT ON tokens
WHEN EXISTS (SELECT 1 FROM tokens WHERE transaction_id = NEW.transaction_id)
BEGIN SELECT RAISE(ABORT, 'UNIQUE constraint failed: tokens.transaction_id'); END;

CREATE TRIGGER token_kept BEFORE DELETE ON tokens
BEGIN SELECT RAISE(ABORT, 'tokens are never deleted'); END;

CREATE TRIGGER operation_final BEFORE UPDATE OF state ON operations
WHEN OLD.kind_of_state = 'final' AND NEW.state IS NOT OLD.state
BEGIN SELECT RAISE(ABORT, 'a final state is never left'); END;

CREATE TRIGGER operation_versioned BEFORE UPDATE OF state, prev_state, kind_of_state, ends ON operations
WHEN NEW.version <= OLD.version
BEGIN SELECT RAISE(ABORT, 'every change raises the version'); END;

CREATE TRIGGER operation_not_replaced BEFORE INSERT ON operations
WHEN EXISTS (SELECT 1 FROM operations WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'UNIQUE constraint failed: operations.id'); END;

CREATE TRIGGER operation_kept BEFORE DELETE ON operations
BEGIN SELECT RAISE(ABORT, 'operations are never deleted'); END;

CREATE TRIGGER audit_fixed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'audit records never change'); END;

CREATE TRIGGER audit_kept BEFORE DELETE ON audit
WHEN NOT EXISTS (SELECT 1 FROM tombstones WHERE operation_id = OLD.operation_id AND last_seq >= OLD.seq)
BEGIN SELECT RAISE(ABORT, 'audit records leave only with a tombstone'); END;

CREATE TRIGGER audit_not_replaced BEFORE INSERT ON audit
WHEN EXISTS (SELECT 1 FROM audit WHERE id = NEW.id)
  OR EXISTS (SELECT 1 FROM audit WHERE entity = NEW.entity AND version = NEW.version)
  OR EXISTS (SELECT 1 FROM audit WHERE operation_id = NEW.operation_id AND seq = NEW.seq)
  OR EXISTS (SELECT 1 FROM tombstones WHERE operation_id = NEW.operation_id)
BEGIN SELECT RAISE(ABORT, 'UNIQUE constraint failed: audit.id'); END;

CREATE TRIGGER tombstone_of_ended BEFORE INSERT ON tombstones
WHEN NOT EXISTS (
  SELECT 1 FROM operations WHERE id = NEW.operation_id AND json_extract(doc, '$.finished_at') IS NOT NULL
  AND json_extract(doc, '$.audit_seq') = NEW.last_seq AND json_extract(doc, '$.audit_hash') = NEW.last_hash)
BEGIN SELECT RAISE(ABORT, 'only a trail that has ended has a tombstone'); END;

CREATE TRIGGER tombstone_not_replaced BEFORE INSERT ON tombstones
WHEN EXISTS (SELECT 1 FROM tombstones WHERE operation_id = NEW.operation_id)
BEGIN SELECT RAISE(ABORT, 'UNIQUE constraint failed: tombstones.operation_id'); END;

CREATE TRIGGER tombstone_listed AFTER INSERT ON tombstones
BEGIN INSERT INTO tombstone_entities (entity, operation_id)
  SELECT DISTINCT json_extract(value, '$.entity'), NEW.operation_id FROM json_each(NEW.spans); END;

CREATE TRIGGER tombstone_fixed BEFORE UPDATE ON tombstones
BEGIN SELECT RAISE(ABORT, 'tombstones never change'); END;

CREATE TRIGGER tombstone_kept BEFORE DELETE ON tombstones
BEGIN SELECT RAISE(ABORT, 'tombstones are never deleted'); END;
"""


def statements() -> list[str]:
    """The DDL, one statement each, to be run inside one transaction."""
    plain = [part.strip() for part in (_TABLES + MACHINE_TABLES + _INDEXES).split(";") if part.strip()]
    rules = [part.strip() + " END" for part in (_RULES + MACHINE_RULES).split("END;") if part.strip()]
    return plain + rules
