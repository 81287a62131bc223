"""For tests of stores and of programs that embed the engine: records and valid batches in one
line, and a store whose commits fail as scripted. Public through ``nutstate.testing``."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar

from attrs import evolve

from ...machines.melt.table import MELT
from ...machines.token.states import AWAITING, RESERVED, SPENT, UNSPENT
from ...machines.token.table import TOKEN
from ..ahead import Read
from ..batch import Advance, Batch, DedupTake, IndexInsert, IndexMove, Insert, proof_key
from ..errors import CommitUnknown, Conflict, NotAsWritten, StoreUnavailable
from ..port import (
    AuditQuery,
    Chain,
    Counted,
    Held,
    HeldCoins,
    Note,
    OperationQuery,
    Reader,
    Store,
    TokenQuery,
    TombstoneQuery,
)
from ..read_back import ReadBack
from ..records import AuditRecord, DedupRecord, MachineRef, Operation, Proof, Token, TokenMetadata, Tombstone
from ..rules.audit_hash import audit_hash
from ..rules.batch import NONE
from ..rules.codec import data_to_plain
from ..rules.machines import BUILT_IN, Machines, Step
from ..secret import Secret

NPUB: Final = "npub1" + "q" * 58
MINT: Final = "https://mint.example"
NOW: Final = 1_760_000_000_000  # epoch ms

R = TypeVar("R", Operation, Token)


def make_proofs(tag: str, *amounts: int) -> tuple[Proof, ...]:
    """Proofs with secrets that depend on ``tag`` and position only."""
    return tuple(
        Proof(
            id="009a1f293253e41e",
            amount=amount,
            secret=Secret(hashlib.sha256(f"secret {tag} {n}".encode()).hexdigest()),
            C=Secret("02" + hashlib.sha256(f"C {tag} {n}".encode()).hexdigest()),
        )
        for n, amount in enumerate(amounts)
    )


FIRST = MELT.good_path[1]
"""The state in which a melt begins."""


def make_token(token_id: str = "token-1", *amounts: int, state: str = UNSPENT, **fields: Any) -> Token:
    """A token of ``amounts`` (default 1, 2, 4) that fits its state; ``fields`` override anything."""
    if "proofs" not in fields:
        fields["proofs"] = () if state == AWAITING else make_proofs(token_id, *(amounts or (1, 2, 4)))
    if "total_amount" not in fields:
        fields["total_amount"] = sum(proof.amount for proof in fields["proofs"])
    kind = fields.setdefault("transaction_type", "received")
    parent = "tx-parent" if kind == "change" else None
    defaults: dict[str, Any] = {
        "npub": NPUB,
        "wallet_id": "wallet-1",
        "mint_url": MINT,
        "unit": "sat",
        "version": 1,
        "prev_state": NONE,
        "metadata": TokenMetadata("change" if parent else "lightning", parent_transaction_id=parent),
        "created_at": NOW,
        "updated_at": NOW,
        "reserved_by": "tx-1" if state == RESERVED else None,
        "spent_at": NOW if state == SPENT else None,
    }
    return Token(**{"transaction_id": token_id, "state": state, **defaults, **fields})


def make_operation(
    operation_id: str = "tx-1", *, state: str = FIRST, machines: Machines = BUILT_IN, **fields: Any
) -> Operation:
    """A melt of 100 sat under the newest version of its machine; ``fields`` override anything. A field that
    an operation has because of its kind is put into its data."""
    kind = fields.get("kind", MELT.name)
    defaults: dict[str, Any] = {
        "kind": MELT.name,
        "machine": _newest(kind, machines),
        "version": 1,
        "prev_state": NONE,
        "npub": NPUB,
        "wallet_id": "wallet-1",
        "mint_url": MINT,
        "unit": "sat",
        "amount": 100,
        "operation_hash": hashlib.sha256(operation_id.encode()).hexdigest(),
        "created_at": NOW,
        "updated_at": NOW,
    }
    told = dict(zip(("kind_of_state", "ends"), machines.told_of(defaults["machine"], state), strict=True))
    own = {name: fields.pop(name) for name in tuple(fields) if name not in Operation.__annotations__}
    if own:
        fields["data"] = {name: data_to_plain(value) for name, value in own.items() if value not in _EMPTY}
    return Operation(**{"id": operation_id, "state": state, **defaults, **told, **fields})


_EMPTY: Final = (None, 0, "", ())
"""Values with which a field of the data is left out."""


def _newest(kind: str, machines: Machines) -> MachineRef:
    if kind not in machines.kinds:
        return MachineRef(kind, 1, "0" * 64)
    version = machines.newest(kind)
    return MachineRef(version.name, version.number, version.hash)


def batch_for(
    operation: Operation,
    before: Operation | None = None,
    *,
    tokens: Sequence[Token | tuple[Token, Token]] = (),
    path: Mapping[str, Sequence[str]] | None = None,
    dedup: DedupRecord | DedupTake | None = None,
    batch_id: str | None = None,
    at: int = NOW,
    machines: Machines = BUILT_IN,
) -> Batch:
    """A valid batch that brings the store to ``operation`` and ``tokens``.

    ``before`` is the stored operation (None: insert it); a token is to be inserted, a pair ``(before,
    after)`` advanced. ``path`` names the states passed on the way, by record id; without it the shortest way
    through the machine is taken, if there is one. A token takes it through the newest token machine of
    ``machines``, an operation through its own. Versions, ``prev_state``, ``kind_of_state``, ``ends``, audit
    records with their hash chain, and index changes are filled in: take the resulting records from the batch
    (``batch.operation.after``, ``batch.tokens[0].after``)."""
    steps = path or {}
    pairs = [item if isinstance(item, tuple) else (None, item) for item in tokens]
    number = 1 if before is None else before.version + 1
    name = batch_id or f"batch-{operation.id}-{number}"
    chain = _Chain(name, operation.id, before, at, machines)
    operation = chain.walk(before, operation, steps.get(operation.id, ()))
    moved = [(old, chain.walk(old, new, steps.get(new.transaction_id, ()))) for old, new in pairs]
    kind_of_state, ends = machines.told_of(operation.machine, operation.state)
    operation = evolve(
        operation, kind_of_state=kind_of_state, ends=ends, audit_seq=chain.seq, audit_hash=chain.hash
    )
    take = DedupTake(dedup) if isinstance(dedup, DedupRecord) else dedup
    return Batch(
        id=name,
        operation=Insert(operation) if before is None else Advance(before, operation),
        tokens=tuple(Insert(new) if old is None else Advance(old, new) for old, new in moved),
        index=index_changes(moved),
        dedup=take,
        audit=tuple(chain.records),
    )


class _Chain:
    """Writes the audit records of one batch."""

    def __init__(
        self, batch_id: str, operation_id: str, before: Operation | None, at: int, machines: Machines
    ) -> None:
        self.batch_id = batch_id
        self.operation_id = operation_id
        self.seq = 0 if before is None else before.audit_seq
        self.hash = "" if before is None else before.audit_hash
        self.at = at
        self.machines = machines
        self.records: list[AuditRecord] = []

    def walk(self, before: R | None, after: R, between: Sequence[str]) -> R:
        entity: str = f"token:{after.transaction_id}" if isinstance(after, Token) else f"operation:{after.id}"
        if isinstance(after, Token):
            label = self.machines.newest(TOKEN.name).label
        else:
            label = f"{after.machine.name}@{after.machine.version}"
        known = self.machines.by_label.get(label)
        steps: frozenset[Step] = known.edges if known is not None else frozenset()
        state: str = NONE if before is None else before.state
        version: int = 0 if before is None else before.version
        previous = state
        for following in (*(between or _shortest(steps, state, after.state)), after.state):
            version += 1
            self._record(label, entity, version, state, following)
            previous, state = state, following
        return evolve(after, version=version, prev_state=previous)

    def _record(self, label: str, entity: str, version: int, from_state: str, to_state: str) -> None:
        self.seq += 1
        record = AuditRecord(
            id=f"{self.batch_id}-{self.seq}",
            operation_id=self.operation_id,
            seq=self.seq,
            entity=entity,
            version=version,
            machine=label,
            event="go",
            from_state=from_state,
            to_state=to_state,
            transition=f"{from_state}-{to_state}",
            verdicts={"allowed": True},
            actor="test",
            at=self.at,
            batch_id=self.batch_id,
            compliance_level="STANDARD",
            retention_policy="standard",
            expires_at=None,
            data={},
            prev_hash=self.hash,
        )
        record = evolve(record, hash=audit_hash(record))
        self.hash = record.hash
        self.records.append(record)


def _shortest(steps: Iterable[Step], start: str, end: str) -> Sequence[str]:
    """The states between ``start`` and ``end`` on the shortest way; empty if there is no way."""
    ways: dict[str, tuple[str, ...]] = {start: ()}
    edge = [start]
    while edge:
        reached = sorted((new, old) for old in edge for source, new in steps if source == old)
        if end in (new for new, _ in reached):
            return next(ways[old] for new, old in reached if new == end)
        edge = []
        for new, old in reached:
            if new not in ways:
                ways[new] = (*ways[old], new)
                edge.append(new)
    return ()


def index_changes(pairs: Iterable[tuple[Token | None, Token]]) -> tuple[IndexInsert | IndexMove, ...]:
    """The changes of the proof index that fit these changes of tokens."""
    gained: dict[str, str] = {}
    lost: dict[str, str] = {}
    for old, new in pairs:
        had = {proof_key(p.secret) for p in (old.proofs if old else ())}
        has = {proof_key(p.secret) for p in new.proofs}
        gained |= dict.fromkeys(sorted(has - had), new.transaction_id)
        lost |= dict.fromkeys(sorted(had - has), new.transaction_id)
    fresh: dict[str, list[str]] = {}
    moves: dict[tuple[str, str], list[str]] = {}
    for key, to_token in gained.items():
        if key in lost:
            moves.setdefault((lost[key], to_token), []).append(key)
        else:
            fresh.setdefault(to_token, []).append(key)
    return (
        *(IndexMove(tuple(keys), source, target) for (source, target), keys in moves.items()),
        *(IndexInsert(tuple(keys), token_id) for token_id, keys in fresh.items()),
    )


Fault = Literal["ok", "unavailable", "conflict", "lost", "unknown", "differs"]


class FaultyStore:
    """A store whose commits fail as scripted, one word each; after the script they work.

    ``ok``; ``unavailable``: refused before anything was written; ``conflict``: another worker seems
    to have won, nothing written; ``lost``: applied, but the answer is CommitUnknown;
    ``unknown``: the same answer, and nothing written; ``differs``: a commit that reads back finds
    something else, any other works. Everything else passes through.
    ``commits`` lists the id of every batch that was tried, with its word.
    """

    def __init__(self, store: Store, script: Iterable[Fault] = ()) -> None:
        self.store = store
        self.url, self.machines = store.url, store.machines
        self.commits: list[tuple[str, Fault]] = []
        self._script = iter(script)
        self._lock = threading.Lock()

    def commit(self, batch: Batch, read_back: ReadBack | None = None) -> None:
        with self._lock:
            word: Fault = next(self._script, "ok")
            self.commits.append((batch.id, word))
        if word == "unavailable":
            raise StoreUnavailable("scripted: the store is not there")
        if word == "conflict":
            raise Conflict(f"operation:{batch.operation.after.id}")
        if word == "unknown":
            raise CommitUnknown(batch.id, "scripted: nothing was written")
        if word == "differs" and read_back is not None:
            raise NotAsWritten("scripted: a document differs")
        self.store.commit(batch, read_back)
        if word == "lost":
            raise CommitUnknown(batch.id, "scripted: the answer was lost")

    def note(self, note: Note) -> Operation | None:
        return self.store.note(note)

    def snapshot(self, ahead: Sequence[Read] = ()) -> AbstractContextManager[Reader]:
        return self.store.snapshot(ahead)

    def close(self) -> None:
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def operation(self, operation_id: str, home: str | None = None) -> Operation | None:
        return self.store.operation(operation_id, home)

    def operation_by_key(self, npub: str, key: str) -> Operation | None:
        return self.store.operation_by_key(npub, key)

    def operation_by_claim(self, claim: str) -> Operation | None:
        return self.store.operation_by_claim(claim)

    def operations(self, query: OperationQuery) -> Sequence[Operation]:
        return self.store.operations(query)

    def count_operations(self, npub: str | None = None) -> Sequence[Counted]:
        return self.store.count_operations(npub)

    def live_operations(
        self, due_before: int, limit: int, after: tuple[int, str] | None = None
    ) -> Sequence[Operation]:
        return self.store.live_operations(due_before, limit, after)

    def count_live(self) -> int:
        return self.store.count_live()

    def dedup(self, key: str, home: str | None = None) -> DedupRecord | None:
        return self.store.dedup(key, home)

    def token(self, transaction_id: str, home: str | None = None) -> Token | None:
        return self.store.token(transaction_id, home)

    def tokens(self, query: TokenQuery) -> Sequence[Token]:
        return self.store.tokens(query)

    def tokens_of(self, queries: Sequence[TokenQuery]) -> Sequence[Token]:
        return self.store.tokens_of(queries)

    def proof_owners(self, keys: Iterable[str], home: str | None = None) -> Mapping[str, str]:
        return self.store.proof_owners(keys, home)

    def balance(self, npub: str, mint_url: str | None = None, states: Sequence[str] = ()) -> Sequence[Held]:
        return self.store.balance(npub, mint_url, states)

    def coins_by_keyset(
        self, npub: str, mint_url: str | None = None, wallet_id: str | None = None
    ) -> Sequence[HeldCoins]:
        return self.store.coins_by_keyset(npub, mint_url, wallet_id)

    def audit(self, query: AuditQuery) -> Sequence[AuditRecord]:
        return self.store.audit(query)

    def audit_operations(self, after: str = "", limit: int = 1000) -> Sequence[Chain]:
        return self.store.audit_operations(after, limit)

    def tombstones(self, query: TombstoneQuery) -> Sequence[Tombstone]:
        return self.store.tombstones(query)

    def purge(self, tombstone: Tombstone) -> int:
        return self.store.purge(tombstone)
