"""The few calls that the MongoDB store makes, and how they fail. Two gateways answer them: a
pymongo client with sessions, and mongomock in tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from contextlib import AbstractContextManager
from typing import Any, Protocol

from attrs import frozen

Document = dict[str, Any]
Sort = Sequence[tuple[str, int]]


class GatewayDuplicate(Exception):
    """A unique index of ``collection`` holds the key already. The value is not in the text."""

    def __init__(self, collection: str, index: str) -> None:
        super().__init__(f"{collection}: duplicate key in {index}")
        self.collection = collection
        self.index = index


class GatewayUnavailable(Exception):
    """The database did not do it: not reachable, not primary, too busy, out of time."""


class GatewayUnknown(Exception):
    """The transaction may or may not have been committed."""


class GatewayRefused(Exception):
    """A document or filter that the database cannot hold. The value is not in the text."""


class GatewayTooLarge(Exception):
    """The server says that a transaction of this size never fits. ``code`` is the server's."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the server cannot hold a transaction of this size (code {code})")
        self.code = code


class GatewayCorrupt(Exception):
    """A stored document that is no valid BSON, or holds a value Python cannot hold."""

    def __init__(self, collection: str) -> None:
        super().__init__(f"a document in {collection} cannot be read")


@frozen
class Find:
    """The documents of a collection that match ``filter``, only ``fields`` if given; ``limit`` 0 means all.
    ``hint`` names the index to be used."""

    collection: str
    filter: Document
    sort: Sort = ()
    limit: int = 0
    fields: Sequence[str] = ()
    hint: str = ""


@frozen
class Change:
    """An update of the one document that matches ``filter``."""

    filter: Document
    update: Document


class Reads(Protocol):
    """Reads; inside a transaction or snapshot they all see its moment."""

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
        """Matching documents, only ``fields`` if given; ``limit`` 0 means all. ``hint`` names the index to
        be used."""
        ...

    def several(self, finds: Sequence[Find]) -> list[list[Document]]:
        """The documents of each, all of one moment; none has a hint."""
        ...

    def aggregate(self, collection: str, pipeline: Sequence[Document]) -> list[Document]: ...


class Transaction(Reads, Protocol):
    """Writes of one transaction."""

    def insert_many(self, collection: str, documents: Sequence[Document]) -> None:
        """All of them in one trip; GatewayDuplicate if a unique key exists."""
        ...

    def update_many(self, collection: str, filter: Document, update: Document) -> int:
        """Number of documents that **matched** (not: were modified)."""
        ...

    def update_each(self, collection: str, changes: Sequence[Change]) -> bool:
        """The changes in their order, in one trip; whether each matched its document. GatewayDuplicate if
        another document has a unique key of it."""
        ...

    def delete_many(self, collection: str, filter: Document) -> int:
        """Number of deleted documents."""
        ...


class Gateway(Reads, Protocol):
    """A database."""

    def find_one_and_update(self, collection: str, filter: Document, update: Document) -> Document | None:
        """One atomic write outside transactions; the document afterwards, None if none matched."""
        ...

    def transaction(self, work: Callable[[Transaction], None]) -> None:
        """``work`` all or nothing; it may run several times, so it must decide nothing by itself.

        An exception of ``work`` aborts and escapes. GatewayUnavailable: nothing was written.
        GatewayUnknown: perhaps everything was.
        """
        ...

    def holds_for_good(self, audit_id: str, batch_id: str, npub: str) -> bool:
        """Whether this audit record of this batch of this wallet is committed and can never be rolled back.
        GatewayUnavailable when that cannot be said now."""
        ...

    def buried_for_good(self, operation_id: str, batch_id: str, npub: str) -> bool:
        """The same of a tombstone of the operation that names the batch."""
        ...

    def find_for_good(self, collection: str, filter: Document, fields: Sequence[str] = ()) -> list[Document]:
        """Matching documents that are committed and can never be rolled back, outside of transactions. The
        filter names one document. GatewayUnavailable when that cannot be said now."""
        ...

    def insert_new(self, collection: str, documents: Sequence[Document]) -> frozenset[str]:
        """Insert each document whose ``_id`` is new, for good and outside of transactions; the others' ids.
        GatewayUnavailable: some may have been inserted."""
        ...

    def delete_many(self, collection: str, filter: Document) -> int:
        """Delete for good, outside of transactions; the number of deleted documents."""
        ...

    @property
    def sharded(self) -> bool:
        """Whether the documents of different wallets may be on different shards: then a transaction names one
        wallet, and keys that are unique over all wallets are claimed before it."""
        ...

    @property
    def lacking(self) -> Set[str]:
        """Labels of machines of this program that the database does not know: nothing is committed under
        them."""
        ...

    def restore_rules(self) -> bool:
        """After a refused document: whether the database held documents to rules that lacked a machine of
        this program. It has them again now."""
        ...

    def snapshot(self, *, at_once: bool = True) -> AbstractContextManager[Reads]:
        """Reads that all see one moment: that at which the block is entered, or, not ``at_once``, that of the
        first of them."""
        ...

    def close(self) -> None: ...
