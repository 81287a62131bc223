"""Counting after the faults: what was acknowledged must be there, once and whole, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from attrs import evolve, frozen

from nutstate.storage.batch import proof_key
from nutstate.storage.mongo.codec import (
    audit_from_document,
    dedup_from_document,
    operation_from_document,
    token_from_document,
)
from nutstate.storage.mongo.schema import AUDIT, OPERATIONS, TOKENS
from nutstate.storage.mongo.store import MongoStore
from nutstate.storage.records import AuditRecord, DedupRecord, Operation, Token
from nutstate.storage.rules.audit_hash import audit_hash

from .footprint import Footprint
from .history import History, Sent

SHOWN = 8


@frozen
class Books:
    """Everything that is stored, read at one moment."""

    operations: Mapping[str, Operation]
    tokens: Mapping[str, Token]
    audit: Sequence[AuditRecord]
    index: Mapping[str, str]  # proof key -> token
    dedup: Mapping[str, DedupRecord]

    @classmethod
    def read(cls, store: MongoStore) -> Books:
        """Every document, also those that no record points to."""
        with store._gateway.snapshot() as reads:
            stored = reads.find(OPERATIONS, {})
            operations = [operation_from_document(document) for document in stored]
            tokens = [token_from_document(d) for d in reads.find(TOKENS, {})]
            audit = [audit_from_document(d) for d in reads.find(AUDIT, {}, sort=(("seq", 1),))]
            index = {key: d["transaction_id"] for d in reads.find(TOKENS, {}) for key in d["proof_keys"]}
            dedup = [dedup_from_document(document) for document in stored if "dedup" in document]
        return cls(
            {op.id: op for op in operations},
            {t.transaction_id: t for t in tokens},
            audit,
            index,
            {d.key: d for d in dedup},
        )


@frozen
class Verdict:
    """The counts of one run. ``notes`` name the first offenders."""

    acknowledged: int = 0
    refused: int = 0
    lost: int = 0  # acknowledged, and nothing of it is there
    doubled: int = 0  # a proof, key, claim, input or version held twice
    partial: int = 0  # some documents of a batch, or documents that contradict one another
    denied: int = 0  # refused, or promised not to be written, and yet it is there
    refused_wrongly: int = 0  # though no other client touched its documents
    unresolved: int = 0  # no last word until the writers had to end
    unknown_applied: int = 0
    unknown_not: int = 0
    longest_gap_s: float = 0.0
    notes: tuple[str, ...] = ()

    def row(self, run: str) -> str:
        """The run in one line, aligned with the others."""
        unknown = self.unknown_applied + self.unknown_not
        return " | ".join(
            (
                f"{run:<54}",
                f"acknowledged {self.acknowledged:>4}",
                f"lost {self.lost}",
                f"doubled {self.doubled}",
                f"partial {self.partial}",
                f"unknown {unknown:>2} ({self.unknown_applied} applied / {self.unknown_not} not)",
                f"longest gap {self.longest_gap_s:>4.1f} s",
            )
        )


def assert_nothing_wrong(verdict: Verdict) -> None:
    """Safety: nothing lost, doubled, partial, or there though it was denied."""
    wrong = verdict.lost, verdict.doubled, verdict.partial, verdict.denied
    assert wrong == (0, 0, 0, 0), verdict


def assert_refusals_had_a_reason(verdict: Verdict) -> None:
    """No client got Conflict or Duplicate about documents that no other client touched."""
    assert verdict.refused_wrongly == 0, verdict


def assert_all_resolved(verdict: Verdict) -> None:
    """Liveness: every batch got its answer after the faults, and there were some."""
    assert verdict.acknowledged > 0 and verdict.unresolved == 0, verdict


class Ledger:
    """Compares what clients were told with what is stored."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self._recorded = {record.id for record in books.audit}

    def verdict(self, history: History) -> Verdict:
        """All counts."""
        moved = _moves(history.sent)
        lost, partial, denied, notes = 0, 0, 0, []
        for sent in history.sent:
            pieces = [*self._pieces(sent.mark), *self._index_pieces(sent.mark, moved)]
            if any(pieces) and not all(pieces):
                partial += 1
                notes.append(f"partial: {sent.mark.batch} {sent.outcome} {pieces}")
            elif sent.outcome == "acknowledged" and not any(pieces):
                lost += 1
                notes.append(f"lost: {sent.mark.batch}")
            elif sent.promise_broken or (sent.outcome == "refused" and all(pieces)):
                denied += 1
                notes.append(f"denied: {sent.mark.batch} {sent.why}")
        doubled, torn = [*self._doubled()], [*self._torn()]
        verdict = _told(history)
        return evolve(
            verdict,
            lost=lost,
            doubled=len(doubled),
            partial=partial + len(torn),
            denied=denied,
            notes=(*notes[:SHOWN], *doubled[:SHOWN], *torn[:SHOWN], *verdict.notes[:SHOWN]),
        )

    def _pieces(self, mark: Footprint) -> Iterator[bool]:
        """For each thing the batch writes, whether it is there. What a later batch has written over
        tells nothing and is left out; the audit records stay for ever."""
        yield from (record in self._recorded for record in mark.audit)
        operation = self.books.operations.get(mark.operation)
        if operation is None or operation.version < mark.version:
            yield False
        elif operation.version == mark.version:
            yield operation.audit_hash == mark.audit_hash
        for token in mark.tokens:
            stored = self.books.tokens.get(token.id)
            if stored is None or stored.version < token.version:
                yield False
            elif stored.version == token.version:
                yield (stored.state, stored.reserved_by) == (token.state, token.reserved_by)
        if mark.dedup is not None:
            holder = self.books.dedup.get(mark.dedup)
            yield holder is not None and holder.operation_id == mark.operation

    def _index_pieces(self, mark: Footprint, moved: Mapping[str, str]) -> Iterator[bool]:
        for key, token in mark.keys:
            yield self.books.index.get(key) in (token, moved.get(key))

    def _doubled(self) -> Iterator[str]:
        books = self.books
        proofs = Counter(proof_key(p.secret) for t in books.tokens.values() for p in t.proofs)
        yield from _twice("proof", proofs)
        yield from _twice("audit of", Counter(f"{r.entity}@{r.version}" for r in books.audit))
        yield from _twice("audit seq", Counter(f"{r.operation_id}#{r.seq}" for r in books.audit))
        operations = books.operations.values()
        keys = Counter(f"{op.npub} {op.idempotency.key}" for op in operations if op.idempotency)
        yield from _twice("idempotency key", keys)
        yield from _twice("claim", Counter(op.claim for op in operations if op.claim))
        yield from _twice("input", Counter(part.token_id for op in operations for part in op.inputs))

    def _torn(self) -> Iterator[str]:
        """Documents that no single batch could have left like this."""
        books = self.books
        versions: Counter[str] = Counter(record.entity for record in books.audit)
        entities = {f"operation:{op.id}": op.version for op in books.operations.values()}
        entities |= {f"token:{t.transaction_id}": t.version for t in books.tokens.values()}
        for entity in sorted(versions.keys() | entities.keys()):
            if versions[entity] != entities.get(entity, 0):
                yield f"torn: {entity} is {entities.get(entity)}, {versions[entity]} audit records"
        held = {proof_key(p.secret): t.transaction_id for t in books.tokens.values() for p in t.proofs}
        for key in sorted(held.keys() | books.index.keys()):
            if held.get(key) != books.index.get(key):
                yield f"torn: index says {books.index.get(key)}, the proof is in {held.get(key)}"
        yield from self._broken_chains()

    def _broken_chains(self) -> Iterator[str]:
        last: dict[str, str] = {}
        for record in self.books.audit:  # by seq
            if record.prev_hash != last.get(record.operation_id, "") or audit_hash(record) != record.hash:
                yield f"torn: the chain of {record.operation_id} at {record.seq}"
            last[record.operation_id] = record.hash
        for op in self.books.operations.values():
            if op.audit_hash != last.get(op.id):
                yield f"torn: {op.id} does not end where its audit does"


def _moves(sent: Iterable[Sent]) -> dict[str, str]:
    """Key -> the token it was last sent to."""
    return {key: token for one in sent for key, token in one.mark.keys}


def _twice(what: str, counted: Mapping[Any, int]) -> Iterator[str]:
    yield from (f"doubled: {what} {key} {n} times" for key, n in counted.items() if n > 1)


def _told(history: History) -> Verdict:
    """What the clients were told, in numbers."""
    outcomes = Counter(sent.outcome for sent in history.sent)
    wrongly = [s for s in history.sent if s.outcome == "refused" and s.expected == "ok"]
    return Verdict(
        acknowledged=outcomes["acknowledged"],
        refused=outcomes["refused"],
        refused_wrongly=len(wrongly),
        unresolved=outcomes["open"],
        unknown_applied=sum(sent.unknown_applied for sent in history.sent),
        unknown_not=sum(sent.unknown_not for sent in history.sent),
        longest_gap_s=history.longest_gap_s(),
        notes=tuple(f"refused wrongly: {s.mark.batch} {s.why}" for s in wrongly),
    )
