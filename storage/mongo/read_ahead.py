"""Reads of one moment, or of one transaction, that were named before: answered by one command."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pymongo.errors import OperationFailure, PyMongoError

from ..ahead import OwnersRead, Read
from ..errors import CorruptRecord, NotAsWritten, StoreUnavailable, decoded
from ..port import TokenQuery
from ..read_back import ReadBack
from ..records import Token
from .codec import token_from_document
from .filters import find_of
from .gateway import Document, Find, GatewayTooLarge, Reads, Transaction
from .read import MongoReads, owners_in
from .session import TRANSIENT, named


def read_ahead(reads: Reads, named: Sequence[Read]) -> MongoReads:
    """A reader that knows the answers to the ``named`` reads. It makes every other read, and all of them
    where a document of the answers cannot be read."""
    reader = AheadReads(reads)
    reader.ask(named)
    return reader


def in_transaction(transaction: Transaction, read_back: ReadBack, home: str | None) -> None:
    """Ask the read-back with a reader that sees the transaction's own writes. ``home`` is the npub of the
    batch on a cluster, where each read is made alone and on the shard of this wallet. NotAsWritten also where
    the server will never answer, such as with an answer beyond 16 MB."""
    reader = MongoReads(transaction, home is not None, home)
    try:
        if read_back.ahead and home is None:
            reader = _all_together(transaction, read_back)
        # with_transaction reads in the driver's own errors whether to run the transaction again
        read_back.ask(reader, passing=(PyMongoError, GatewayTooLarge))
        return
    except OperationFailure as error:
        if error.has_error_label(TRANSIENT):
            raise
        failure = NotAsWritten(named(error))
    raise failure  # outside the handler: the cause may show a value


def _all_together(transaction: Transaction, read_back: ReadBack) -> MongoReads:
    try:
        return read_ahead(transaction, read_back.ahead)
    except StoreUnavailable as error:  # an answer beyond 16 MB, which the server calls a document like this
        failure = NotAsWritten(error.message)
    raise failure


class AheadReads(MongoReads):
    """Answers a read that was named before from memory."""

    def __init__(self, reads: Reads) -> None:
        super().__init__(reads)
        self._answers: list[tuple[Find, list[Document]]] = []
        self._owners: tuple[frozenset[str], list[Document]] | None = None
        self._tokens: tuple[frozenset[str], list[Document]] | None = None

    def ask(self, named: Sequence[Read]) -> None:
        """One command for all of them."""
        finds = [find_of(read) for read in named]
        try:
            answers = super()._several(finds)
        except CorruptRecord:
            return  # which document it is, the single reads tell
        for read, find, documents in zip(named, finds, answers, strict=True):
            if isinstance(read, OwnersRead):
                self._owners = frozenset(read.keys), documents
                continue
            if isinstance(read, TokenQuery) and _is_by_ids(read):
                self._tokens = frozenset(read.ids), documents
            self._answers.append((find, documents))

    def _documents(self, find: Find) -> list[Document]:
        for known, documents in self._answers:
            if known == find:
                return documents
        return super()._documents(find)

    def _several(self, finds: Sequence[Find]) -> list[list[Document]]:
        known = [find for find, _ in self._answers]
        if any(find not in known for find in finds):
            return super()._several(finds)
        return [self._documents(find) for find in finds]

    def tokens(self, query: TokenQuery) -> Sequence[Token]:
        if self._tokens is None or not _is_by_ids(query) or not self._tokens[0] >= set(query.ids):
            return super().tokens(query)
        wanted = [found for found in self._tokens[1] if found.get("transaction_id") in query.ids]
        return decoded(wanted, token_from_document, lambda found: found.get("transaction_id"))

    def proof_owners(self, keys: Iterable[str], home: str | None = None) -> Mapping[str, str]:
        wanted = set(keys)
        if self._owners is None or not self._owners[0] >= wanted:
            return super().proof_owners(wanted, home)
        return owners_in(self._owners[1], wanted)


def _is_by_ids(query: TokenQuery) -> bool:
    return query == TokenQuery(ids=query.ids, limit=len(query.ids), home=query.home) and bool(query.ids)
