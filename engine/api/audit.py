"""The audit trail as the engine's callers see it: list, verify, export, purge."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from attrs import evolve

from ...machines.money import AMOUNT_MAX
from ...storage.errors import Conflict
from ...storage.port import AuditQuery, Chain, Reader, number_of_operations
from ...storage.records import AuditRecord, Tombstone
from ...storage.rules.audit_hash import audit_canonical, tombstone_mac
from .. import arguments
from ..audit.records import LEVELS
from ..audit.verdicts import PurgeReport, VerifyReport
from ..audit.verify import PAGE, records_of, spans_of, verify, verify_all
from ..errors import InvalidArgument, NotFound, Refused
from .core import Core

Progress = Callable[[int, int], None]
_EXPORT_PAGE = 2000


class Audits(Core):
    """Reading, verifying, exporting and purging audit records."""

    def audit(
        self,
        operation_id: str | None = None,
        *,
        entity: str | None = None,
        levels: Sequence[str] = (),
        since: int | None = None,
        until: int | None = None,
        after: tuple[str, int] | None = None,
        limit: int = 100,
        npub: str | None = None,
    ) -> tuple[AuditRecord, ...]:
        """Audit records by operation and seq, those of an ``entity`` (``token:ID``) by version. With
        ``since`` or ``until`` (epoch milliseconds), and no operation named, by time. ``after`` is the
        (operation_id, seq) of the last one seen. With ``npub`` an operation or token of this owner must be
        named. Codes: NOT_FOUND, INVALID_CHOICE, INVALID_FORMAT, INVALID_LIMIT."""
        self._only_of(npub, operation_id, entity)
        arguments.limit(limit)
        query = evolve(_query(operation_id, entity, levels, since, until), limit=limit)
        if after is not None and entity is not None:
            raise InvalidArgument(
                "after cannot be used together with entity: records of an entity are ordered by version",
                code="INVALID_FORMAT",
            )
        if after is None:
            return tuple(self.store.audit(query))
        return tuple(self.store.audit(self._behind(query, after)))

    def _behind(self, query: AuditQuery, after: tuple[str, int]) -> AuditQuery:
        if not query.by_time:
            return evolve(query, after=after)
        operation_id, seq = after
        last = self.store.audit(AuditQuery(operation_id=operation_id, after=(operation_id, seq - 1), limit=1))
        if not last or last[0].seq != seq:
            raise NotFound("the audit record of after is not stored (any more)", operation_id=operation_id)
        return query.behind(last[0])

    def verify_audit(
        self,
        operation_id: str | None = None,
        *,
        progress: Progress | None = None,
        npub: str | None = None,
    ) -> VerifyReport:
        """Whether the trail of one operation, or everything in the store, is whole and unchanged. A changed,
        missing or added record is reported, never raised. ``progress(done, total)`` counts operations.
        Codes: NOT_FOUND, INVALID_FORMAT."""
        self._only_of(npub, operation_id)
        if operation_id is None:
            return verify_all(self.store, self._audit_key, progress)
        self._known(operation_id)
        with self.store.snapshot() as reader:
            return verify(reader, operation_id, self._audit_key)

    def export_audit(
        self,
        write: Callable[[str], object],
        operation_id: str | None = None,
        *,
        levels: Sequence[str] = (),
        since: int | None = None,
        until: int | None = None,
        progress: Progress | None = None,
        npub: str | None = None,
    ) -> int:
        """Give ``write`` one line of JSON per record: its hash, then exactly the text that was hashed
        (docs/audit.md verifies an export in 15 lines). Returns how many. With ``npub`` an operation of this
        owner must be named. Codes: NOT_FOUND, INVALID_CHOICE, INVALID_FORMAT."""
        self._only_of(npub, operation_id)
        query = evolve(_query(operation_id, None, levels, since, until), limit=_EXPORT_PAGE)
        done = 0
        while page := self.store.audit(query):
            for record in page:
                write(export_line(record) + "\n")
            done += len(page)
            if progress is not None:
                progress(done, done)
            query = query.behind(page[-1])
        return done

    def purge_audit(
        self, *, before: int | None = None, dry_run: bool = False, progress: Progress | None = None
    ) -> PurgeReport:
        """Delete the records of ended operations whose whole trail expired before ``before`` (now, at the
        latest); each leaves a tombstone, so that everything still verifies. A trail that is not whole
        stays as it is. Running it twice is harmless. Codes: AUDIT_KEY_MISSING, INVALID_FORMAT."""
        key = self._audit_key
        if key is None:
            raise Refused("a purge needs the audit key: Engine(audit_key=…)", code="AUDIT_KEY_MISSING")
        now = self.clock.now()
        border = now if before is None else min(_moment(before, "before"), now)
        purged: list[str] = []
        broken: list[str] = []
        records = 0
        total = 0 if progress is None else number_of_operations(self.store)
        for done, chain in enumerate(self._chains(), 1):
            if progress is not None:
                progress(done, max(done, total))
            if chain.expires_at is None or chain.expires_at >= border:
                continue
            tombstone = self._tombstone(chain, key, now)
            if tombstone is None:
                continue
            gone = self._bury(tombstone, dry_run) if tombstone.records else None
            if gone is None:
                broken.append(chain.operation_id)
            elif gone:
                purged.append(chain.operation_id)
                records += gone
        return PurgeReport(dry_run, tuple(purged), records, tuple(broken))

    def _chains(self) -> Iterator[Chain]:
        after = ""
        while page := self.store.audit_operations(after, PAGE):
            yield from page
            after = page[-1].operation_id

    def _tombstone(self, chain: Chain, key: bytes, now: int) -> Tombstone | None:
        """The tombstone for the chain. It has 0 records if the trail is not whole. None: the trail must
        stay."""
        empty = Tombstone(chain.operation_id, 0, "", 0, (), now)
        with self.store.snapshot() as reader:
            if not verify(reader, chain.operation_id, key).holds:
                return empty
            op = reader.operation(chain.operation_id)
            if op is None or op.finished_at is None or not _all_expired(reader, chain):
                return None
            records = records_of(reader, op.id)
        stone = Tombstone(op.id, op.audit_seq, op.audit_hash, len(records), spans_of(records), now)
        return evolve(stone, mac=tombstone_mac(stone, key))

    def _bury(self, tombstone: Tombstone, dry_run: bool) -> int | None:
        """Number of records deleted. 0: another process purged them first. None: the store refused."""
        if dry_run:
            return tombstone.records
        try:
            return self.store.purge(tombstone)
        except Conflict:
            return None

    def _only_of(self, npub: str | None, operation_id: str | None, entity: str | None = None) -> None:
        """Refuse all but a named operation or token of this owner."""
        if npub is None:
            return
        if operation_id is None and entity is None:
            raise InvalidArgument("with npub an operation or token must be named", code="INVALID_FORMAT")
        if operation_id is not None:
            self._bound(operation_id, npub)
        if entity is not None:
            kind, _, name = str(entity).partition(":")
            if kind == "operation":
                self._bound(name, npub)
                return
            token = self.store.token(name) if kind == "token" else None
            if token is None or token.npub != arguments.npub(npub):
                raise NotFound("no such token", entity=entity)

    def _known(self, operation_id: object) -> None:
        """Stored, or at least named by the log: a stray chain can be looked at too."""
        if (
            isinstance(operation_id, str)
            and operation_id
            and self.store.audit(AuditQuery(operation_id=operation_id, limit=1))
        ):
            return
        self._stored(operation_id)


def _all_expired(reader: Reader, chain: Chain) -> bool:
    """The chain is the one whose expiry was looked at."""
    return len(records_of(reader, chain.operation_id)) == chain.records


def export_line(record: AuditRecord) -> str:
    """The record as one JSON object: ``hash`` first, then exactly the text of which it is the SHA-256."""
    return f'{{"hash":"{record.hash}",{audit_canonical(record)[1:]}'


def _query(
    operation_id: str | None, entity: str | None, levels: Sequence[str], since: int | None, until: int | None
) -> AuditQuery:
    for name, value in (("operation_id", operation_id), ("entity", entity)):
        if value is not None and (not isinstance(value, str) or not 0 < len(value) <= 200):
            raise InvalidArgument(f"{name} must be text of 1 to 200 characters", code="INVALID_FORMAT")
    return AuditQuery(
        operation_id=operation_id,
        entity=entity,
        levels=tuple(arguments.choice(level, "level", LEVELS) for level in arguments.words(levels, "levels")),
        since=None if since is None else _moment(since, "since"),
        until=None if until is None else _moment(until, "until"),
    )


def _moment(value: object, name: str) -> int:
    if type(value) is not int or not 0 <= value <= AMOUNT_MAX:
        raise InvalidArgument(f"{name} must be epoch milliseconds", code="INVALID_FORMAT")
    return value
