"""Reads of one moment that were named before: answered by one command."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..ahead import OwnersRead, Read
from ..errors import CorruptRecord, decoded
from ..port import TokenQuery
from ..records import Token
from .codec import token_from_document
from .filters import find_of
from .gateway import Document, Find, Reads
from .read import MongoReads, owners_in


def read_ahead(reads: Reads, named: Sequence[Read]) -> MongoReads:
    """A reader that knows the answers to the ``named`` reads. It makes every other read, and all of them
    where a document of the answers cannot be read."""
    reader = AheadReads(reads)
    reader.ask(named)
    return reader


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
