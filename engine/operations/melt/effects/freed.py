"""Proofs that one operation freed on trust and another one held when the mint took them after all.

The operation that freed them is told by the mint that they are gone, and corrects every token that is free.
A token that another operation has reserved by then is that operation's alone, so it is corrected when that
operation lets go of it; until then no balance calls it spendable. The stored documents decide, no mint is
asked.
"""

from __future__ import annotations

from collections.abc import Iterable

from .....machines.melt.table import MELT
from .....storage.errors import CorruptRecord, page_of
from .....storage.port import AuditQuery, Store
from .....storage.records import AuditRecord, Operation, Token
from .....storage.secret import Secret
from ....loop.draft import token_entity
from ..data import melt_of

ANCESTORS_MAX = 100
"""Tokens whose records are read for one token. The next pre-flight corrects the tokens beyond this limit."""


def spent_meanwhile(store: Store, op: Operation, tokens: Iterable[Token]) -> frozenset[Secret]:
    """The secrets of proofs in these tokens that the mint took for an operation that had freed them on
    trust: it found a late fence, or that the mint paid. Raises StorageError."""
    held = tuple(tokens)
    names = set().union(*(_holders(store, token.transaction_id, op.npub) for token in held)) - {op.id}
    taken = frozenset().union(*(_taken_from(_readable(store, name, op.npub)) for name in sorted(names)))
    return taken & {proof.secret for token in held for proof in token.proofs}


def _readable(store: Store, operation_id: str, home: str) -> Operation | None:
    """The operation, if it can be read: one that cannot must not keep another from ending (R214), and what is
    missed is corrected by the next pre-flight."""
    try:
        op = store.operation(operation_id, home)
        if op is not None and op.kind == MELT.name:
            melt_of(op)
        return op
    except CorruptRecord:
        return None


def _taken_from(op: Operation | None) -> frozenset[Secret]:
    if op is None or op.kind != MELT.name:
        return frozenset()
    data = melt_of(op)
    gone = data.fenced_token_id is not None or data.payment is not None
    return data.sent_secrets() if gone and data.watch_since is not None else frozenset()


def _records(store: Store, query: AuditQuery) -> tuple[AuditRecord, ...]:
    return page_of(lambda: store.audit(query), lambda record: record.seq).records


def _holders(store: Store, token_id: str, home: str) -> set[str]:
    """Every operation that changed this token, or one whose proofs were moved into it."""
    names: set[str] = set()
    seen, left = {token_id}, [token_id]
    while left and len(seen) <= ANCESTORS_MAX:
        trail = _records(store, AuditQuery(entity=token_entity(left.pop()), home=home))
        names |= {record.operation_id for record in trail}
        born = [record.batch_id for record in trail if record.event == "deposit"]
        together = [_records(store, AuditQuery(batch_id=batch_id, home=home)) for batch_id in born]
        for record in (record for records in together for record in records):
            source = record.entity.partition(":")[2]
            if record.event == "split" and source not in seen:
                seen.add(source)
                left.append(source)
    return names
