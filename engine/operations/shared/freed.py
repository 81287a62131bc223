"""Proofs that one operation freed on trust and another one held when the mint took them after all.

The operation that freed them is told by the mint that they are gone, and corrects every token that is free.
A token that another operation has reserved by then is that operation's alone, so it is corrected when that
operation lets go of it; until then no balance calls it spendable. The stored documents decide, no mint is
asked.
"""

from __future__ import annotations

from ....storage.errors import CorruptRecord, StoreUnsupported, page_of
from ....storage.port import AuditQuery, Store
from ....storage.records import AuditRecord
from ....storage.secret import Secret
from ...loop.draft import token_entity
from ...loop.drive import Run
from .data import Paying

ANCESTORS_MAX = 100
"""Tokens whose records are read for one token. The next pre-flight corrects the tokens beyond this limit."""


def spent_meanwhile(run: Run) -> frozenset[Secret]:
    """The secrets of proofs in the tokens of this drive that the mint took for another operation, which had
    freed them on trust: it found that the mint paid, or that it signed a swap of it late. Raises
    StorageError."""
    op, held = run.operation, run.draft.all_tokens()
    names = set().union(*(_holders(run.store, token.transaction_id, op.npub) for token in held)) - {op.id}
    taken = frozenset().union(*(_taken_from(run, name) for name in sorted(names)))
    return taken & {proof.secret for token in held for proof in token.proofs}


def _taken_from(run: Run, operation_id: str) -> frozenset[Secret]:
    """The proofs that the mint took from this operation after it had freed them. None of one that cannot be
    read: it must not keep another from ending (R214), and the next pre-flight corrects the missed proofs."""
    try:
        op = run.store.operation(operation_id, run.operation.npub)
        data = None if op is None else run.kinds.of(op).data_of(op)
    except (CorruptRecord, StoreUnsupported):
        return frozenset()
    return data.sent_secrets() if isinstance(data, Paying) and data.was_taken_late() else frozenset()


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
