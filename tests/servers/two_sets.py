"""Two replica sets that stand for the two shards of a cluster, behind the gateway of one store.

It does what ``mongos`` does with our documents, and refuses what would be slow or wrong there: a document of
a wallet is on the set that the wallet's npub leads to, a key of ``global_keys`` on the set that its own hash
leads to; a read without an npub asks both; a transaction that touches both sets, or that does not say which
wallet it is about, fails the test, and so does a write without an npub. Reads of one snapshot are of one
moment on each set, and not of the same moment on both."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cmp_to_key
from typing import Any

from nutstate.storage.mongo.gateway import Change, Document, Find, Gateway, Reads, Sort, Transaction
from nutstate.storage.mongo.schema import KEYS
from nutstate.storage.mongo.shards import OWNER, SHARD_KEYS


class CrossShard(AssertionError):
    """A transaction or a write that would touch more than one shard."""


def shard_of(value: str) -> int:
    """The set, 0 or 1, of a wallet's npub or of a global key."""
    return hashlib.sha256(value.encode()).digest()[0] % 2


def owners_in(filter: Document) -> list[str] | None:
    """The values that a filter allows for the shard key at its top level; None: it does not say."""
    return _values(filter.get(OWNER))


def _values(wanted: Any) -> list[str] | None:
    if isinstance(wanted, str):
        return [wanted]
    if isinstance(wanted, dict):
        if isinstance(wanted.get("$eq"), str):
            return [wanted["$eq"]]
        if isinstance(wanted.get("$in"), list):
            return list(wanted["$in"])
    return None


def sets_for(collection: str, filter: Document) -> list[int]:
    """The sets that hold documents which the filter can match."""
    if collection not in SHARD_KEYS:
        return [0]  # unsharded collections live on the first shard
    values = _values(filter.get("_id")) if collection == KEYS else owners_in(filter)
    return [0, 1] if values is None else sorted({shard_of(value) for value in values})


def sets_for_pipeline(collection: str, pipeline: Sequence[Document]) -> list[int]:
    """The same for an aggregate: its first ``$match`` decides, and that of each collection it adds."""
    first: Document = next((stage["$match"] for stage in pipeline[:1] if "$match" in stage), {})
    found = set(sets_for(collection, first))
    for stage in pipeline:
        for name in ("$unionWith", "$lookup"):
            if name in stage:
                added = stage[name]
                where = added["coll"] if name == "$unionWith" else added["from"]
                found |= set(sets_for_pipeline(where, added.get("pipeline", [])))
        for inner in (stage.get("$facet") or {}).values():
            found |= set(sets_for_pipeline(collection, [{"$match": first}, *inner]))
    return sorted(found)


def sets_for_all(finds: Sequence[Find]) -> list[int]:
    """The same for several reads together."""
    return sorted({number for find in finds for number in sets_for(find.collection, find.filter)})


class _RoutedReads:
    """Reads over the reads of both sets."""

    def __init__(self, sets: Sequence[Reads]) -> None:
        self._reads = sets

    def find(
        self,
        collection: str,
        filter: Document,
        *,
        sort: Sort = (),
        limit: int = 0,
        fields: Sequence[str] = (),
        **more: Any,
    ) -> list[Document]:
        wanted = sets_for(collection, filter)
        if len(wanted) == 1:
            reads = self._reads[wanted[0]]
            return reads.find(collection, filter, sort=sort, limit=limit, fields=fields, **more)
        seen = (*fields, *(name for name, _ in sort)) if fields else ()
        found = [
            document
            for number in wanted
            for document in self._reads[number].find(
                collection, filter, sort=sort, limit=limit, fields=seen, **more
            )
        ]
        if sort:
            found.sort(key=cmp_to_key(_comparing(sort)))
        return found[:limit] if limit else found

    def aggregate(self, collection: str, pipeline: Sequence[Document]) -> list[Document]:
        wanted = sets_for_pipeline(collection, pipeline)
        answers = [self._reads[number].aggregate(collection, pipeline) for number in wanted]
        return answers[0] if len(answers) == 1 else _merged(pipeline, answers)

    def several(self, finds: Sequence[Find]) -> list[list[Document]]:
        wanted = sets_for_all(finds)
        if len(wanted) == 1:
            return self._reads[wanted[0]].several(finds)
        return [self.find(f.collection, f.filter, sort=f.sort, limit=f.limit, fields=f.fields) for f in finds]


def _comparing(sort: Sort) -> Callable[[Document, Document], int]:
    def value(document: Document, path: str) -> Any:
        found: Any = document
        for part in path.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        return found

    def compare(one: Document, other: Document) -> int:
        for path, direction in sort:
            left, right = value(one, path), value(other, path)
            if left != right:
                return direction if (right is None or (left is not None and left > right)) else -direction
        return 0

    return compare


def _merged(pipeline: Sequence[Document], answers: Sequence[list[Document]]) -> list[Document]:
    """The groups of both sets, added up. Only sums can be; anything else in a last ``$group`` is refused."""
    group = pipeline[-1].get("$group") if pipeline else None
    if group is None:
        return [document for answer in answers for document in answer]
    if not all(set(made) == {"$sum"} for name, made in group.items() if name != "_id"):
        raise CrossShard("an aggregate over both shards adds up what cannot be added")
    merged: dict[str, Document] = {}
    for document in (document for answer in answers for document in answer):
        there = merged.setdefault(repr(document["_id"]), {"_id": document["_id"]})
        for name in group:
            if name != "_id":
                there[name] = there.get(name, 0) + document[name]
    return list(merged.values())


class _Routing(Exception):
    """Ends the first run of a transaction's work, which is for its wallet only."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class _OneShard:
    """A transaction that may touch one set. Without ``inner`` it only finds out which."""

    def __init__(self, inner: Transaction | None, number: int | None) -> None:
        self._inner = inner
        self._number = number

    def _on(self, collection: str, wanted: list[int]) -> Transaction:
        if collection == KEYS:
            raise CrossShard("global_keys is not part of a transaction")
        if len(wanted) != 1:
            raise CrossShard(f"a transaction does not say which wallet of {collection} it is about")
        if self._inner is None:
            raise _Routing(wanted[0])
        if wanted[0] != self._number:
            raise CrossShard(f"a transaction touches two shards: now {collection}")
        return self._inner

    def find(self, collection: str, filter: Document, **more: Any) -> list[Document]:
        return self._on(collection, sets_for(collection, filter)).find(collection, filter, **more)

    def aggregate(self, collection: str, pipeline: Sequence[Document]) -> list[Document]:
        inner = self._on(collection, sets_for_pipeline(collection, pipeline))
        return inner.aggregate(collection, pipeline)

    def insert_many(self, collection: str, documents: Sequence[Document]) -> None:
        self._on(collection, _sets_of(documents)).insert_many(collection, documents)

    def update_many(self, collection: str, filter: Document, update: Document) -> int:
        return self._on(collection, sets_for(collection, filter)).update_many(collection, filter, update)

    def several(self, finds: Sequence[Find]) -> list[list[Document]]:
        return self._on(finds[0].collection, sets_for_all(finds)).several(finds)

    def update_each(self, collection: str, changes: Sequence[Change]) -> bool:
        wanted = {number for change in changes for number in sets_for(collection, change.filter)}
        return self._on(collection, sorted(wanted)).update_each(collection, changes)

    def delete_many(self, collection: str, filter: Document) -> int:
        return self._on(collection, sets_for(collection, filter)).delete_many(collection, filter)


def _sets_of(documents: Sequence[Document]) -> list[int]:
    if any(not isinstance(document.get(OWNER), str) for document in documents):
        raise CrossShard("a document without npub")
    return sorted({shard_of(document[OWNER]) for document in documents})


class TwoSets(_RoutedReads):
    """The gateway of a store whose collections are on both of ``sets``."""

    sharded = True

    def __init__(self, sets: Sequence[Gateway]) -> None:
        super().__init__(sets)
        self.sets = tuple(sets)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sets[0], name)

    def _one(self, collection: str, filter: Document) -> Gateway:
        wanted = sets_for(collection, filter)
        if len(wanted) != 1:
            raise CrossShard(
                f"a write or a durable read of {collection} does not say which wallet it is about"
            )
        return self.sets[wanted[0]]

    def find_one_and_update(self, collection: str, filter: Document, update: Document) -> Document | None:
        return self._one(collection, filter).find_one_and_update(collection, filter, update)

    def find_for_good(self, collection: str, filter: Document, fields: Sequence[str] = ()) -> list[Document]:
        return self._one(collection, filter).find_for_good(collection, filter, fields)

    def insert_new(self, collection: str, documents: Sequence[Document]) -> frozenset[str]:
        name = "_id" if collection == KEYS else OWNER
        existed: set[str] = set()
        for number, gateway in enumerate(self.sets):
            here = [document for document in documents if shard_of(document[name]) == number]
            if here:
                existed |= gateway.insert_new(collection, here)
        return frozenset(existed)

    def delete_many(self, collection: str, filter: Document) -> int:
        return sum(self.sets[n].delete_many(collection, filter) for n in sets_for(collection, filter))

    def holds_for_good(self, audit_id: str, batch_id: str, npub: str) -> bool:
        return self.sets[shard_of(npub)].holds_for_good(audit_id, batch_id, npub)

    def buried_for_good(self, operation_id: str, batch_id: str, npub: str) -> bool:
        return self.sets[shard_of(npub)].buried_for_good(operation_id, batch_id, npub)

    def transaction(self, work: Callable[[Transaction], None]) -> None:
        try:
            work(_OneShard(None, None))
        except _Routing as found:
            number = found.number
        else:
            return  # it touches nothing
        self.sets[number].transaction(lambda inner: work(_OneShard(inner, number)))

    @contextmanager
    def snapshot(self, *, at_once: bool = True) -> Iterator[Reads]:
        with ExitStack() as both:
            inner = [both.enter_context(gateway.snapshot(at_once=at_once)) for gateway in self.sets]
            yield _RoutedReads(inner)

    def close(self) -> None:
        for gateway in self.sets:
            gateway.close()
