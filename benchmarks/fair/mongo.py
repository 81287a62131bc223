"""The hand-written melt on plain pymongo, in a database that the product has made."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo import MongoClient, ReadPreference, UpdateOne, WriteConcern
from pymongo.client_session import ClientSession
from pymongo.read_concern import ReadConcern

from nutstate.machines.token.table import STATUS_OF_STATE
from nutstate.storage.mongo.schema import AUDIT, OPERATIONS, TOKENS

from .books import ALONE, EACH, Changed, Commit, Lost, sizes_below
from .documents import Plain, sha

DURABLE = WriteConcern(w="majority", j=True)
Client = MongoClient[Plain]
_EPOCH = datetime(1970, 1, 1)
_DATES = {"created_at": "createdAt", "updated_at": "updatedAt", "spent_at": "spent_at"}
_NO_LEASE: Plain = {"lease.worker": None, "lease.until": 0}


class MongoBooks:
    """One client for all threads. A transaction has one session, and one command for each collection and
    kind of write."""

    def __init__(self, client: Client, database: str) -> None:
        self._client = client
        self._db = client.get_database(database)
        self._read = client.get_database(database, read_concern=ReadConcern("majority"))

    def dedup(self, key: str) -> tuple[str, int] | None:
        wanted = {"dedup.key": {"$eq": key, "$type": "string"}}  # its index is partial
        found = self._read[OPERATIONS].find_one(wanted, {"dedup": 1})
        return None if found is None else (found["_id"], found["dedup"]["until"])

    def candidates(self, npub: str, mint_url: str, unit: str, need: int) -> list[Plain]:
        """All sizes in one trip."""
        wallet: Plain = {
            "npub": npub,
            "mint_url": mint_url,
            "unit": unit,
            "state": "unspent",
            "wallet_id": npub,
        }
        pipeline: list[Plain] = [
            {"$match": {**wallet, "total_amount": {"$gte": need}}},
            {"$sort": {"total_amount": 1, "transaction_id": 1}},
            {"$limit": ALONE},
        ]
        for low, high in sizes_below(need):
            each = [
                {"$match": {**wallet, "total_amount": {"$gte": low, "$lte": high}}},
                {"$sort": {"total_amount": -1, "transaction_id": -1}},
                {"$limit": EACH},
            ]
            pipeline.append({"$unionWith": {"coll": TOKENS, "pipeline": each}})
        return [_plain(document) for document in self._read[TOKENS].aggregate(pipeline)]

    def commit(self, commit: Commit) -> None:
        documents = _Documents(commit)
        with self._client.start_session() as session:
            session.with_transaction(
                lambda inside: documents.write(self._db, inside),
                read_concern=ReadConcern("snapshot"),
                write_concern=DURABLE,
                read_preference=ReadPreference.PRIMARY,
            )

    def agrees(self, operation: Plain, tokens: Sequence[Plain], records: Sequence[Any]) -> bool:
        """Everything in one trip, at one moment."""
        name, home = operation["id"], {"npub": operation["npub"]}
        parts = [
            (TOKENS, {"$match": {"reserved_by": {"$eq": name, "$type": "string"}}}),  # its index is partial
            (TOKENS, {"$match": {"metadata.parent_transaction_id": name}}),
            (AUDIT, {"$match": {"operation_id": name}}),
        ]
        pipeline: list[Plain] = [{"$match": {"_id": name}}, {"$set": {"of": OPERATIONS}}]
        for collection, match in parts:
            union = {"coll": collection, "pipeline": [match, {"$set": {"of": collection}}]}
            pipeline.append({"$unionWith": union})
        with self._client.start_session(snapshot=True) as session:
            found = list(self._db[OPERATIONS].aggregate(pipeline, session=session))
        stored: dict[str, dict[str, Plain]] = {}
        for document in found:
            of = document.pop("of")
            document.pop("dedup", None)
            stored.setdefault(of, {})[document["transaction_id" if of == TOKENS else "_id"]] = document
        return (
            stored[OPERATIONS] == {name: _operation(operation)}
            and stored[TOKENS] == {token["transaction_id"]: _document(token) for token in tokens}
            and stored[AUDIT]
            == {record["id"]: _audit(record, digest) | home for record, _, digest in records}
        )


class _Documents:
    """The commands of one transaction, made before it begins: it may run more than once."""

    def __init__(self, commit: Commit) -> None:
        op, self.commit = commit.operation, commit
        self.name, self.home = op["id"], {"npub": op["npub"]}
        if commit.before is None:
            self.operation = _operation(op)
            if commit.dedup is not None:
                self.operation["dedup"] = {"key": commit.dedup[0], "until": commit.dedup[1]}
        else:
            self.operation = {field: op[field] for field in commit.names if field != "lease"}
            if "lease" in commit.names:
                self.operation |= _NO_LEASE
        self.changed = [_update(change, commit.moved) for change in commit.changed]
        self.born = [_document(token) for token in commit.born]
        self.audit = [_audit(record, digest) | self.home for record, _, digest in commit.records]

    def write(self, db: Any, session: ClientSession) -> None:
        commit, name, home = self.commit, self.name, self.home
        if commit.dedup is not None and commit.dedup[2] is not None:
            holder, until = commit.dedup[2]
            pinned = {"_id": holder, **home, "dedup": {"key": commit.dedup[0], "until": until}}
            _exactly(1, db[OPERATIONS].update_one(pinned, {"$unset": {"dedup": ""}}, session=session))
        if commit.before is None:
            db[OPERATIONS].insert_one(dict(self.operation), session=session)
        else:
            pinned = {"_id": name, **home, "state": commit.before[0], "version": commit.before[1]}
            _exactly(1, db[OPERATIONS].update_one(pinned, {"$set": self.operation}, session=session))
        if self.changed:
            _exactly(len(self.changed), db[TOKENS].bulk_write(self.changed, session=session))
        if self.born:
            db[TOKENS].insert_many(list(self.born), session=session)
        db[AUDIT].insert_many(list(self.audit), session=session)


def _exactly(wanted: int, done: Any) -> None:
    if done.matched_count != wanted:
        raise Lost("a stored document is not as it was")


def _operation(operation: Plain) -> Plain:
    document = {"_id": operation["id"], **operation, "quote_open": True}
    del document["id"]
    if document["lease"] is None:
        document["lease"] = {"worker": None, "until": 0, "term": 1}
    return document


def _update(change: Changed, moved: Sequence[tuple[list[str], str, str]]) -> UpdateOne:
    token = change.token
    new = {_DATES.get(name, name): _value(name, token[name]) for name in change.names}
    new["status"] = STATUS_OF_STATE[token["state"]]
    if "proofs" in change.names:
        new["proof_keys"] = _keys(token)
    pinned = {name: token[name] for name in ("npub", "transaction_id")}
    pinned |= {"state": change.state, "version": change.version}
    for keys, source, _ in moved:
        if source == token["transaction_id"]:
            pinned["proof_keys"] = {"$all": keys}
    return UpdateOne(pinned, {"$set": new})


def _document(token: Plain) -> Plain:
    document = {_DATES.get(name, name): _value(name, value) for name, value in token.items()}
    when = token["metadata"].get("operation_timestamp")
    if isinstance(when, int):
        text = (_EPOCH + timedelta(milliseconds=when)).isoformat(timespec="milliseconds") + "Z"
        document["metadata"] = {**token["metadata"], "operation_timestamp": text}
    document["_id"], document["status"] = _object_id(token), STATUS_OF_STATE[token["state"]]
    document["proof_keys"] = _keys(token)
    return document


def _object_id(token: Plain) -> ObjectId:
    born = token["created_at"]
    seconds = born // 1000 if isinstance(born, int) else int(born.replace(tzinfo=UTC).timestamp())
    return ObjectId(
        struct.pack(">I", seconds) + hashlib.sha256(token["transaction_id"].encode()).digest()[:8]
    )


def _value(name: str, value: Any) -> Any:
    if name in _DATES and type(value) is int:
        return _EPOCH + timedelta(milliseconds=value)
    return value


def _plain(document: Plain) -> Plain:
    """A stored token under the names of its fields. Its dates stay dates: nothing is reckoned with them."""
    token = {name: value for name, value in document.items() if name not in ("_id", "status", "proof_keys")}
    for name, stored in _DATES.items():
        token[name] = token.pop(stored)
    return token


def _audit(record: Plain, digest: str) -> Plain:
    document = {"_id": record["id"], **record, "hash": digest}
    document["from"], document["to"] = document.pop("from_state"), document.pop("to_state")
    del document["id"]
    return document


def _keys(token: Plain) -> list[str]:
    return [sha(proof["secret"]) for proof in token["proofs"]]
