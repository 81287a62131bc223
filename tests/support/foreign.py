"""Writes past the engine: what another program, or a thief, could do to the documents."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from attrs import frozen
from pymongo import MongoClient

from nutstate.storage.batch import proof_key
from nutstate.storage.mongo.client import ClientGateway
from nutstate.storage.mongo.codec import audit_document, operation_document, token_document
from nutstate.storage.mongo.schema import AUDIT, OPERATIONS, TOKENS
from nutstate.storage.port import Store
from nutstate.storage.records import AuditRecord, Operation, Token
from nutstate.storage.rules.audit_hash import audit_canonical
from nutstate.storage.secret import Secret
from nutstate.storage.sqlite.rows import audit_row, operation_row, token_row
from nutstate.storage.sqlite.schema import AUDIT_COLUMNS
from nutstate.storage.testing.records import NPUB
from tests.servers.two_sets import TwoSets, shard_of


@frozen
class Foreign:
    """Puts and deletes whole documents, whatever the rules of the store."""

    store: Store

    def put(self, record: Token | Operation | AuditRecord) -> None:
        """Write a document, in place of the one with its id."""
        if self.store.url.startswith("sqlite:"):
            table, key, row = _row(record)
            names = ", ".join(row)
            marks = ", ".join("?" * len(row))
            self._sql(f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({marks})", tuple(row.values()))
            return
        name, document = _document(record)
        with self._collections() as collections:
            collections[name].delete_one(_found_by(document))
            collections[name].insert_one(document, bypass_document_validation=True)

    def edit(self, operation_id: str, **fields: Any) -> None:
        """Change fields of a stored operation, or of its data, by a plain UPDATE that every rule of the store
        allows."""
        common = Operation.__annotations__
        fields = {
            name if name.partition(".")[0] in common else f"data.{name}": value
            for name, value in fields.items()
        }
        if self.store.url.startswith("sqlite:"):
            with closing(sqlite3.connect(self.store.url.removeprefix("sqlite:///"))) as db, db:
                for name, value in fields.items():
                    changed = db.execute(
                        f"UPDATE operations SET doc = json_set(doc, '$.{name}', json(?)) WHERE id = ?",
                        (json.dumps(value), operation_id),
                    )
                    assert changed.rowcount == 1
            return
        with self._collections() as collections:
            done = collections[OPERATIONS].update_one({"_id": operation_id}, {"$set": fields})
            assert done.modified_count == 1

    def delete(self, record: Token | AuditRecord) -> None:
        """Take a document away."""
        if self.store.url.startswith("sqlite:"):
            table, key, row = _row(record)
            self._sql(f"DELETE FROM {table} WHERE {key} = ?", (row[key],))
            return
        name, document = _document(record)
        with self._collections() as collections:
            collections[name].delete_one(_found_by(document))

    def unindex(self, key: str) -> None:
        """Take a proof out of the index."""
        if self.store.url.startswith("sqlite:"):
            self._sql("DELETE FROM proof_index WHERE key = ?", (key,))
            return
        with self._collections() as collections:
            forget_key(collections[TOKENS], key)

    def _sql(self, statement: str, values: tuple[Any, ...]) -> None:
        with closing(sqlite3.connect(self.store.url.removeprefix("sqlite:///"))) as db, db:
            db.execute("PRAGMA ignore_check_constraints = ON")
            for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                db.execute(f"DROP TRIGGER {name}")
            db.execute(statement, values)

    @contextmanager
    def _collections(self) -> Iterator[Any]:
        store: Any = self.store
        if self.store.url.startswith("memory:"):
            yield store._gateway._database.collections
            return
        if isinstance(store._gateway, TwoSets):
            here: Any = store._gateway.sets[shard_of(NPUB)]
            yield here._database
            return
        if isinstance(store._gateway, ClientGateway) and store._gateway.sharded:
            yield store._gateway._database
            return
        with MongoClient[dict[str, Any]](self.store.url) as client:
            yield client.get_default_database()


def forget_key(tokens: Any, key: str) -> None:
    """Put a false key in the place of this one, as the rules allow: the token holds the proof, and the index
    does not know it."""
    for token in tokens.find({"proof_keys": key}):
        keys = [proof_key(Secret(held)) if held == key else held for held in token["proof_keys"]]
        tokens.update_one({"_id": token["_id"]}, {"$set": {"proof_keys": keys}})


def _found_by(document: dict[str, Any]) -> dict[str, Any]:
    key = "transaction_id" if "transaction_id" in document else "_id"
    return {key: document[key]}


def _row(record: Token | Operation | AuditRecord) -> tuple[str, str, dict[str, Any]]:
    if isinstance(record, Token):
        return "tokens", "transaction_id", token_row(record)
    if isinstance(record, Operation):
        row = operation_row(record)
        return "operations", "id", {"lease_term": 0} | row
    values = audit_row(record, audit_canonical(record))
    return "audit", "id", dict(zip((*AUDIT_COLUMNS, "doc"), values, strict=True))


def _document(record: Token | Operation | AuditRecord) -> tuple[str, dict[str, Any]]:
    if isinstance(record, Token):
        return TOKENS, token_document(record)
    if isinstance(record, Operation):
        return OPERATIONS, operation_document(record)
    return AUDIT, audit_document(record, NPUB)
