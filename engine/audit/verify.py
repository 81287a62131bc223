"""The audit trail: whether it is whole, for one operation or for everything a store holds.

A trail is judged against what is stored beside it: every record's hash covers the one before, the operation
names the end, the versions of every operation and token are counted by their records without a gap, and
a tombstone accounts for purged records. Each look is at one moment, so that a worker that writes
meanwhile never looks like a broken chain.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

import attrs
from attrs import field, frozen

from ...storage.errors import CorruptRecord, Page, page_of
from ...storage.port import AuditQuery, OperationQuery, Reader, Store, TokenQuery, TombstoneQuery
from ...storage.records import AuditRecord, Operation, Span, Token, Tombstone
from ...storage.rules.audit_hash import audit_hash, is_document_of, token_hash, tombstone_mac
from .verdicts import Fault, Findings, VerifyReport

R = TypeVar("R")
Progress = Callable[[int, int], None]
PAGE = 200
RECORDS_PAGE = 2000


def at_one_moment(store: Store, operation: Operation) -> tuple[Operation, tuple[AuditRecord, ...]]:
    """The operation as it is now and its trail, from one snapshot. Two reads one after the other could
    contradict each other, because another worker may go on with the operation in between."""
    with store.snapshot() as reader:
        now = reader.operation(operation.id, operation.npub) or operation
        return now, tuple(records_of(reader, operation.id, operation.npub))


def trail_of(operation_id: str, home: str | None) -> AuditQuery:
    """The query for the first page of an operation's trail."""
    return AuditQuery(operation_id=operation_id, home=home, limit=RECORDS_PAGE)


def records_of(reader: Reader, operation_id: str, home: str | None = None) -> list[AuditRecord]:
    """The whole trail of an operation, read page by page."""
    return list(every_record(reader, trail_of(operation_id, home)))


def every_record(reader: Reader, query: AuditQuery) -> Iterator[AuditRecord]:
    """Every record of a query, however many there are, read page by page (R208)."""
    query = attrs.evolve(query, limit=RECORDS_PAGE)
    while True:
        page = reader.audit(query)
        yield from page
        if len(page) < RECORDS_PAGE:
            return
        query = query.behind(page[-1])


def purged(reader: Reader, operation_id: str, home: str | None = None) -> Tombstone | None:
    """The tombstone of a purged trail. None: the trail was not purged."""
    stones = reader.tombstones(TombstoneQuery(operation_ids=(operation_id,), home=home))
    return stones[0] if stones else None


def chain_holds(
    operation: Operation, records: Sequence[AuditRecord], tombstone: Tombstone | None = None
) -> bool:
    """Whether the records are complete, in order, each hash covers the one before, and the last one is
    the end that the operation names (a trail whose tail was cut is not whole). A ``tombstone`` stands for
    the records up to its end."""
    found = Findings()
    _judge_chain(found, operation, records, tombstone)
    return found.report().holds and [r.seq for r in records] == sorted({r.seq for r in records})


def verify(reader: Reader, operation_id: str, key: bytes | None = None) -> VerifyReport:
    """The trail of one operation and of every token it touched. ``reader`` is best a snapshot."""
    found = Findings()
    operation = _operation(found, reader, operation_id)
    records = _verify_operation(found, reader, operation_id, operation, key)
    if operation is not None:
        names = {r.entity.removeprefix("token:") for r in records if r.entity.startswith("token:")}
        for name in sorted(names):
            _verify_token(found, reader, name)
    return found.report()


def verify_all(store: Store, key: bytes | None = None, progress: Progress | None = None) -> VerifyReport:
    """Every trail in the store: the records of the log, the claims of operations and tokens, and every
    tombstone. Page by page, each page at one moment."""
    total = 0 if progress is None else sum(counted.number for counted in store.count_operations())
    walk = _Walk(store, key, progress, total)
    for part in (walk.log, walk.operations, walk.tombstones, walk.tokens):
        part()
    return walk.found.report()


@frozen(eq=False)
class _Walk:
    """One pass over a store."""

    store: Store
    key: bytes | None
    progress: Progress | None
    total: int  # operations: counted once, not again for each page
    found: Findings = field(factory=Findings)

    def _tell(self, done: int) -> None:
        if self.progress is not None:
            self.progress(done, max(done, self.total))

    def log(self) -> None:
        """Verify the log operation by operation. This finds stray chains too."""
        after, done = "", 0
        while True:
            with self.store.snapshot() as reader:
                page = reader.audit_operations(after, PAGE)
                for chain in page:
                    operation = _operation(self.found, reader, chain.operation_id)
                    _verify_operation(self.found, reader, chain.operation_id, operation, self.key)
            if not page:
                return
            after, done = page[-1].operation_id, done + len(page)
            self._tell(done)

    def operations(self) -> None:
        """Operations of which the log holds nothing at all."""
        after: tuple[int, str] | None = None
        while True:
            with self.store.snapshot() as reader:
                query = OperationQuery(after=after, limit=PAGE)
                page = self._sound(partial(reader.operations, query), lambda op: (op.created_at, op.id))
                for operation in page.records:
                    if _has_no_record(reader, operation.id) and not _is_buried(reader, operation.id):
                        _verify_operation(self.found, reader, operation.id, operation, self.key)
            if not page.size:
                return
            after = page.last

    def tombstones(self) -> None:
        """Tombstones with no record beside them, as it should be."""
        after: str | None = None
        while True:
            with self.store.snapshot() as reader:
                query = TombstoneQuery(after=after, limit=PAGE)
                page = self._sound(partial(reader.tombstones, query), lambda t: t.operation_id)
                for tombstone in page.records:
                    name = tombstone.operation_id
                    if _has_no_record(reader, name):
                        _verify_operation(
                            self.found, reader, name, _operation(self.found, reader, name), self.key
                        )
            if not page.size:
                return
            after = page.last

    def tokens(self) -> None:
        """Compare the state and version of every token with its records, in the trails of all operations."""
        after: str | None = None
        while True:
            with self.store.snapshot() as reader:
                query = TokenQuery(after=after, limit=PAGE)
                page = self._sound(partial(reader.tokens, query), lambda t: t.transaction_id)
                for token in page.records:
                    _judge_token(self.found, reader, token)
            if not page.size:
                return
            after = page.last

    def _sound(self, read: Callable[[], Sequence[R]], cursor: Callable[[R], Any]) -> Page[R]:
        """A page. Documents in it that do not decode are told, and the walk goes on (R214)."""
        page = page_of(read, cursor)
        for error in page.unreadable:
            self.found.corrupt(error)
        return page


def _operation(found: Findings, reader: Reader, operation_id: str) -> Operation | None:
    try:
        return reader.operation(operation_id)
    except CorruptRecord as error:
        found.corrupt(error, operation_id)
        return None


def _is_buried(reader: Reader, operation_id: str) -> bool:
    try:
        return bool(reader.tombstones(TombstoneQuery(operation_ids=(operation_id,))))
    except CorruptRecord:
        return True  # it has one, which the walk over the tombstones judges


def _has_no_record(reader: Reader, operation_id: str) -> bool:
    try:
        return not reader.audit(AuditQuery(operation_id=operation_id, limit=1))
    except CorruptRecord:
        return False  # it has one, which the walk over the log judges


def _verify_operation(
    found: Findings, reader: Reader, operation_id: str, operation: Operation | None, key: bytes | None
) -> Sequence[AuditRecord]:
    """The chain of an operation, its own versions, and whether its records are about what exists."""
    try:
        records = records_of(reader, operation_id)
        stones = reader.tombstones(TombstoneQuery(operation_ids=(operation_id,)))
    except CorruptRecord as error:
        found.corrupt(error, operation_id)
        return ()
    found.operations += 1
    found.records += len(records)
    tombstone = stones[0] if stones else None
    if operation is None:
        found.add("added", operation_id, "records or a tombstone of an operation that is not in the store")
        return ()
    if tombstone is not None:
        _judge_tombstone(found, operation, tombstone, key)
    _judge_chain(found, operation, records, tombstone)
    own = f"operation:{operation_id}"
    spans = [span for span in tombstone.spans if span.entity == own] if tombstone else []
    state = (operation.state, operation.version, operation.prev_state)
    mine = [record for record in records if record.entity == own]
    _judge_versions(found, own, state, mine, spans)
    if not _is_document_told(operation, mine, spans):
        found.add("changed", operation_id, "the operation is not the document of its last record", None, own)
    _judge_entities(found, reader, operation_id, {r.entity: r.seq for r in records if r.entity != own})
    return records


def _judge_tombstone(found: Findings, op: Operation, tombstone: Tombstone, key: bytes | None) -> None:
    found.tombstoned += 1
    if key is None:
        found.unchecked += 1
    elif not hmac.compare_digest(tombstone_mac(tombstone, key), tombstone.mac):
        found.add("changed", op.id, "the tombstone was not made with this audit key")
    if op.finished_at is None or (tombstone.last_seq, tombstone.last_hash) != (op.audit_seq, op.audit_hash):
        found.add("changed", op.id, "the tombstone is not about the end of this operation's trail")


def _judge_chain(
    found: Findings, op: Operation, records: Sequence[AuditRecord], tombstone: Tombstone | None
) -> None:
    """Compare seq by seq from where the tombstone ends (or the beginning) to where the operation says."""
    seq, previous = (tombstone.last_seq, tombstone.last_hash) if tombstone else (0, "")
    first, by_seq = seq + 1, {record.seq: record for record in records}
    for record in records:
        if not first <= record.seq <= op.audit_seq:
            found.add("added", op.id, "a record outside the chain", record.seq, record.entity)
    whole = True  # whether ``previous`` is known to be the hash of seq - 1
    for seq in range(first, op.audit_seq + 1):
        here = by_seq.get(seq)
        if here is None:
            found.add("missing", op.id, "a record is missing", seq)
            whole = False
            continue
        if audit_hash(here) != here.hash:
            found.add("changed", op.id, "a record does not fit its hash", seq, here.entity)
        elif whole and here.prev_hash != previous:
            at = max(seq - 1, first)
            found.add("changed", op.id, "a record is not the one that its successor followed", at)
        previous, whole = here.hash, True
    if whole and op.audit_seq >= first and previous != op.audit_hash:
        found.add("changed", op.id, "the last record is not the end that the operation names", op.audit_seq)
    if op.audit_seq < 1:
        found.add("missing", op.id, "the operation names no record")


def _judge_entities(found: Findings, reader: Reader, operation_id: str, entities: dict[str, int]) -> None:
    """Every entity that the records name must exist."""
    ids = {name.removeprefix("token:"): name for name in entities if name.startswith("token:")}
    known: set[str] = set()
    wanted = sorted(ids)
    for start in range(0, len(wanted), PAGE):
        part = tuple(wanted[start : start + PAGE])
        try:
            known |= {token.transaction_id for token in reader.tokens(TokenQuery(ids=part, limit=len(part)))}
        except CorruptRecord as error:
            for each in error.page.unreadable if error.page is not None else (error,):
                found.corrupt(each, operation_id)
            known |= set(part)
    for name, seq in entities.items():
        if name.removeprefix("token:") not in known or not name.startswith("token:"):
            found.add("added", operation_id, "a record of an entity that is not in the store", seq, name)


def _verify_token(found: Findings, reader: Reader, token_id: str) -> None:
    try:
        token = reader.token(token_id)
    except CorruptRecord as error:
        found.corrupt(error)
        return
    if token is not None:
        _judge_token(found, reader, token)


def _judge_token(found: Findings, reader: Reader, token: Token) -> None:
    entity, home = f"token:{token.transaction_id}", token.npub
    try:
        records = list(every_record(reader, AuditQuery(entity=entity, home=home)))
        stones = reader.tombstones(TombstoneQuery(entity=entity, home=home, limit=token.version + PAGE))
    except CorruptRecord as error:
        found.corrupt(error)
        return
    spans = [span for stone in stones for span in stone.spans if span.entity == entity]
    _judge_versions(found, entity, (token.state, token.version, token.prev_state), records, spans)
    told = {r.version: _told(r, "token_hash") for r in records}
    told |= {span.last: span.token_hash for span in spans}
    if told.get(token.version) not in (None, token_hash(token)):
        found.add("changed", None, "owner, wallet or proofs are not those of its last record", None, entity)


def _is_document_told(op: Operation, records: Iterable[AuditRecord], spans: Iterable[Span]) -> bool:
    """Whether the stored operation is the one of which its last record tells; ``records`` and ``spans`` are
    its own. True where an earlier release wrote the record: it told nothing."""
    told = {r.version: _told(r, "document_hash") for r in records}
    told |= {span.last: span.document_hash for span in spans}
    hashed = told.get(op.version)
    return hashed is None or is_document_of(op, hashed)


def _told(record: AuditRecord, name: str) -> str | None:
    told = record.data.get(name)
    return told if isinstance(told, str) else None


def _judge_versions(
    found: Findings,
    entity: str,
    stored: tuple[str, int, str | None],
    records: Iterable[AuditRecord],
    spans: Iterable[Span],
) -> None:
    """Replay an entity: versions without a gap from 1, states that chain, and the stored end."""
    state, version, prev_state = stored
    steps = sorted(_steps(records, spans))
    holder = entity.removeprefix("operation:") if entity.startswith("operation:") else None
    reached, at, came_from = "none", 0, "none"
    sound = True
    for first, last, from_state, to_state, operation_id, seq in steps:
        name = operation_id or holder
        if last > version or first <= at:
            found.add("added", name, f"a record of version {last}, which never was", seq, entity)
            sound = False
            continue
        if first > at + 1:
            found.add("missing", name, f"versions {at + 1} to {first - 1} have no record", None, entity)
            sound = False
        elif from_state != reached:
            found.add("changed", name, f"version {first} begins where version {at} did not end", seq, entity)
            sound = False
        reached, at, came_from = to_state, last, from_state if first == last else ""
    if at < version:
        found.add("missing", holder, f"versions {at + 1} to {version} have no record", None, entity)
    elif sound and (reached != state or (came_from and came_from != (prev_state or "none"))):
        found.add("changed", holder, "the stored state is not where its records end", None, entity)


def _steps(
    records: Iterable[AuditRecord], spans: Iterable[Span]
) -> Iterator[tuple[int, int, str, str, str, int]]:
    for r in records:
        yield r.version, r.version, r.from_state, r.to_state, r.operation_id, r.seq
    for span in spans:
        yield span.first, span.last, span.from_state, span.to_state, "", 0


def spans_of(records: Iterable[AuditRecord]) -> tuple[Span, ...]:
    """The part of the records that a tombstone keeps: per entity its runs of consecutive versions, with the
    hash of the document after them and, for the operation itself, the commits that wrote them."""
    spans: list[Span] = []
    for r in sorted(records, key=lambda r: (r.entity, r.version)):
        own = r.entity == f"operation:{r.operation_id}"
        here = Span(
            r.entity, r.version, r.version, r.from_state, r.to_state,
            _told(r, "token_hash"), _told(r, "document_hash"), (r.batch_id,) if own else (),
        )  # fmt: skip
        last = spans[-1] if spans else None
        follows = last is not None and last.entity == r.entity and last.last + 1 == r.version
        if last is not None and follows and last.to_state == r.from_state:
            batches = tuple(dict.fromkeys((*last.batches, *here.batches)))
            here = attrs.evolve(here, first=last.first, from_state=last.from_state, batches=batches)
            spans.pop()
        spans.append(here)
    return tuple(spans)


__all__ = [
    "Fault",
    "VerifyReport",
    "at_one_moment",
    "chain_holds",
    "every_record",
    "purged",
    "records_of",
    "spans_of",
    "verify",
    "verify_all",
]
