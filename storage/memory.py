"""``memory://``: the MongoDB store over mongomock. For tests, never for money. Some rules the
double cannot keep, because mongomock cannot; :data:`LACKS` declares them, and a real server tests them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

from attrs import frozen
from bson import MinKey, decode, encode
from bson.errors import BSONError
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from .errors import StoreUnsupported
from .mongo.gateway import (
    Change,
    Document,
    Find,
    GatewayDuplicate,
    GatewayRefused,
    GatewayUnavailable,
    Reads,
    Sort,
    Transaction,
)
from .mongo.schema import AUDIT, ID_INDEX, INDEXES, TOMBSTONES, Index
from .mongo.store import MongoStore
from .rules.machines import BUILT_IN, Machines


@frozen
class Lack:
    """One guarantee of a real server that the double does not give."""

    capability: str
    reason: str


LACKS: Final = (
    Lack("durability", "documents live in this process and end with it"),
    Lack("validators", "mongomock has none: only the store's own checks refuse an unlawful document"),
    Lack("transactions at the same time", "one lock stands for them: no write conflicts, no re-runs"),
    Lack("read and write concerns", "there is one copy, so nothing can be rolled back or stale"),
    Lack("deadlines", "no call ever waits for a server"),
    Lack("document size limit", "mongomock stores documents beyond 16 MB"),
)


def open_memory(url: str, *, machines: Machines = BUILT_IN) -> MongoStore:
    """``memory://`` is a fresh private store, ``memory://name`` one shared inside this process. Code
    MACHINE_CHANGED for one that knows another machine under the same name and version."""
    name = url.removeprefix("memory://")
    if name and not name.replace("-", "").replace("_", "").isalnum():
        raise StoreUnsupported("memory://name: letters, digits, - and _ only")
    if not name:
        return MongoStore(url, MockGateway(_Database()), machines)
    with _SHARED_GUARD:
        if name not in _SHARED:
            _SHARED[name] = _Database()
        shared = _SHARED[name]
        machines.missing_in(shared.hashes)
        shared.hashes |= machines.hashes
        return MongoStore(url, MockGateway(shared), machines)


class _Database:
    """A mongomock database and the lock that stands for its transactions."""

    def __init__(self) -> None:
        try:
            import mongomock
        except ImportError:
            raise StoreUnsupported("memory:// needs mongomock: pip install 'nutstate[testing]'") from None
        self.collections: Any = mongomock.MongoClient().get_database("nutstate")
        self.lock = threading.RLock()
        self.hashes: dict[str, str] = {}  # of the machines it knows, by label
        for index in INDEXES:
            if not index.multikey:
                self.collections[index.collection].create_index(list(index.keys), **index.options())

    def copy(self) -> _Database:
        """The same documents, in a database of their own."""
        twin = _Database()
        for name in self.collections.list_collection_names():
            # Past mongomock's copying and uniqueness checks: through BSON it is ten times faster, and
            # what is stored is unique already.
            for document in list(self.collections[name]._store.documents):
                twin.collections[name]._store[document["_id"]] = decode(encode(document))
        return twin


_SHARED: Final[dict[str, _Database]] = {}
_SHARED_GUARD: Final = threading.Lock()


class _MockReads:
    """Reads of a mongomock database, each under the lock."""

    def __init__(self, database: _Database) -> None:
        self._database = database
        self._closed = False

    @contextmanager
    def _collection(self, name: str) -> Iterator[Any]:
        with self._database.lock:
            if self._closed:
                raise GatewayUnavailable("the store is closed")
            yield self._database.collections[name]

    def find(
        self,
        collection: str,
        filter: Document,
        *,
        sort: Sort = (),
        limit: int = 0,
        fields: Sequence[str] = (),
        hint: str = "",
    ) -> list[Document]:
        with self._collection(collection) as documents:
            cursor = documents.find(_without_min_key(filter), dict.fromkeys(fields, 1) or None)
            if sort:
                cursor = cursor.sort(list(sort))
            return list(cursor.limit(limit) if limit else cursor)

    def several(self, finds: Sequence[Find]) -> list[list[Document]]:
        with self._database.lock:
            return [
                self.find(f.collection, f.filter, sort=f.sort, limit=f.limit, fields=f.fields) for f in finds
            ]

    def aggregate(self, collection: str, pipeline: Sequence[Document]) -> list[Document]:
        """mongomock knows no ``$unionWith``; ours stand at the end of a pipeline."""
        with self._collection(collection) as documents:
            own = [stage for stage in pipeline if "$unionWith" not in stage]
            found = list(documents.aggregate(own))
            for stage in pipeline[len(own) :]:
                other = stage["$unionWith"]
                found += self.aggregate(other["coll"], other["pipeline"])
            return found


class _MockTransaction(_MockReads):
    """The session double: keeps what each touched document was before, and can put it back."""

    def __init__(self, database: _Database) -> None:
        super().__init__(database)
        self._images: list[tuple[str, Any, Document | None]] = []

    def insert_many(self, collection: str, documents: Sequence[Document]) -> None:
        with self._collection(collection) as stored:
            for document in documents:
                _check_bson(document)
                try:
                    stored.insert_one(document)
                except DuplicateKeyError:
                    broken = self._broken_index(collection, document)
                else:
                    self._images.append((collection, document["_id"], None))
                    self._check_arrays(collection, document, document)
                    continue
                raise broken

    def update_many(self, collection: str, filter: Document, update: Document) -> int:
        with self._collection(collection) as stored:
            _check_bson(update.get("$set", {}))
            before = list(stored.find(filter))
            self._images += [(collection, document["_id"], document) for document in before]
            try:
                done = int(stored.update_many(filter, update).matched_count)
            except DuplicateKeyError:
                wanted = [document | update.get("$set", {}) for document in before]
                broken = self._broken_index(collection, *wanted)
            else:
                changed = update.get("$set", {})
                for document in before:
                    self._check_arrays(collection, document | changed, changed)
                return done
            raise broken

    def update_each(self, collection: str, changes: Sequence[Change]) -> bool:
        done = [self.update_many(collection, change.filter, change.update) for change in changes]
        return all(number == 1 for number in done)

    def delete_many(self, collection: str, filter: Document) -> int:
        with self._collection(collection) as stored:
            before = list(stored.find(filter))
            self._images += [(collection, document["_id"], document) for document in before]
            return int(stored.delete_many(filter).deleted_count)

    def _check_arrays(self, collection: str, document: Document, written: Document) -> None:
        """The unique indexes over arrays, which mongomock does not keep. As a server does, it looks at those
        whose field was ``written``."""
        for index in (i for i in INDEXES if i.collection == collection and i.multikey):
            (path, _), *_ = index.keys
            if path.partition(".")[0] not in written:
                continue
            held = _values_in(document, path)
            for other in self._database.collections[collection]._store.documents:
                if other["_id"] != document["_id"] and not held.isdisjoint(_values_in(other, path)):
                    raise GatewayDuplicate(collection, index.name)

    def _broken_index(self, collection: str, *documents: Document) -> GatewayDuplicate:
        """mongomock does not say which index refused, so look."""
        stored = self._database.collections[collection]
        for document in documents:
            for index in (i for i in INDEXES if i.collection == collection and i.unique and not i.multikey):
                values = {field: _value_at(document, field) for field, _ in index.keys}
                if _covers(index, document) and stored.count_documents(
                    {**values, "_id": {"$ne": document["_id"]}}, limit=1
                ):
                    return GatewayDuplicate(collection, index.name)
        return GatewayDuplicate(collection, ID_INDEX)

    def roll_back(self) -> None:
        """Put every touched document back, the last one first."""
        for collection, key, before in reversed(self._images):
            stored = self._database.collections[collection]
            if before is None:
                stored.delete_one({"_id": key})
            else:
                stored.replace_one({"_id": key}, before, upsert=True)


class MockGateway(_MockReads):
    """:class:`~nutstate.storage.mongo.gateway.Gateway` over mongomock."""

    def find_one_and_update(self, collection: str, filter: Document, update: Document) -> Document | None:
        with self._collection(collection) as documents:
            found: Document | None = documents.find_one_and_update(
                filter, update, return_document=ReturnDocument.AFTER
            )
            return found

    lacking: Final = frozenset[str]()

    def restore_rules(self) -> bool:
        return False  # it has none

    sharded = False

    def holds_for_good(self, audit_id: str, batch_id: str, npub: str) -> bool:
        wanted = {"_id": {"$eq": audit_id}, "batch_id": {"$eq": batch_id}, "npub": {"$eq": npub}}
        return bool(self.find(AUDIT, wanted, limit=1))

    def buried_for_good(self, operation_id: str, batch_id: str, npub: str) -> bool:
        wanted = {
            "_id": {"$eq": operation_id}, "npub": {"$eq": npub}, "spans.batches": {"$eq": batch_id}
        }  # fmt: skip
        return bool(self.find(TOMBSTONES, wanted, limit=1))

    def find_for_good(self, collection: str, filter: Document, fields: Sequence[str] = ()) -> list[Document]:
        return self.find(collection, filter, fields=fields)

    def insert_new(self, collection: str, documents: Sequence[Document]) -> frozenset[str]:
        existed = set()
        with self._collection(collection) as stored:
            for document in documents:
                _check_bson(document)
                try:
                    stored.insert_one(dict(document))
                except DuplicateKeyError:
                    existed.add(str(document["_id"]))
        return frozenset(existed)

    def delete_many(self, collection: str, filter: Document) -> int:
        with self._collection(collection) as stored:
            return int(stored.delete_many(filter).deleted_count)

    def transaction(self, work: Callable[[Transaction], None]) -> None:
        with self._database.lock:
            if self._closed:
                raise GatewayUnavailable("the store is closed")
            transaction = _MockTransaction(self._database)
            try:
                work(transaction)
            except BaseException:
                transaction.roll_back()
                raise

    @contextmanager
    def _snapshot(self) -> Iterator[Reads]:
        with self._database.lock:
            if self._closed:
                raise GatewayUnavailable("the store is closed")
            twin = self._database.copy()
        yield _MockReads(twin)

    def snapshot(self, *, at_once: bool = True) -> AbstractContextManager[Reads]:
        return self._snapshot()

    def close(self) -> None:
        with self._database.lock:
            self._closed = True


def _without_min_key(filter: Any) -> Any:
    """mongomock does not know MinKey, which is below every value and only says which index to walk."""
    if isinstance(filter, dict):
        kept = {name: value for name, value in filter.items() if not isinstance(value, MinKey)}
        return {name: _without_min_key(value) for name, value in kept.items() if value != {"$gt": MinKey()}}
    return [_without_min_key(item) for item in filter] if isinstance(filter, list) else filter


def _check_bson(document: Document) -> None:
    """Refuse a value that BSON cannot hold, as a real server does."""
    try:
        encode(document)
        return
    except (BSONError, UnicodeError, OverflowError, TypeError, ValueError):
        refusal = GatewayRefused("a value that BSON cannot hold")
    raise refusal  # outside the handler: the cause shows the value


def _value_at(document: Document, path: str) -> Any:
    if path in document:
        return document[path]
    value: Any = document
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _values_in(document: Document, path: str) -> frozenset[Any]:
    """The values of an array, or of a field of its elements."""
    name, _, field = path.partition(".")
    return frozenset(item[field] if field else item for item in document.get(name, ()))


def _covers(index: Index, document: Document) -> bool:
    return index.partial is None or all(
        isinstance(_value_at(document, field), str)
        if isinstance(wanted, dict)  # {"$type": "string"}
        else _value_at(document, field) == wanted
        for field, wanted in index.partial.items()
    )
